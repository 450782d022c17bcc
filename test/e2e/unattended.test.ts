/** Where nobody sits: cron, CI, a unit of systemd. No terminal, no HOME, no TERM; nothing asks, hangs or is painted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { atExit } from '../rig/cleanup.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { IMGMV, type Place } from '../rig/imgmv.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Scene, startScene } from './scene.ts';

const TEST_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 120_000;
const STDINS = { 'a closed standard input': '<&-', '/dev/null': '</dev/null' } as const;

interface Unattended extends AsyncDisposable {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: Promise<number | null>;
}

/** Runs imgmv in a session of its own, which has no terminal; output goes into pipes, the environment is PATH alone. */
function unattended(args: readonly string[], stdin: string, place?: Place): Unattended {
  // The shell's `exec` keeps it one process.
  const script = `exec "$@" ${stdin}`;
  const command = ['sh', '-c', script, 'sh', process.execPath, IMGMV, ...args];
  const child: ChildProcess = spawn('setsid', ['--wait', ...(place?.argv(command) ?? command)], {
    cwd: '/',
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const forget = atExit(() => child.kill('SIGKILL'));
  const exit = once(child, 'close').then(([status]: (number | null)[]) => {
    forget();
    return status ?? null;
  });
  const running = {
    stdout: '',
    stderr: '',
    exit,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    running.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    running.stderr += text;
  });
  return running;
}

describeOn(
  'unattended',
  [await engineSupport('20'), await registrySupport()],
  () => {
    let scene: Scene;
    let registry: Registry;

    beforeAll(async () => {
      [scene, registry] = await Promise.all([
        startScene({ source: '20', target: '20' }),
        startRegistry({ htpasswd: false }),
      ]);
      const base = { base: { bytes: 300_000, seed: 1 } };
      for (const name of ['team/web:1.0', 'team/db:16', 'team/db:dev'])
        await loadImage(scene.source, { name, layers: [base, { name }] });
      await scene.source.docker(['tag', 'team/web:1.0', 'team/web:latest']);
    });
    afterAll(async () => {
      await registry?.[Symbol.asyncDispose]();
      await scene?.[Symbol.asyncDispose]();
    });

    /** What differs from run to run is called by what it is. */
    const masked = (text: string, port: string) =>
      text
        .replaceAll(registry.address, 'REGISTRY')
        .replaceAll(`127.0.0.1:${port}`, 'ADDRESS')
        .replace(/127\.0\.0\.1:\d+(?=\)\.$)/gm, 'ADDRESS')
        .replaceAll(scene.source.dockerHost, 'SOCKET')
        .replaceAll(scene.target.dockerHost, 'SOCKET')
        .replaceAll(scene.directory, 'DIRECTORY')
        .replaceAll(scene.source.version, 'VERSION')
        .replaceAll(`Paired with ${hostname()} `, 'Paired with HOST ')
        .replace(/sha256:[0-9a-f]{64}/g, 'DIGEST')
        .replace(/\b[0-9a-f]{12}\b/g, 'ID')
        .replace(/\b\d\d:\d\d:\d\d\b/g, 'TIME')
        .replace(/\b\d+(\.\d+)? (k|M)?B\b/g, 'SIZE')
        .replace(/\b\d+\.\d s\b/g, 'SECONDS')
        // Of a small image that came in one piece with the one before there is nothing to tell.
        .replace(/, SIZE on the wire(?=, SECONDS, verified$)/gm, '')
        // Where it is slow.
        .replace(/^\[\d\/\d\] .*\n/gm, '');

    it.each(Object.entries(STDINS))(
      'a whole move with %s is the same text each time',
      async (_what, stdin) => {
        for (const name of (await scene.target.docker(['image', 'ls', '--quiet']))
          .split('\n')
          .filter(Boolean))
          await scene.target.docker(['image', 'rm', '--force', name]).catch(() => '');
        const codeFile = join(scene.directory, 'code');
        const listen = ['--listen', '127.0.0.1:0', '--docker-host', scene.target.dockerHost];
        await using receiver = unattended(
          ['receive', '--once', '--allow-push', `${registry.address}/*`, ...listen, '--code-file', codeFile],
          stdin,
          // From a classic engine it pushes only what it can look at.
          scene.target.place,
        );
        let port = '';
        for (const late = Date.now() + START_TIMEOUT_MS; port === ''; await sleep(20)) {
          port =
            /^Listening on 127\.0\.0\.1:(\d+),(?:.*\n)+ {2}with the pairing code/m.exec(
              receiver.stderr,
            )?.[1] ?? '';
          if (Date.now() > late) throw new Error(`does not listen: ${receiver.stderr}`);
        }
        const moveFile = join(scene.directory, 'move.yaml');
        const yaml = [
          `to: 127.0.0.1:${port}`,
          'images: team/*',
          'except: "*:dev"',
          `registry: ${registry.address}`,
          'project: ours',
          'then-push: true',
          'jobs: 1',
          'code-file: code',
          `docker-host: ${scene.source.dockerHost}`,
        ];
        await writeFile(moveFile, yaml.join('\n'));
        await using sender = unattended(['send', '--move', moveFile], stdin);
        expect([await sender.exit, await receiver.exit, sender.stderr, receiver.stderr]).toEqual([
          0,
          0,
          expect.any(String),
          expect.any(String),
        ]);
        expect([sender.stdout, receiver.stdout]).toEqual(['', '']);
        const text = `$ imgmv send --move move.yaml\n${sender.stderr}\n$ imgmv receive --once --allow-push '*' --code-file code\n${receiver.stderr}`;
        expect(text).not.toMatch(/[^\n -~]/);
        await expect(masked(text, port)).toMatchFileSnapshot('golden/whole-move.txt');
        await expect(readFile(codeFile)).rejects.toThrow('ENOENT');
      },
      TEST_TIMEOUT_MS,
    );

    describeStdins((stdin) => {
      it.each([
        ['send without an image', ['send', '--to', '127.0.0.1:1'], /^imgmv: no image is named\n.*--all/],
        ['plan without an image', ['plan', '--to', '127.0.0.1:1'], /^imgmv: no image is named\n.*--all/],
        [
          'send without a code',
          ['send', 'team/web:1.0', '--to', '127.0.0.1:1'],
          /^imgmv: there is no terminal to ask for the pairing code on\n {2}give it with --code-file FILE/m,
        ],
        [
          'receive without a file for the code',
          ['receive', '--once'],
          /^imgmv: there is no terminal to show the pairing code on\n {2}--code-file FILE/,
        ],
        [
          'send with an empty code',
          ['send', 'team/web:1.0', '--to', '127.0.0.1:1', '--code-file', '-'],
          /code/,
        ],
        ['send with an empty list', ['send', '--file', '-', '--to', '127.0.0.1:1'], /names no image/],
        [
          'send with an empty move file',
          ['send', '--move', '-'],
          /^imgmv: standard input:1:1: nothing is in it/,
        ],
      ] as const)('%s ends at once, and says what is wanted', async (_what, args, says) => {
        await using imgmv = unattended([...args, '--docker-host', scene.source.dockerHost], stdin);
        const exit = await imgmv.exit;
        expect([exit, imgmv.stderr]).toEqual([expect.any(Number), expect.stringMatching(says)]);
        expect([2, 10, 12]).toContain(exit);
        expect(imgmv.stdout).toBe('');
      });
    });
  },
  { required: true },
);

function describeStdins(suite: (stdin: string) => void): void {
  for (const stdin of Object.values(STDINS)) suite(stdin);
}
