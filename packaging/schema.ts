/** Writes docs/move.schema.json; `npm run schema` formats it, too. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { moveJsonSchema } from './move-schema.ts';

const out = fileURLToPath(new URL('../docs/move.schema.json', import.meta.url));
await writeFile(out, JSON.stringify(moveJsonSchema(), undefined, 2));
