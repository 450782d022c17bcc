/** `imgmv send --to HOST` on a real terminal: the list of images, the question for the code, and the move of what was marked. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { IMGMV, type Imgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux, type Tmux, type TmuxOptions } from '../rig/tmux.ts';
import { expectEnd, type Receiver, type Scene, startScene } from './scene.ts';
import { namesAt } from './server.ts';

const KEYS = /Space: mark, Enter: done, Esc: cancel\.$/;
const QUESTION = /^Pairing code that `imgmv receive` shows on 127\.0\.0\.1 \(hidden\):$/m;
/** Sets a title, clears the screen, and turns the text behind it around. */
const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u202e';

describeOn(
  'send without an image, on a terminal',
  [await engineSupport('20'), await supportOf(() => requirePrograms('tmux', 'pgrep'))],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      for (const name of ['team/web:1.0', 'team/web:2.0', 'team/db:16', 'cache:7'])
        await loadImage(scene.source, { name, layers: [{ name }] });
      const labels = { [HOSTILE]: HOSTILE, maintainer: HOSTILE };
      const image = { layers: [{ a: 'hostile' }], config: { Labels: labels } };
      await loadImage(scene.source, { name: 'labelled:1', ...image });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      const names = await namesAt(scene.target);
      if (names.length > 0) await scene.target.docker(['image', 'rm', '--force', ...names]);
    });

    const start = (
      to: string,
      more: readonly string[] = [],
      options: Partial<TmuxOptions> = {},
    ): Promise<Tmux> => {
      const args = ['send', '--to', to, '--docker-host', scene.source.dockerHost, ...more];
      const command = [process.execPath, IMGMV, ...args].map((word) => `'${word}'`).join(' ');
      return startTmux(command, { columns: 120, rows: 30, ...options });
    };
    const send = ({ port }: Receiver, more?: readonly string[], options?: Partial<TmuxOptions>) =>
      start(`127.0.0.1:${port}`, more, options);
    const codeOf = async ({ codeFile }: Receiver) => (await readFile(codeFile, 'utf8')).trim();
    const expectUndialled = (imgmv: Imgmv) =>
      expect(imgmv.stdout).not.toMatch(/"event":"(attempt|paired|error)"/);

    it('moves exactly what was marked, once the code was given', async () => {
      await using receiver = await scene.receive();
      await using terminal = await send(receiver);
      const list = await terminal.shows(KEYS);
      expect(list).toMatch(/^docker 20\..*\nWhich images\? \(5\)\n/);
      for (const name of ['team/web:1.0', 'team/web:2.0', 'team/db:16', 'cache:7', 'labelled:1'])
        expect(list).toMatch(new RegExp(`^[> ] \\[ \\] ${name} `, 'm'));
      await terminal.press('team/web');
      const narrowed = await terminal.shows(/^Which images\? \(2 of 5\)$/m);
      expect(narrowed).not.toMatch(/cache|db|labelled/);
      await terminal.press('C-u', 'db', 'Space');
      await terminal.shows(/> \[x\] team\/db:16/);
      await terminal.press('C-u', '2.0', 'Space');
      await terminal.shows(/^Which images\? \(1 of 5, 2 marked\)$/m);
      expectUndialled(receiver.imgmv);
      await terminal.press('Enter');
      const asked = await terminal.shows(QUESTION);
      expect(asked).toMatch(
        /^Picked 2 \(\S+ k?B\): (team\/db:16, team\/web:2\.0|team\/web:2\.0, team\/db:16)$/m,
      );
      expect(asked).not.toContain('Space marks');
      expectUndialled(receiver.imgmv);
      await terminal.press(await codeOf(receiver), 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^loaded team\/db:16 .* verified$/m);
      expect(end).toMatch(/^loaded team\/web:2\.0 .* verified$/m);
      expect(end).toMatch(/^2 images done and verified: .*\nexit status 0$/m);
      expect(end).not.toContain(await codeOf(receiver).catch(() => 'no code is left'));
      expect((await receiver.imgmv.exit).code).toBe(0);
      expect(await namesAt(scene.target)).toEqual(['team/db:16', 'team/web:2.0']);
      expect(await terminal.showsCursor()).toBe(true);
    });

    it('renames what was picked, and takes the code from a file', async () => {
      await using receiver = await scene.receive();
      const more = ['--code-file', receiver.codeFile, '--registry', 'registry.example', '--project', 'ours'];
      await using terminal = await send(receiver, more);
      await terminal.shows(KEYS);
      await terminal.press('cache', 'Space', 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^loaded cache:7 as registry\.example\/ours\/cache:7 .*\nexit status 0$/m);
      expect(await namesAt(scene.target)).toEqual(['registry.example/ours/cache:7']);
    });

    it.each([
      ['Escape', /^imgmv: no image was picked\nexit status 2$/m],
      ['C-c', /^imgmv: stopped by SIGINT\nexit status 130$/m],
    ])('%s gives it up, and nobody was dialled', async (key, says) => {
      await using receiver = await scene.receive();
      const before = await scene.look();
      await using terminal = await send(receiver);
      await terminal.shows(KEYS);
      await terminal.press('Space');
      await terminal.shows(/1 marked/);
      await terminal.press(key);
      expect(await terminal.shows(/exit status/)).toMatch(says);
      expect(await terminal.showsCursor()).toBe(true);
      expectUndialled(receiver.imgmv);
      receiver.imgmv.kill();
      await expectEnd(receiver.imgmv, 143, /stopped by SIGTERM/);
      await scene.expectUnchanged(before, receiver);
    });

    it('of labels nothing acts, and a title stays what it is', async () => {
      await using receiver = await scene.receive();
      await using terminal = await send(receiver);
      expect(await terminal.shows(KEYS)).toMatch(
        /^docker 20\..*\nWhich images\? \(5\)\n(.*\n)*..\[ \] labelled:1 /,
      );
      await terminal.press('labelled', 'Space', 'Enter');
      await terminal.shows(QUESTION);
      await terminal.press(await codeOf(receiver), 'Enter');
      const end = await terminal.shows(/exit status 0/);
      expect(end).toMatch(/^docker 20\./);
      expect(end).not.toContain('owned');
    });

    it.each([
      ['--json', /^\{"event":"error".*"code":"usage".*"message":"no image is named"/],
      ['--quiet', /^imgmv: no image is named\n {2}name one or more, or give --all/],
      ['--code-file=-', /^imgmv: no image is named\n {2}name one or more, or give --all/],
    ])('is no list with %s: whoever runs it is no person', async (flag, says) => {
      await using terminal = await start('127.0.0.1:1', [flag]);
      expect(await terminal.shows(/exit status 2/)).toMatch(says);
    });

    it('is the list for a move file that names no image, with what else the file says', async () => {
      await using receiver = await scene.receive();
      const moveFile = join(scene.directory, 'move.yaml');
      const yaml = ['retag: {"cache": "store"}', `code-file: ${receiver.codeFile}`, ''];
      await writeFile(moveFile, yaml.join('\n'));
      await using terminal = await send(receiver, ['--move', moveFile], { env: { NO_COLOR: '1' } });
      await terminal.shows(KEYS);
      await terminal.press('cache', 'Space', 'Enter');
      expect(await terminal.shows(/exit status 0/)).toMatch(/^loaded cache:7 as store:7 /m);
      expect(await terminal.screen({ styled: true })).not.toContain('\u001b');
      expect(await namesAt(scene.target)).toEqual(['store:7']);
    });

    it('leaves the terminal to the question for the code, where the move file comes on standard input', async () => {
      await using receiver = await scene.receive();
      const moveFile = join(scene.directory, 'piped.yaml');
      const to = `to: 127.0.0.1:${receiver.port}`;
      await writeFile(
        moveFile,
        [to, 'images: team/*', `docker-host: ${scene.source.dockerHost}`, ''].join('\n'),
      );
      const command = `cat '${moveFile}' | '${process.execPath}' '${IMGMV}' send --move -`;
      await using terminal = await startTmux(command, { columns: 120, rows: 30 });
      await terminal.shows(QUESTION);
      await terminal.press(await codeOf(receiver), 'Enter');
      expect(await terminal.shows(/exit status 0/)).toMatch(/^3 images done and verified: /m);
      expect((await namesAt(scene.target)).length).toBe(3);
    });

    it('plan has the list, too', async () => {
      await using receiver = await scene.receive();
      const args = ['plan', '--to', `127.0.0.1:${receiver.port}`, '--docker-host', scene.source.dockerHost];
      const words = [process.execPath, IMGMV, ...args, '--code-file', receiver.codeFile];
      const command = words.map((word) => `'${word}'`).join(' ');
      await using terminal = await startTmux(command, { columns: 120, rows: 30 });
      await terminal.shows(KEYS);
      await terminal.press('cache', 'Space', 'Enter');
      await terminal.shows(/ now\? \[y\/N\]/);
      await terminal.press('n', 'Enter');
      expect(await terminal.shows(/exit status 0/)).toMatch(/^cache:7 +linux\/amd64 +send/m);
      expect(await namesAt(scene.target)).toEqual([]);
    });

    it('has nothing to show of an engine without images', async () => {
      await using terminal = await start('127.0.0.1:1', ['--docker-host', scene.target.dockerHost]);
      expect(await terminal.shows(/exit status 2/)).toMatch(
        /^imgmv: there are no images to pick from\nexit/m,
      );
    });
  },
  { required: true },
);
