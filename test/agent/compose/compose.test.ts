import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { composeImages } from '../../../agent/compose/compose.ts';
import { parseDotenv } from '../../../agent/compose/dotenv.ts';
import { cpuTimeMs } from '../../cpu-time.ts';
import { scratchDirectory } from '../../rig/scratch.ts';
import { badCases, filesOf, goodCases, PATH, variableFiles } from './cases.ts';

async function imagesOf(
  files: Readonly<Record<string, string>>,
  paths: readonly string[] = [PATH],
  env: Readonly<Record<string, string>> = {},
) {
  await using scratch = await scratchDirectory();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, path)), { recursive: true });
    await writeFile(join(scratch.path, path), text);
  }
  return await composeImages(paths, { env, cwd: scratch.path, signal: new AbortController().signal });
}

describe('composeImages', () => {
  it.each(goodCases)('$title', async (one) => {
    const { images, warnings } = await imagesOf(filesOf(one), one.paths, one.env);
    const built = images.filter((image) => image.built).map(({ service }) => service);
    expect([Object.fromEntries(images.map(({ service, image }) => [service, image])), built]).toEqual([
      one.images,
      one.built ?? [],
    ]);
    if (one.warnings) expect(warnings).toEqual(one.warnings);
  });

  it.each(badCases)('refuses $title', async ({ error, ...one }) => {
    await expect(imagesOf(filesOf(one), one.paths, one.env)).rejects.toMatchObject({
      code: 'usage',
      message: error,
    });
  });

  it('says where each image stands, in the order of the files', async () => {
    const files = {
      [PATH]: 'services:\n  b:\n    image: b\n  a:\n    build: .\n',
      'shop/o.yaml': '\n\nservices: {c: {image: c}, b: {image: "b:2"}}\n',
    };
    const { images } = await imagesOf(files, [PATH, 'shop/o.yaml']);
    expect(images).toEqual([
      { service: 'b', image: 'b:2', file: 'shop/o.yaml', line: 3, built: false },
      { service: 'a', image: 'shop-a:latest', file: PATH, line: 5, built: true },
      { service: 'c', image: 'c:latest', file: 'shop/o.yaml', line: 3, built: false },
    ]);
  });

  it('shows files outside of the current directory in full', async () => {
    await using scratch = await scratchDirectory();
    const file = join(scratch.path, 'compose.yaml');
    await writeFile(file, 'services:\n  a: {}\n');
    await expect(
      composeImages([file], { env: {}, cwd: '/usr', signal: new AbortController().signal }),
    ).rejects.toThrow(`${file}:2: service "a" has neither an image nor a build`);
  });
});

describe('a directory', () => {
  const yaml = (image: string) => `services:\n  web: {image: "${image}"}\n`;

  it.each([
    [['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'], 'compose.yaml'],
    [['compose.yml', 'docker-compose.yml', 'docker-compose.yaml'], 'compose.yml'],
    [['docker-compose.yml', 'docker-compose.yaml'], 'docker-compose.yml'],
    [['docker-compose.yaml'], 'docker-compose.yaml'],
  ])('with %j is %s', async (names, winner) => {
    const files = Object.fromEntries(names.map((name) => [`shop/${name}`, yaml(name)]));
    const { images, warnings } = await imagesOf(files, ['shop']);
    expect(images).toEqual([expect.objectContaining({ image: `${winner}:latest` })]);
    expect(warnings).toEqual(names.length > 1 ? [`shop has ${names.join(' and ')}: ${winner} is read`] : []);
  });

  it.each([
    'compose.override.yml',
    'compose.override.yaml',
    'docker-compose.override.yml',
    'docker-compose.override.yaml',
  ])('with %s has that over its file', async (name) => {
    const files = { 'shop/compose.yaml': yaml('base'), [`shop/${name}`]: yaml('over'), 'shop/.env': 'A=1' };
    const { images } = await imagesOf(files, ['shop/']);
    expect(images).toEqual([expect.objectContaining({ image: 'over:latest', file: `shop/${name}` })]);
  });

  it('without a compose file is refused', async () => {
    await expect(imagesOf({ 'shop/x.yaml': yaml('a') }, ['shop'])).rejects.toMatchObject({
      code: 'usage',
      message: 'no compose file in shop',
      hint: expect.stringContaining('docker-compose.yml'),
    });
  });
});

describe('.env', () => {
  it.each(variableFiles)('%j', (text, value) => {
    const outer = { get: (name: string) => (name === 'OUTER' ? 'outer' : undefined), unset: () => {} };
    expect(parseDotenv(text, '.env', outer).get('A')).toBe(value);
  });
});

describe('bounds', () => {
  const refused = async (files: Readonly<Record<string, string>>, message: string) => {
    const ms = await cpuTimeMs(() =>
      expect(imagesOf(files)).rejects.toMatchObject({
        code: 'usage',
        message: expect.stringContaining(message),
      }),
    );
    expect(ms).toBeLessThan(10_000);
  };
  const laughs = (merge: (before: string) => string) =>
    ['x0: &x0 {k: v}', ...Array.from({ length: 200 }, (_, n) => `x${n + 1}: &x${n + 1} ${merge(`*x${n}`)}`)]
      .concat('services: {web: {image: a}}')
      .join('\n');

  it('aliases of aliases cost nothing', async () => {
    const many = await imagesOf({ [PATH]: laughs((before) => `[${`${before}, `.repeat(9)}${before}]`) });
    expect(many.images).toHaveLength(1);
  });

  it('keys that merge keys bring', async () => {
    const keys = Array.from({ length: 400 }, (_, n) => `k${n}: v`).join(', ');
    const merges = Array.from({ length: 300 }, (_, n) => `x${n}: {<<: *all}`).join('\n');
    await refused(
      { [PATH]: `all: &all {${keys}}\n${merges}\n` },
      'merge keys (<<) bring more than 100000 keys',
    );
  });

  it.each([
    ['lists', `services: ${'['.repeat(65)}${']'.repeat(65)}`],
    ['lists without an end', `services: ${'['.repeat(900_000)}`],
    ['mappings without an end', `services: ${'{a: '.repeat(200_000)}`],
    ['lists in lines', `services:\n${'- '.repeat(400_000)}`],
  ])('depth of %s', async (_what, yaml) => {
    await refused({ [PATH]: yaml }, 'nested more than 64 deep');
  });

  it('a file', async () => {
    await refused(
      { [PATH]: `#${' '.repeat(1024 * 1024)}` },
      'shop/compose.yaml is larger than 1048576 bytes',
    );
  });

  it('variables that double', async () => {
    const doubled = Array.from({ length: 40 }, (_, n) => `V${n + 1}=$V${n}$V${n}`).join('\n');
    const files = { [PATH]: 'services: {web: {image: a}}', 'shop/.env': `V0=ha\n${doubled}` };
    await refused(files, 'longer than 32768 characters');
  });

  it('depth of variables', async () => {
    const deep = `${'$\u007bA:-'.repeat(60)}x${'}'.repeat(60)}`;
    await refused({ [PATH]: `services: {web: {image: "${deep}"}}` }, 'nested more than 50 deep');
  });

  it('services that extend one another', async () => {
    const services = Array.from({ length: 60 }, (_, n) => `  s${n}: {extends: s${n + 1}}`).join('\n');
    await refused({ [PATH]: `services:\n${services}\n  s60: {image: a}\n` }, 'more than 50 deep');
  });

  it('files that include one another', async () => {
    const files = Array.from({ length: 30 }, (_, n) => [`shop/${n}.yaml`, `include: [${n + 1}.yaml]\n`]);
    await refused({ ...Object.fromEntries(files), [PATH]: 'include: [0.yaml]\n' }, 'more than 20 deep');
  });

  it('files that are included over and over', async () => {
    const files = Array.from({ length: 15 }, (_, n) => [
      `shop/${n}.yaml`,
      `include: [${n + 1}.yaml, ${n + 1}.yaml]\n`,
    ]);
    await refused(
      { ...Object.fromEntries(files), [PATH]: 'include: [0.yaml]\n', 'shop/15.yaml': 'services: {}\n' },
      'more than 1000 files are read',
    );
  });
});
