/** What is published for editors: made from what imgmv reads by, of the same mind, and documented key by key. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { MOVE_KEYS, parseMoveFile } from '../../cli/move-file.ts';
import schema from '../../docs/move.schema.json' with { type: 'json' };
import { moveJsonSchema } from '../../packaging/move-schema.ts';
import { BAD, type Example, GOOD } from './move-corpus.ts';

const validate = new Ajv({ strict: true, strictTypes: false, strictRequired: false }).compile(schema);
const origin = { name: 'move.yaml', directory: '/moves', fromStdin: false };

it('is what the code makes', () => {
  expect(schema, '`npm run schema` writes docs/move.schema.json anew').toEqual(moveJsonSchema());
});

describe('every key', () => {
  it.each(Object.entries(schema.properties))(
    '%s says what it is, with examples that are read',
    async (key, about) => {
      expect(about.title).toBe(`--${key}`);
      expect(about.description.length).toBeGreaterThan(10);
      expect(about.examples.length).toBeGreaterThan(0);
      for (const example of about.examples) {
        const move = { [key]: example, ...(key === 'project' && { registry: 'r.example' }) };
        expect(validate(move), JSON.stringify(validate.errors)).toBe(true);
        await parseMoveFile(JSON.stringify(move), origin);
      }
    },
  );

  it('is in the table of docs/move.md, and no other', async () => {
    const document = await readFile(fileURLToPath(new URL('../../docs/move.md', import.meta.url)), 'utf8');
    const table = document.split('## Keys')[1]?.split('## ')[0] ?? '';
    const keys = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([a-z-]+)`/g)].map(([, key]) => key),
    );
    expect(keys).toEqual(MOVE_KEYS);
  });
});

describe('agrees with the reader', () => {
  it.each(GOOD)('on what is good: $yaml', ({ yaml }) => {
    expect(validate(parse(yaml)), JSON.stringify(validate.errors)).toBe(true);
  });

  const seen = ({ beyondSchema }: Example) => !beyondSchema;
  it.each(BAD.filter(seen))('on what is bad: $yaml', ({ yaml }) => {
    expect(validate(parse(yaml, { version: '1.2', schema: 'core' }))).toBe(false);
  });
});
