/**
 * The Dockerfile as users build it; only the images that it starts from are replaced, see node-image.ts. Then
 * send and receive run as two containers, each with the socket of an engine of its own.
 */
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Place, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { BASE_IMAGE, makeNodeImages, NODE_IMAGE, nodeImageSupport } from './node-image.ts';
import { makeSsh } from './ssh.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD_TIMEOUT_MS = 600_000;
const ENGINE_BYTES = 6 * 2 ** 30;
/** Node alone is about 100 MB. */
const OWN_MAX_BYTES = 105e6;
/** Of nobody here: the container reaches the socket by this group or not at all. */
const SOCKET_GROUP = 54_321;
/** The Dockerfile's USER. */
const CONTAINER_USER = 65_532;
/** Whoever runs a script: the owner of the directory for the code. */
const CALLER = 12_345;

const ssh = await supportOf(() =>
  run(['sh', '-euc', 'command -v ssh-keygen ssh >/dev/null; test -x /usr/sbin/sshd']),
);

describeOn(
  'the container image',
  [await engineSupport('host'), await supportOf(busyboxLayer), await nodeImageSupport()],
  () => {
    let source: Engine;
    let target: Engine;
    let directory: ScratchDirectory;
    let web: LoadedImage;

    beforeAll(async () => {
      directory = await scratchDirectory();
      [source, target] = (await Promise.all(
        [0, 1].map(() => startEngine({ flavour: 'host', tmpfsBytes: ENGINE_BYTES })),
      )) as [Engine, Engine];
      for (const { socketPath } of [source, target]) await chown(socketPath, 0, SOCKET_GROUP);
      await makeNodeImages(source, directory.path);
      const replaced = [`NODE_IMAGE=${NODE_IMAGE}`, `BASE_IMAGE=${BASE_IMAGE}`].flatMap((arg) => [
        '--build-arg',
        arg,
      ]);
      await source.docker(['build', '--quiet', '--network', 'host', ...replaced, '--tag', 'imgmv', PROJECT]);
      web = await loadImage(source, {
        name: 'team/web:1.0',
        layers: [
          await busyboxLayer(),
          { 'etc/hello': 'hello from a container' },
          { 'data/noise': { bytes: 5e6, seed: 1 } },
        ],
      });
    }, BUILD_TIMEOUT_MS);

    afterAll(async () => {
      await Promise.all([source, target, directory].map((each) => each?.[Symbol.asyncDispose]()));
    });

    it('is small, and runs as no user of the host', async () => {
      const bytes = async (image: string) =>
        Number(await source.docker(['image', 'inspect', '--format', '{{.Size}}', image]));
      const own = (await bytes('imgmv')) - (await bytes(BASE_IMAGE));
      expect(own).toBeLessThan(OWN_MAX_BYTES);
      const user = await source.docker(['image', 'inspect', '--format', '{{.Config.User}}', 'imgmv']);
      expect(user.trim()).toBe(`${CONTAINER_USER}:${CONTAINER_USER}`);
    });

    it('shows its version and its help', async () => {
      const version = await source.docker(['run', '--rm', '--network', 'none', 'imgmv', '--version']);
      expect(version).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+\n$/);
      expect(await source.docker(['run', '--rm', '--network', 'none', 'imgmv', 'send', '--help'])).toContain(
        '--to',
      );
    });

    it('says what to do where it may not use the socket', async () => {
      const volume = `${source.socketPath}:/var/run/docker.sock`;
      const refused = source.docker([
        'run',
        '--rm',
        '--network',
        'none',
        '--volume',
        volume,
        'imgmv',
        'send',
        'x',
        '--to',
        'localhost',
      ]);
      await expect(refused).rejects.toThrow(/status 14: .*no permission on the docker socket/s);
    });

    it(`gets to a host without internet${ssh.ok ? '' : ` (by a pipe alone: ${ssh.reason})`}`, async () => {
      const load = ['docker', '--host', target.dockerHost, 'load'].join(' ');
      const there = ssh.ok ? [...(await makeSsh(directory.path)), load] : ['sh', '-c', load];
      const pipe = 'docker --host "$1" save imgmv | { shift; exec "$@"; }';
      await run(['sh', '-euc', pipe, 'sh', source.dockerHost, ...there], {
        env: { PATH: process.env.PATH, HOME: directory.path },
      });
      expect(await idOf(target, 'imgmv')).toBe(await idOf(source, 'imgmv'));
    });

    it('moves an image as two containers', async () => {
      const codes = join(directory.path, 'codes');
      await mkdir(codes);
      await chown(codes, CALLER, CALLER);
      const receiving = [
        'receive',
        '--once',
        '--json',
        '--listen',
        '127.0.0.1:0',
        '--code-file',
        '/codes/code',
      ];
      await using receiver = runImgmv(receiving, {
        host: containerOn(target, ['--user', String(CALLER), '--volume', `${codes}:/codes`]),
      });
      const { port } = await receiver.waitFor('listening');
      const input = await run(['cat', join(codes, 'code')]);
      const sending = ['send', web.name, '--to', `127.0.0.1:${port}`, '--json', '--code-file', '-'];
      await using sender = runImgmv(sending, { host: containerOn(source), input });

      expect(await sender.exit, sender.stdout + sender.stderr).toEqual({ code: 0, signal: null });
      expect(await receiver.exit, receiver.stdout + receiver.stderr).toEqual({ code: 0, signal: null });
      expect(await idOf(target, web.name)).toBe(web.id);
      const output = await target.docker(['run', '--rm', '--network', 'none', web.name, 'cat', '/etc/hello']);
      expect(output).toBe('hello from a container');
      expect(await run(['ls', '-A', codes])).toBe('');
    });

    it('stops on SIGTERM as the first process of its container', async () => {
      const name = 'waiting';
      const host = containerOn(target, ['--name', name, '--tmpfs', `/codes:uid=${CONTAINER_USER}`]);
      await using receiver = runImgmv(
        ['receive', '--json', '--listen', '127.0.0.1:0', '--code-file', '/codes/code'],
        { host },
      );
      await receiver.waitFor('listening');
      await target.docker(['stop', '--time', '20', name]);
      expect(await receiver.exit).toEqual({ code: 143, signal: null });
    });
  },
);

/** What docs/install.md tells to run, but for the path of the socket and no terminal. */
function containerOn(engine: Engine, flags: readonly string[] = []): Place {
  const volume = `${engine.socketPath}:/var/run/docker.sock`;
  const fixed = [
    '--rm',
    '--interactive',
    '--network',
    'host',
    '--group-add',
    String(SOCKET_GROUP),
    '--volume',
    volume,
  ];
  // In place of [node, main.js, …]: both are the image's entry point.
  const argv: Place['argv'] = ([, , ...args]) => [
    'docker',
    '--host',
    engine.dockerHost,
    'run',
    ...fixed,
    ...flags,
    'imgmv',
    ...args,
  ];
  return { argv };
}

async function idOf(engine: Engine, name: string): Promise<string> {
  return (await engine.docker(['image', 'inspect', '--format', '{{.Id}}', name])).trim();
}
