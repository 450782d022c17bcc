/**
 * How a sender at a terminal meets its receiver: it looks for it, asks for the code until it is right, and keeps what is
 * typed meanwhile from the shell. No engine is needed.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { classicTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { IMGMV, runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux, type Tmux } from '../rig/tmux.ts';
import { expectEnd } from './scene.ts';

const QUESTION = /^Pairing code that `imgmv receive` shows on 127\.0\.0\.1 \(hidden\):$/m;
const COLUMNS = 120;
/** Somebody waits 15 s after a wrong code. */
const TEST_TIMEOUT_MS = 180_000;

describeOn(
  'a sender at a terminal',
  [await supportOf(() => requirePrograms('bash', 'tmux', 'pgrep'))],
  () => {
    let scratch: ScratchDirectory;
    let archive: string;
    let count = 0;

    beforeAll(async () => {
      scratch = await scratchDirectory();
      archive = join(scratch.path, 'image.tar');
      await writeFile(archive, classicTar(await testImage()));
    });
    afterAll(() => scratch?.[Symbol.asyncDispose]());

    const commandOf = (args: readonly string[]) =>
      [process.execPath, IMGMV, ...args].map((word) => `'${word}'`).join(' ');
    const receiving = (codeFile: string) => {
      const where = ['--into', `oci:${join(scratch.path, `layout-${count}`)}`, '--listen', '127.0.0.1:0'];
      return ['receive', '--once', ...where, '--code-file', codeFile];
    };

    async function receive() {
      const codeFile = join(scratch.path, `code-${++count}`);
      const imgmv = runImgmv([...receiving(codeFile), '--json']);
      const { port } = await imgmv.waitFor('listening');
      const code = (await readFile(codeFile, 'utf8')).trim();
      return { imgmv, port, code, [Symbol.asyncDispose]: () => imgmv[Symbol.asyncDispose]() };
    }

    const sending = (port: unknown, command = 'send') =>
      commandOf([command, '--from', `docker-archive:${archive}`, '--to', `127.0.0.1:${port}`]);

    /** Whatever is typed and not taken by imgmv is read, and shown once more, by the `cat` that follows it. */
    const send = (port: unknown, command = 'send') =>
      startTmux(`ulimit -c 0; ${sending(port, command)}`, { columns: COLUMNS, rows: 30 });

    it.each(['send', 'plan'])(
      '%s asks nobody for the code of a receiver that is not there',
      async (command) => {
        await using terminal = await send(1, command);
        const end = await terminal.shows(/exit status 11$/);
        expect(end).toMatch(
          /^imgmv: 127\.0\.0\.1:1 refused the connection: nothing listens there, or a firewall/m,
        );
        expect(end).not.toMatch(/hidden/);
      },
    );

    it('looks for the receiver, which tells nobody and waits on; four letters of each word are enough', async () => {
      await using receiver = await receive();
      await using terminal = await send(receiver.port);
      const asked = await terminal.shows(QUESTION);
      expect(asked).toMatch(/^The first four letters of each word of the pairing code are enough\.$/m);
      expect(receiver.imgmv.stdout).toMatch(/"event":"listening".*\n$/);
      const short = receiver.code.split('-').map((word) => word.slice(0, 4));
      await terminal.press(short.join(' '), 'Enter');
      await terminal.shows(/verified\n(?:.*\n)*exit status 0$/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
    });

    it(
      'asks again after a wrong code, waits as long as the receiver wants, and shows nothing that is typed meanwhile',
      async () => {
        await using receiver = await receive();
        await using terminal = await send(receiver.port);
        await terminal.shows(QUESTION);
        await terminal.press(generateCode().reveal(), 'Enter');
        await terminal.shows(
          /^imgmv: the other host says that the pairing code is wrong: try again \(4 tries left\)\nPairing code .*\(hidden\):$/m,
        );
        await expect.poll(() => receiver.imgmv.stdout).toMatch(/"event":"attempt".*"left":4/);
        await terminal.press(receiver.code, 'Enter');
        await terminal.shows(/refuses this address for now, after a wrong code: waiting \d+ s/);
        await terminal.press('pasted-too-late', 'Enter');
        const end = await terminal.shows(/verified\n(?:.*\n)*exit status 0$/);
        expect(end).not.toContain('pasted');
        await expectEnd(receiver.imgmv, 0, /"done"/);
        // And the terminal works as usual: what is typed is shown, and reaches the next program.
        await terminal.press('typed', 'Enter');
        expect(await terminal.shows(/typed\ntyped$/)).not.toContain('pasted');
      },
      TEST_TIMEOUT_MS,
    );

    it('says how many tries a mistyped code has, and that a receiver has gone that was there', async () => {
      await using receiver = await receive();
      await using terminal = await send(receiver.port);
      await terminal.shows(QUESTION);
      await terminal.press('two words', 'Enter');
      await terminal.shows(/want 6 words, got 2: try again \(2 tries left\)$/m);
      await terminal.press('one', 'Enter');
      await terminal.shows(/want 6 words, got 1: try again \(1 try left\)$/m);
      receiver.imgmv.kill();
      await receiver.imgmv.exit;
      await terminal.press(receiver.code, 'Enter');
      const end = await terminal.shows(/exit status 11$/);
      expect(end).toMatch(
        /^imgmv: \S+ no longer listens: its pairing code has expired or was used, or the receiver was stopped\n {2}run `imgmv receive` on that host again for a new code$/m,
      );
      expect(end).not.toMatch(/firewall/);
    });

    it('ends with Ctrl-C while it waits', async () => {
      await using receiver = await receive();
      await using terminal = await send(receiver.port);
      await terminal.shows(QUESTION);
      await terminal.press(generateCode().reveal(), 'Enter');
      await terminal.shows(/try again/);
      await terminal.press(receiver.code, 'Enter');
      await terminal.shows(/waiting \d+ s/);
      await terminal.press('C-c');
      await terminal.shows(/imgmv: stopped by SIGINT\nexit status 130$/);
      expect(receiver.imgmv.stdout).not.toContain('"paired"');
    });

    /** A receiver that asks on a terminal, and the way of a sender to it. */
    async function asking() {
      const codeFile = join(scratch.path, `code-${++count}`);
      const receiver = commandOf([...receiving(codeFile), '--confirm']);
      const terminal = await startTmux(receiver, { columns: COLUMNS, rows: 30 });
      const listening = await terminal.shows(/^Listening on 127\.0\.0\.1:(\d+)/m);
      const port = /^Listening on 127\.0\.0\.1:(\d+)/m.exec(listening)?.[1];
      const code = (await readFile(codeFile, 'utf8')).trim();
      return { terminal, port, code, [Symbol.asyncDispose]: () => terminal[Symbol.asyncDispose]() };
    }

    /** A sender that has paired with it, and waits. */
    async function waiting({ terminal: asks, port, code }: Awaited<ReturnType<typeof asking>>) {
      const terminal = await send(port);
      await terminal.shows(QUESTION);
      await terminal.press(code, 'Enter');
      await asks.shows(/\[y\/N\]$/);
      await terminal.shows(/^Waiting for somebody on .* to confirm\.$/m);
      await terminal.press('pasted-too-late', 'Enter');
      return terminal;
    }

    /** The terminal works as usual: what is typed is shown, and reaches the next program. */
    async function expectAsUsual(terminal: Tmux): Promise<void> {
      await terminal.press('typed', 'Enter');
      expect(await terminal.shows(/typed\ntyped$/)).not.toContain('pasted');
    }

    it('shows nothing that is typed before its end, and lets none of it get to the shell', async () => {
      await using receiver = await asking();
      await using terminal = await waiting(receiver);
      await receiver.terminal.press('y', 'Enter');
      expect(await terminal.shows(/verified\n(?:.*\n)*exit status 0$/)).not.toContain('pasted');
      await expectAsUsual(terminal);
    });

    it.each([
      ['SIGTERM', 143],
      ['SIGHUP', 129],
      ['SIGQUIT', 131],
    ] as const)('leaves the terminal as it was when %s ends it', async (signal, status) => {
      await using receiver = await asking();
      await using terminal = await waiting(receiver);
      process.kill(await terminal.pid(), signal);
      await terminal.shows(new RegExp(`exit status ${status}$`));
      await expectAsUsual(terminal);
    });

    it('does so when a second signal ends it at once', async () => {
      await using receiver = await asking();
      await using terminal = await waiting(receiver);
      const pid = await terminal.pid();
      process.kill(pid, 'SIGSTOP');
      process.kill(pid, 'SIGINT');
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
      await terminal.shows(/exit status (130|143)$/);
      await expectAsUsual(terminal);
    });

    it('lets Ctrl-Z stop it, and shows nothing again once it goes on', async () => {
      await using receiver = await asking();
      await using terminal = await startTmux('bash --norc -i', { columns: COLUMNS, rows: 30 });
      await terminal.press(sending(receiver.port), 'Enter');
      await terminal.shows(QUESTION);
      await terminal.press(receiver.code, 'Enter');
      await receiver.terminal.shows(/\[y\/N\]$/);
      await terminal.press('C-z');
      await terminal.shows(/Stopped/);
      await terminal.press('echo to"-the-"shell', 'Enter');
      await terminal.shows(/^to-the-shell$/m);
      await terminal.press('fg', 'Enter');
      await expect.poll(() => terminal.signals(), { timeout: TEST_TIMEOUT_MS }).toBe(false);
      await terminal.press('pasted-too-late', 'Enter');
      await receiver.terminal.press('y', 'Enter');
      expect(await terminal.shows(/verified/)).not.toContain('pasted');
    });

    it('with a wrong code from a file ends at once: nobody is there to be asked', async () => {
      await using receiver = await receive();
      const args = ['send', '--from', `docker-archive:${archive}`, '--to', `127.0.0.1:${receiver.port}`];
      await using sender = runImgmv([...args, '--code-file', '-'], { input: generateCode().reveal() });
      await expectEnd(sender, 12, /the other host says that the pairing code is wrong\n/);
    });
  },
  { required: true },
);
