/** The parts know one another in one direction, and each heavy package, and each text, has one place that knows it. */
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
  dockerode: 'agent/docker/engine.ts',
  'cli-progress': 'cli/bars.ts',
  'pretty-bytes': 'cli/sizes.ts',
  '@clack/core': 'cli/picker.ts',
  yaml: ['agent/compose/yaml.ts', 'cli/move-file/yaml.ts'],
};

/** The rooms of agent/, each may import those of the lines above it, and itself. */
const STOREYS: readonly (readonly string[])[] = [
  ['streams'],
  ['model'],
  ['oci'],
  ['choose'],
  // Where things come from and go to; none of them knows another one.
  ['archive', 'docker', 'compose', 'move'],
  ['peer', 'push'],
  ['ends'],
  ['checks'],
  ['commands'],
];

interface Import {
  readonly file: string;
  readonly imported: string;
}

async function filesOf(part: string): Promise<readonly string[]> {
  const entries = await readdir(join(ROOT, part), { recursive: true });
  return entries.filter((entry) => entry.endsWith('.ts')).map((entry) => join(ROOT, part, entry));
}

/** Dynamic imports and those of types included. */
async function importsOf(part: string): Promise<readonly Import[]> {
  const files = await filesOf(part);
  const found = await Promise.all(
    files.map(async (file) => {
      const source = await readFile(file, 'utf8');
      return [...source.matchAll(/(?:\bfrom |\bimport\()\s*'([^']+)'/g)].map(([, specifier = '']) => ({
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

describe('agent', () => {
  const roomOf = (path: string) => path.split('/')[1] ?? '';
  const storeyOf = (path: string) => STOREYS.findIndex((rooms) => rooms.includes(roomOf(path)));

  it('has rooms, and nothing loose', async () => {
    const entries = await readdir(join(ROOT, 'agent'));
    expect(entries.sort()).toEqual(STOREYS.flat().sort());
  });

  it('knows only what is below', async () => {
    const within = (await importsOf('agent')).filter(({ imported }) => imported.startsWith('agent/'));
    const upwards = within.filter(
      ({ file, imported }) => roomOf(file) !== roomOf(imported) && storeyOf(imported) >= storeyOf(file),
    );
    expect(upwards).toEqual([]);
  });
});

it.each(['agent', 'proto'])('no text of %s names a command, which cli/hints.ts does', async (part) => {
  const naming: string[] = [];
  for (const file of await filesOf(part))
    for (const line of (await readFile(file, 'utf8')).split('\n')) {
      const isComment = /^\s*(?:\/?\*|\/\/)/.test(line);
      if (!isComment && /`imgmv |\bimgmv (?:send|plan|receive|copy|ls|clean|doctor)\b/.test(line))
        naming.push(`${relative(ROOT, file)}: ${line.trim()}`);
    }
  expect(naming).toEqual([]);
});

it('the process is ended in one place, which keeps node from waiting for itself', async () => {
  const files = (await Promise.all(['agent', 'cli', 'proto'].map(filesOf))).flat();
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const ending = files.filter((_, at) => /process\.(?:exit|reallyExit)\(/.test(texts[at] ?? ''));
  expect(ending.map((file) => relative(ROOT, file))).toEqual(['cli/end-process.ts']);
});

it('no file imports itself, whatever stands between', async () => {
  const imports = (await Promise.all(Object.keys(MAY_IMPORT).map(importsOf))).flat();
  const importedBy = new Map<string, Import[]>();
  for (const one of imports) importedBy.set(one.file, [...(importedBy.get(one.file) ?? []), one]);
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file);
    if (at >= 0) circles.push([...way.slice(at), file].join(' → '));
    if (at >= 0 || done.has(file)) return;
    for (const { imported } of importedBy.get(file) ?? []) visit(imported, [...way, file]);
    done.add(file);
  };
  for (const { file } of imports) visit(file, []);
  expect(circles).toEqual([]);
});
