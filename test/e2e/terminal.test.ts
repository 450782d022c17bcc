/** What a person at a terminal sees, and types unseen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { atExit } from '../rig/cleanup.ts';
import { run } from '../rig/command.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { IMGMV, runImgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { type Scene, startScene } from './scene.ts';

const CODE = /^ {2}Pairing code: {2}((?:[a-z]+-){5}[a-z]+)\r$/m;
const SHOW_TIMEOUT_MS = 120_000;

/** A program on a pseudo-terminal. Disposing of it kills it. */
interface Terminal extends AsyncDisposable {
  /** All that was shown so far. */
  readonly text: string;
  readonly exit: Promise<number | null>;
  type(keys: string): void;
  /** Resolves once what is shown matches. */
  shows(what: RegExp): Promise<RegExpExecArray>;
}

function imgmvOnTerminal(args: readonly string[]): Terminal {
  return onTerminal(imgmvCommand(args));
}

function imgmvCommand(args: readonly string[]): string {
  return [process.execPath, IMGMV, ...args].map((word) => `'${word}'`).join(' ');
}

/** `command` is the shell's. */
function onTerminal(command: string): Terminal {
  const child = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const forget = atExit(() => child.kill('SIGKILL'));
  const exit = once(child, 'close').then(([status]: (number | null)[]) => {
    forget();
    return status ?? null;
  });
  const terminal = {
    text: '',
    exit,
    type: (keys: string) => child.stdin.write(keys),
    async shows(what: RegExp) {
      const late = AbortSignal.timeout(SHOW_TIMEOUT_MS);
      for (;;) {
        const found = what.exec(terminal.text);
        if (found) return found;
        if (child.exitCode !== null) throw new Error(`ended before it showed ${what}: ${terminal.text}`);
        await Promise.race([once(child.stdout, 'data', { signal: late }), exit]);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
  child.stdin.on('error', () => {});
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    terminal.text += text;
  });
  return terminal;
}

describeOn(
  'on a terminal',
  [await engineSupport('20'), await supportOf(() => run(['script', '--version']))],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [{ 'srv/v': '1' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    const send = (port: number) =>
      imgmvOnTerminal([
        'send',
        'web:1.0',
        '--to',
        `127.0.0.1:${port}`,
        '--docker-host',
        scene.source.dockerHost,
      ]);

    it('send asks for the code and does not echo it', async () => {
      await using receiver = await scene.receive();
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      await using sender = send(receiver.port);
      await sender.shows(/Pairing code that `imgmv receive` shows on 127\.0\.0\.1 \(hidden\): $/);
      sender.type(`${code.toUpperCase().replaceAll('-', ' ')}\r`);
      expect([await sender.exit, sender.text]).toEqual([
        0,
        expect.stringMatching(/ web:1\.0 [0-9a-f]{12}: .* on the wire, \d+\.\d s, verified\r\n$/),
      ]);
      expect((await receiver.imgmv.exit).code).toBe(0);
      // Two words in a row: one alone may be a word of the report, such as "wire".
      const words = code.split('-');
      for (const [at, word] of words.slice(1).entries())
        expect(sender.text.toLowerCase()).not.toMatch(new RegExp(`\\b${words[at]}\\W+${word}\\b`));
    });

    it('send tells a typo and asks again', async () => {
      await using receiver = await scene.receive();
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      await using sender = send(receiver.port);
      await sender.shows(/\(hidden\): $/);
      sender.type(`qqqq${code.slice(code.indexOf('-'))}\r`);
      await sender.shows(/word 1 is not in the word list: try again \(2\s+tries left\)\r\n.*\(hidden\): $/);
      sender.type(`${code}\r`);
      expect([await sender.exit, sender.text]).toEqual([0, expect.not.stringContaining('qqqq')]);
    });

    it('Ctrl-C at the question: 130, and nobody was dialled', async () => {
      await using receiver = await scene.receive();
      await using sender = send(receiver.port);
      await sender.shows(/\(hidden\): $/);
      sender.type(`${generateCode().reveal()}\u0003`);
      expect([await sender.exit, sender.text]).toEqual([130, expect.stringContaining('stopped by SIGINT')]);
      expect(receiver.imgmv.stdout).not.toMatch(/attempt|paired/);
    });

    it('send asks on the terminal, though an archive comes on standard input', async () => {
      await using receiver = await scene.receive();
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      const args = ['send', '--from', 'docker-archive:-', '--to', `127.0.0.1:${receiver.port}`];
      const save = `docker --host ${scene.source.dockerHost} save web:1.0`;
      await using sender = onTerminal(`${save} | ${imgmvCommand(args)}`);
      await sender.shows(/Reading docker-archive:-, kept in \S+ until the end\./);
      await sender.shows(/\(hidden\): $/);
      sender.type(`${code}\r`);
      expect([await sender.exit, sender.text]).toEqual([0, expect.stringMatching(/ web:1\.0 .* verified/)]);
      expect(sender.text).not.toContain(code);
      expect((await receiver.imgmv.exit).code).toBe(0);
    });

    it('copy writes no archive to it', async () => {
      const where = ['--docker-host', scene.source.dockerHost];
      await using copy = imgmvOnTerminal(['copy', 'docker-daemon:web:1.0', 'docker-archive:-', ...where]);
      expect([await copy.exit, copy.text]).toEqual([
        2,
        expect.stringContaining('an archive is nothing for a terminal'),
      ]);
    });

    it('receive shows the code, the command for the other host, and no more than one code', async () => {
      const where = ['--listen', '127.0.0.1:0', '--docker-host', scene.target.dockerHost];
      await using receiver = imgmvOnTerminal(['receive', '--once', ...where]);
      const [, code = ''] = await receiver.shows(CODE);
      const [, to = ''] = await receiver.shows(/^ {4}imgmv send IMAGE --to (127\.0\.0\.1:\d+)\r$/m);
      await receiver.shows(/^Listening on 127\.0\.0\.1:\d+, until \d\d:\d\d:\d\d, for one session\.\r$/m);
      const args = [
        'send',
        'web:1.0',
        '--to',
        to,
        '--code-file',
        '-',
        '--docker-host',
        scene.source.dockerHost,
      ];
      await using sender = runImgmv(args, { input: code });
      expect([(await sender.exit).code, sender.stderr]).toEqual([0, expect.any(String)]);
      expect([await receiver.exit, receiver.text]).toEqual([0, expect.stringMatching(/web:1\.0/)]);
      expect(receiver.text.split(code).length - 1).toBe(1);
    });

    it('receive with --json keeps the code out of standard output', async () => {
      const where = ['--listen', '127.0.0.1:0', '--docker-host', scene.target.dockerHost];
      const output = join(scene.directory, 'output');
      const command = imgmvCommand(['receive', '--once', '--json', ...where]);
      await using receiver = onTerminal(`${command} > '${output}'`);
      const [, code = ''] = await receiver.shows(CODE);
      await expect
        .poll(() => readFile(output, 'utf8'), { timeout: SHOW_TIMEOUT_MS })
        .toContain('"listening"');
      expect(await readFile(output, 'utf8')).not.toContain(code);
      receiver.type('\u0003');
      expect(await receiver.exit).toBe(130);
    });
  },
  { required: true },
);
