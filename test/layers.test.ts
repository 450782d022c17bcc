/** The parts know one another in one direction, and each heavy package has one file that knows it. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  proto: ['proto'],
  agent: ['proto', 'agent'],
  cli: ['proto', 'agent', 'cli'],
};
const OWNERS: Readonly<Record<string, string | readonly string[]>> = {
  ws: 'proto/websocket.ts',
  'zstd-napi/binding.js': 'proto/compression.ts',
  tweetnacl: 'proto/noise.ts',
  'cli-progress': 'cli/bars.ts',
  'pretty-bytes': 'cli/sizes.ts',
  '@clack/core': 'cli/picker.ts',
  yaml: ['agent/choose/compose-yaml.ts', 'cli/move-file/yaml.ts'],
};

async function importsOf(part: string): Promise<readonly { file: string; imported: string }[]> {
  const entries = await readdir(join(ROOT, part), { recursive: true });
  const files = entries.filter((entry) => entry.endsWith('.ts')).map((entry) => join(ROOT, part, entry));
  const found = await Promise.all(
    files.map(async (file) => {
      const source = await readFile(file, 'utf8');
      return [...source.matchAll(/\bfrom '([^']+)'/g)].map(([, specifier = '']) => ({
        file: relative(ROOT, file),
        imported: specifier.startsWith('.') ? relative(ROOT, join(file, '..', specifier)) : specifier,
      }));
    }),
  );
  return found.flat();
}

describe.each(Object.entries(MAY_IMPORT))('%s', (part, allowed) => {
  it(`imports of our own only ${allowed.join(', ')}`, async () => {
    const imports = await importsOf(part);
    expect(imports.length).toBeGreaterThan(10);
    const own = imports.filter(({ imported }) => imported.endsWith('.ts'));
    expect(own.filter(({ imported }) => !allowed.includes(imported.split('/')[0] ?? ''))).toEqual([]);
  });

  it('leaves each heavy package to the file that owns it', async () => {
    const imports = await importsOf(part);
    const strays = imports.filter(({ file, imported }) => ![OWNERS[imported] ?? file].flat().includes(file));
    expect(strays).toEqual([]);
  });
});
