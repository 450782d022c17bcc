/**
 * Pins copies of the Dockerfile and the workflow as they are. A registry of our own answers for docker.io, and
 * repositories in a directory answer for GitHub.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROOT } from '../../packaging/program.ts';
import { run } from '../rig/command.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';

const INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';
const WORKFLOWS = '.github/workflows';
const TIMEOUT_MS = 240_000;

describeOn(
  'npm run pin',
  [await registrySupport(), await supportOf(() => requirePrograms('skopeo', 'git'))],
  () => {
    let registry: Registry;
    let directory: ScratchDirectory;
    let images: string[];
    let actions: string[];
    let env: NodeJS.ProcessEnv;

    beforeAll(async () => {
      [registry, directory] = await Promise.all([startRegistry(), scratchDirectory()]);
      const files = await filesOf(ROOT);
      images = found(files, /(?:_IMAGE=|image: )([^\s@]+)/g);
      actions = found(files, /uses: ([^\s@]+)@/g);
      for (const image of images) await publish(image, 'first');
      for (const action of actions) await makeRepository(action);
      const configuration = join(directory.path, '.config/containers');
      await mkdir(configuration, { recursive: true });
      await writeFile(
        join(configuration, 'registries.conf'),
        `[[registry]]\nprefix = "docker.io"\nlocation = "${registry.address}"\ninsecure = true\n`,
      );
      env = {
        PATH: process.env.PATH,
        HOME: directory.path,
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: `url.file://${directory.path}/github/.insteadOf`,
        GIT_CONFIG_VALUE_0: 'https://github.com/',
      };
    }, TIMEOUT_MS);

    afterAll(async () => {
      await Promise.all([registry, directory].map((each) => each?.[Symbol.asyncDispose]()));
    });

    it(
      'writes the digest of every image, and the commit of every action',
      async () => {
        expect(images).toEqual(expect.arrayContaining(['node:24-bookworm-slim', 'debian:bookworm-slim']));
        expect(actions).toContain('actions/checkout');
        const copy = await copyOf('every');
        await pin(copy);
        const pinned = await filesOf(copy);
        for (const image of images) {
          expect(pinned).toContain(`${image}@${await digestOf(image)}`);
          expect(pinned).not.toMatch(new RegExp(`[= ]${image}$`, 'm'));
        }
        for (const action of actions)
          expect(pinned).toMatch(new RegExp(`uses: ${action}@${await commitOf(action)} # v[0-9]+\n`));
        expect(pinned.match(/(?:_IMAGE=|image: |uses: )\S+/g)).toEqual(
          pinned.match(/(?:_IMAGE=|image: |uses: )\S+@(?:sha256:[0-9a-f]{64}|[0-9a-f]{40})\b/g),
        );
        // Nothing else has changed.
        expect(pinned.replaceAll(/@sha256:[0-9a-f]{64}/g, '').replaceAll(/@[0-9a-f]{40} # /g, '@')).toBe(
          await filesOf(ROOT),
        );
      },
      TIMEOUT_MS,
    );

    it(
      'updates what is pinned',
      async () => {
        const copy = await copyOf('updates');
        await pin(copy);
        const before = await filesOf(copy);
        await publish('node:24-bookworm-slim', 'second');
        await pin(copy);
        const after = await filesOf(copy);
        expect(after).not.toBe(before);
        expect(after).toContain(`node:24-bookworm-slim@${await digestOf('node:24-bookworm-slim')}\n`);
        await pin(copy);
        expect(await filesOf(copy)).toBe(after);
      },
      TIMEOUT_MS,
    );

    it(
      'changes nothing where one of them is not to be had',
      async () => {
        const copy = await copyOf('nothing');
        const dockerfile = join(copy, 'Dockerfile');
        const text = await readFile(dockerfile, 'utf8');
        await writeFile(dockerfile, text.replace('debian:bookworm-slim', 'debian:no-such-tag'));
        const before = await filesOf(copy);
        await expect(pin(copy)).rejects.toThrow(/docker:\/\/debian:no-such-tag.*nothing was changed/s);
        expect(await filesOf(copy)).toBe(before);
      },
      TIMEOUT_MS,
    );

    function pin(copy: string): Promise<string> {
      return run([join(ROOT, 'node_modules/.bin/tsx'), join(ROOT, 'packaging/pin.ts'), copy], { env });
    }

    async function copyOf(name: string): Promise<string> {
      const copy = join(directory.path, name);
      await mkdir(join(copy, '.github'), { recursive: true });
      await cp(join(ROOT, 'Dockerfile'), join(copy, 'Dockerfile'));
      await cp(join(ROOT, WORKFLOWS), join(copy, WORKFLOWS), { recursive: true });
      return copy;
    }

    /** An index of no platform, which a registry takes without anything else. */
    async function publish(image: string, content: string): Promise<void> {
      const [name, tag] = image.split(':');
      const body = JSON.stringify({
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [],
        annotations: { image, content },
      });
      const response = await fetch(`http://${registry.address}/v2/library/${name}/manifests/${tag}`, {
        method: 'PUT',
        headers: { 'content-type': INDEX },
        body,
      });
      expect(response.status, await response.text()).toBe(201);
      const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
      expect(await digestOf(image)).toBe(digest);
    }

    function digestOf(image: string): Promise<string | undefined> {
      const [name = '', tag = ''] = image.split(':');
      return registry.digestOf(`library/${name}`, tag);
    }

    /** With an annotated tag of each name that the workflow uses. */
    async function makeRepository(action: string): Promise<void> {
      const path = join(directory.path, 'github', action);
      await mkdir(path, { recursive: true });
      const tags = found(await filesOf(ROOT), new RegExp(`uses: ${action}@(?:\\S+ # )?(v[0-9.]+)`, 'g'));
      const identity = ['-c', 'user.name=test', '-c', 'user.email=test@test'];
      const git = (...args: string[]) => run(['git', '-C', path, ...identity, ...args]);
      await git('init', '--quiet');
      await git('commit', '--quiet', '--allow-empty', '--message', action);
      for (const tag of tags) await git('tag', '--annotate', '--message', tag, tag);
    }

    async function commitOf(action: string): Promise<string> {
      return (await run(['git', '-C', join(directory.path, 'github', action), 'rev-parse', 'HEAD'])).trim();
    }
  },
);

async function filesOf(directory: string): Promise<string> {
  const workflows = (await readdir(join(directory, WORKFLOWS))).map((name) => join(WORKFLOWS, name));
  const texts = ['Dockerfile', ...workflows].map((name) => readFile(join(directory, name), 'utf8'));
  return (await Promise.all(texts)).join('');
}

function found(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))];
}
