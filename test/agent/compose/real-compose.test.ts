/** What compose-cases.ts holds of docker compose is what docker compose does. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { familiar, parseReference, withDefaultTag } from '../../../agent/model/reference.ts';
import { run } from '../../rig/command.ts';
import { dockerCompose } from '../../rig/compose.ts';
import { scratchDirectory } from '../../rig/scratch.ts';
import { describeOn } from '../../rig/suite.ts';
import { supportOf } from '../../rig/support.ts';
import { badCases, filesOf, goodCases, PATH, variableFiles } from './cases.ts';

interface Asked {
  readonly files: Readonly<Record<string, string>>;
  readonly paths?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

async function config({ files, paths = [PATH], env = {} }: Asked, ...options: string[]): Promise<string> {
  await using scratch = await scratchDirectory();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, path)), { recursive: true });
    await writeFile(join(scratch.path, path), text);
  }
  const argv = [await dockerCompose(), ...paths.flatMap((path) => ['-f', path]), '--profile', '*', 'config'];
  return await run([...argv, ...options], { cwd: scratch.path, env: { HOME: scratch.path, ...env } });
}

function withTag(image: string): string {
  const reference = parseReference(image);
  return reference ? familiar(withDefaultTag(reference)) : `not a reference: ${image}`;
}

describeOn('docker compose', [await supportOf(dockerCompose)], () => {
  it.each(goodCases.filter(({ unlike }) => unlike === undefined))('names the same: $title', async (one) => {
    const said = await config({ ...one, files: filesOf(one) }, '--images');
    expect(said.trim().split('\n').map(withTag).sort()).toEqual(Object.values(one.images).sort());
  });

  it.each(badCases.filter(({ unlike }) => unlike === undefined))('refuses, too: $title', async (one) => {
    await expect(config({ ...one, files: filesOf(one) }, '--images')).rejects.toThrow();
  });

  it.each([...goodCases, ...badCases].filter(({ unlike }) => unlike !== undefined))(
    'does otherwise: $title: $unlike',
    async (one) => {
      const said = await config({ ...one, files: filesOf(one) }, '--images').catch(() => 'refused');
      const images = 'images' in one ? Object.values(one.images).sort() : 'refused';
      expect(said === 'refused' ? said : said.trim().split('\n').map(withTag).sort()).not.toEqual(images);
    },
  );

  it.each(variableFiles)('reads the same of .env: %j', async (text, value) => {
    const yaml = 'services: {web: {image: a, labels: {value: $A}}}';
    const env = { OUTER: 'outer' };
    const said = await config({ files: { [PATH]: yaml, 'shop/.env': text }, env }, '--format', 'json');
    const project = JSON.parse(said) as { services: { web: { labels: { value: string } } } };
    // What it prints can be read again: a dollar sign is doubled.
    expect(project.services.web.labels.value.replaceAll('$$', '$')).toBe(value);
  });
});
