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
import { startTmux } from '../rig/tmux.ts';
import { expectEnd } from './scene.ts';

const QUESTION = /^Pairing code that `imgmv receive` shows on 127\.0\.0\.1 \(hidden\):$/m;
const COLUMNS = 120;
/** Somebody waits 15 s after a wrong code. */
const TEST_TIMEOUT_MS = 180_000;

describeOn(
  'a sender at a terminal',
  [await supportOf(() => requirePrograms('tmux', 'pgrep'))],
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

    /** Whatever is typed and not taken by imgmv is read, and shown once more, by the `cat` that follows it. */
    const send = (port: unknown, command = 'send') =>
      startTmux(commandOf([command, '--from', `docker-archive:${archive}`, '--to', `127.0.0.1:${port}`]), {
        columns: COLUMNS,
        rows: 30,
      });

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
          /^imgmv: the other host says that the pairing code is wrong: try again .* how many tries are left\)\nPairing code .*\(hidden\):$/m,
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

    it('lets nothing that is typed before its end get to the shell', async () => {
      const codeFile = join(scratch.path, `code-${++count}`);
      const receiver = `${commandOf([...receiving(codeFile), '--confirm'])}`;
      await using asking = await startTmux(receiver, { columns: COLUMNS, rows: 30 });
      const listening = await asking.shows(/^Listening on 127\.0\.0\.1:(\d+)/m);
      const port = /^Listening on 127\.0\.0\.1:(\d+)/m.exec(listening)?.[1];
      const code = (await readFile(codeFile, 'utf8')).trim();
      await using terminal = await send(port);
      await terminal.shows(QUESTION);
      await terminal.press(code, 'Enter');
      await asking.shows(/\[y\/N\]$/);
      await terminal.shows(/^Paired with /m);
      await terminal.press('pasted-too-late', 'Enter');
      await asking.press('y', 'Enter');
      await terminal.shows(/verified\n(?:.*\n)*exit status 0$/);
      await terminal.press('typed', 'Enter');
      const end = await terminal.shows(/typed\ntyped$/);
      expect(end.split('pasted-too-late').length - 1).toBeLessThan(2);
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
