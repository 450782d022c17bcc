/**
 * The Dockerfile as users build it; only the images that it starts from are replaced, see node-image.ts. Then
 * send and receive run as two containers, each with the socket of an engine of its own.
 */
import { chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Place, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { makeSsh } from '../rig/ssh.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux } from '../rig/tmux.ts';
import { BASE_IMAGE, makeNodeImages, NODE_IMAGE, nodeImageSupport } from './node-image.ts';
import { newerNode, type OtherNode } from './other-node.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD_TIMEOUT_MS = 1_200_000;
const ENGINE_BYTES = 6 * 2 ** 30;
/** Node itself is about 127 MB. */
const OWN_MAX_BYTES = 132e6;
/** Of nobody here: the container reaches the socket by this group or not at all. */
const SOCKET_GROUP = 54_321;
/** Of tests that start several containers, on a machine that does other things. */
const TEST_TIMEOUT_MS = 180_000;
const LOG_TIMEOUT_MS = 60_000;
/** The Dockerfile's USER. */
const CONTAINER_USER = 65_532;
/** Whoever runs a script: the owner of the directory for the code. */
const CALLER = 12_345;

const ssh = await supportOf(() =>
  run(['sh', '-euc', 'command -v ssh-keygen ssh >/dev/null; test -x /usr/sbin/sshd']),
);

describeOn(
  'the container image',
  [
    await engineSupport('host'),
    await supportOf(busyboxLayer),
    await supportOf(() => requirePrograms('tmux')),
    await nodeImageSupport(),
  ],
  () => {
    let source: Engine;
    let target: Engine;
    let directory: ScratchDirectory;
    let web: LoadedImage;
    let node: OtherNode;

    beforeAll(async () => {
      directory = await scratchDirectory();
      [source, target] = (await Promise.all(
        [0, 1].map(() => startEngine({ flavour: 'host', tmpfsBytes: ENGINE_BYTES })),
      )) as [Engine, Engine];
      for (const { socketPath } of [source, target]) await chown(socketPath, 0, SOCKET_GROUP);
      node = await newerNode();
      await makeNodeImages(source, node, directory.path);
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

    it('carries Node 24, by whichever image it is built', async () => {
      const version = await source.docker([
        ...['run', '--rm', '--network', 'none', '--entrypoint', '/usr/local/bin/node'],
        ...['imgmv', '--version'],
      ]);
      expect(version).toBe(`v${node.version}\n`);
      expect(version).toMatch(/^v24\./);
      const dockerfile = await readFile(join(PROJECT, 'Dockerfile'), 'utf8');
      expect(dockerfile).toMatch(/^ARG NODE_IMAGE=node:24-bookworm-slim(@sha256:[0-9a-f]{64})?$/m);
    });

    it(
      'holds its SBOM, and the licenses of all that is in it',
      async () => {
        const files = join(directory.path, 'files');
        await mkdir(files);
        const container = (await source.docker(['create', 'imgmv'])).trim();
        await source.docker(['cp', `${container}:/opt/imgmv`, files]);
        await source.docker(['rm', container]);
        const built = (name: string) => readFile(join(files, 'imgmv', name), 'utf8');
        const sbom = await readFile(join(PROJECT, 'dist/imgmv.cdx.json'), 'utf8');
        expect(await built('dist/imgmv.cdx.json')).toBe(sbom);
        // As docs/install.md has it, for an image without a shell.
        const print = 'process.stdout.write(require("fs").readFileSync("/opt/imgmv/dist/imgmv.cdx.json"))';
        const node = ['run', '--rm', '--network', 'none', '--entrypoint', '/usr/local/bin/node', 'imgmv'];
        expect(await source.docker([...node, '-e', print])).toBe(sbom);
        expect(await built('LICENSE')).toContain('Apache License');
        expect(await built('dist/THIRD-PARTY-LICENSES.txt')).toContain('valibot');
        expect(await built('node_modules/zstd-napi/LICENSE.zstd')).toContain('For Zstandard software');
      },
      TEST_TIMEOUT_MS,
    );

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

    it.each([
      ['save', async () => []],
      ['store', storeOptions],
    ] as const)('moves an image as two containers, which is read by way of its %s', async (read, more) => {
      const codes = join(directory.path, `codes-${read}`);
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
      await using sender = runImgmv(sending, { host: containerOn(source, await more(source)), input });
      const { images } = await sender.waitFor('plan');
      expect(images).toMatchObject([{ read }]);

      expect(await sender.exit, sender.stdout + sender.stderr).toEqual({ code: 0, signal: null });
      expect(await receiver.exit, receiver.stdout + receiver.stderr).toEqual({ code: 0, signal: null });
      expect(await idOf(target, web.name)).toBe(web.id);
      const output = await target.docker(['run', '--rm', '--network', 'none', web.name, 'cat', '/etc/hello']);
      expect(output).toBe('hello from a container');
      expect(await run(['ls', '-A', codes])).toBe('');
      await target.docker(['image', 'rm', web.name]);
    });

    it.each([
      ['keeps the code out of the log of docker', (command: string) => command, false],
      ['would have the code in the log without that option', without('--log-driver none'), true],
    ] as const)(
      'as docs/install.md has it run at a terminal, it %s',
      async (_, edit, logged) => {
        const command = edit(await documentedCommand(target.socketPath));
        await using terminal = await startTmux(command, {
          columns: 120,
          rows: 40,
          env: { DOCKER_HOST: target.dockerHost, HOME: directory.path },
        });
        const screen = await terminal.shows(/Pairing code: +([a-z]+-){5}[a-z]+/);
        const [code = ''] = /(?:[a-z]+-){5}[a-z]+/.exec(screen) ?? [];
        const logging = await target.docker([
          ...['container', 'inspect', '--format', '{{.HostConfig.LogConfig.Type}}:{{.LogPath}}'],
          (await target.docker(['ps', '--quiet'])).trim(),
        ]);
        expect(logging.trim()).toMatch(logged ? /^json-file:\/.*-json\.log$/ : /^none:$/);
        // All files that the engine keeps of its containers.
        const containers = join(target.dataRoot, 'containers');
        const holdingCode = () =>
          run(['sh', '-euc', 'grep -rlF -- "$1" "$2" || true', 'sh', code, containers]);
        if (logged) await expect.poll(holdingCode, { timeout: LOG_TIMEOUT_MS }).toMatch(/-json\.log\n$/);
        else expect(await holdingCode()).toBe('');
        await terminal.press('C-c');
        await terminal.shows(/exit status 130/);
      },
      TEST_TIMEOUT_MS,
    );

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

/** What docs/install.md adds for reading layers where the engine keeps them. */
async function storeOptions(engine: Engine): Promise<readonly string[]> {
  const text = await readFile(join(PROJECT, 'docs/install.md'), 'utf8');
  const [, options = ''] = /^ {4}(-v \/var\/lib\/docker:.*)$/m.exec(text) ?? [];
  const root = (await engine.docker(['info', '--format', '{{.DockerRootDir}}'])).trim();
  expect(options).not.toBe('');
  return options.replaceAll('/var/lib/docker', root).split(' ');
}

/** The first `docker run` of docs/install.md, with the engine's own socket, and a port that is free. */
async function documentedCommand(socketPath: string): Promise<string> {
  const text = await readFile(join(PROJECT, 'docs/install.md'), 'utf8');
  const [, command = ''] = /^ {4}(docker run -it(?:.*\\\n)+.*)$/m.exec(text) ?? [];
  expect(command).toMatch(/imgmv receive --once$/);
  const own = command.replace('-v /var/run/docker.sock:', `-v ${socketPath}:`);
  return `${own.replace('/var/run/docker.sock)', `${socketPath})`)} --listen 127.0.0.1:0`;
}

function without(option: string): (command: string) => string {
  return (command) => {
    expect(command).toContain(` ${option} `);
    return command.replace(` ${option} `, ' ');
  };
}

/** What docs/install.md tells to run, but for the path of the socket and no terminal. */
function containerOn(engine: Engine, flags: readonly string[] = []): Place {
  const volume = `${engine.socketPath}:/var/run/docker.sock`;
  const fixed = [
    '--rm',
    '--log-driver',
    'none',
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
