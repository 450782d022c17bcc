/** Somebody at the source decides: `imgmv plan` on a terminal, `send --confirm` and `copy --confirm`. */
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { DECISION_TIMEOUT_MS, describeDecisions, terminalOf } from './deciding.ts';
import { startRelay } from './relay.ts';
import { expectEnd, type Receiver } from './scene.ts';
import { namesAt } from './server.ts';

const OFFER = /^Send this to "[^"\n]+" now\? \[y\/N\]$/m;
const NAMES = /^Set these names on "[^"\n]+" now\? \[y\/N\]$/m;
const SEND = /^Send this\? Without an answer within 10 minutes nothing is sent\. \[y\/N\]$/m;
const COPY = /^Copy this\? Without an answer within 10 minutes nothing is copied\. \[y\/N\]$/m;

await describeDecisions('a plan that somebody decides about', (at) => {
  const start = (command: string, args: readonly string[], { port, codeFile }: Receiver) =>
    terminalOf(at.scene.source, [command, ...args, '--to', `127.0.0.1:${port}`, '--code-file', codeFile]);

  describe('plan', { timeout: DECISION_TIMEOUT_MS }, () => {
    it('offers to send what it has shown, with the same code, and a yes sends it', async () => {
      const before = await at.scene.look();
      await using receiver = await at.scene.receive();
      await using terminal = await start('plan', ['team/web:1.0', 'cache:7'], receiver);
      const shown = await terminal.shows(OFFER);
      expect(shown).toMatch(/^team\/web:1\.0 +linux\/amd64 +send +1 of 1 /m);
      expect(shown).toMatch(/^To send: /m);
      await receiver.imgmv.waitFor('confirming');
      expect(receiver.imgmv.stdout).not.toContain('"plan"');
      await at.scene.expectUnchanged(before);
      await terminal.press('y', 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^2 images done and verified: .*\nexit status 0$/m);
      await expectEnd(receiver.imgmv, 0, /"event":"plan".*"only":false/);
      expect(await namesAt(at.scene.target)).toEqual(['cache:7', 'team/web:1.0']);
    });

    it.each([
      ['Enter alone', ['Enter']],
      ['n', ['n', 'Enter']],
      ['the end of input', ['C-d']],
    ])('takes %s for a no: 0 on both sides, and nothing was sent', async (_what, keys) => {
      const before = await at.scene.look();
      await using receiver = await at.scene.receive();
      await using terminal = await start('plan', ['cache:7'], receiver);
      await terminal.shows(OFFER);
      await terminal.press(...keys);
      expect(await terminal.shows(/exit status/)).toMatch(
        /^Nothing was sent, and the code is used up: another move needs a new one\.\nexit status 0$/m,
      );
      await expectEnd(receiver.imgmv, 0, /"event":"plan".*"only":true/);
      await at.scene.expectUnchanged(before, receiver);
    });

    it('asks about names where there are no layers to send, and about nothing where all is there', async () => {
      await using first = await at.scene.receive();
      await expectEnd(at.scene.send(first, ['cache:7']), 0, /loaded/);
      await using receiver = await at.scene.receive();
      await using terminal = await start('plan', ['cache:7', '--as', 'cache:8'], receiver);
      expect(await terminal.shows(NAMES)).toMatch(/^No layers to send, only names to set\.$/m);
      await terminal.press('n', 'Enter');
      expect(await terminal.shows(/exit status/)).toMatch(/^No name was set\.\nexit status 0$/m);
      await using other = await at.scene.receive();
      const id = (
        await at.scene.source.docker(['image', 'inspect', '--format', '{{.Id}}', 'cache:7'])
      ).trim();
      await using nameless = await start('plan', [id], other);
      const end = await nameless.shows(/exit status 0/);
      expect(end).toMatch(/^Nothing to send\.$/m);
      expect(end).not.toMatch(/\[y\/N\]/);
    });

    it.each([
      ['plan', [], 'y', OFFER, 0, 'loaded'],
      ['plan', [], 'n', OFFER, 0, undefined],
      ['send', ['--confirm'], 'y', SEND, 0, 'loaded'],
      ['send', ['--confirm'], 'n', SEND, 16, undefined],
    ] as const)(
      '%s %j: an answer counts that is given while the connection is away: %s',
      async (command, more, key, question, exit, arrives) => {
        await using receiver = await at.scene.receive();
        await using relay = await startRelay({ port: receiver.port });
        await using terminal = await start(command, ['cache:7', ...more], {
          ...receiver,
          port: relay.port,
        });
        await terminal.shows(question);
        await receiver.imgmv.waitFor('confirming');
        await relay[Symbol.asyncDispose]();
        await receiver.imgmv.waitFor('reconnecting');
        const asked = question.source.replace('$', '');
        const lost = '^warning: the connection was lost; reconnecting \\(\\d\\)\n';
        await terminal.shows(new RegExp(`${lost}(?:.*\n)*${asked}$`, 'm'));
        await terminal.press(key, 'Enter');
        await terminal.shows(new RegExp(`${asked} ${key}$`, 'm'));
        await using _back = await startRelay({ port: receiver.port, at: relay.port });
        const end = await terminal.shows(/exit status/);
        expect(end.match(new RegExp(asked, 'gm'))).toHaveLength(1);
        expect(end).toMatch(new RegExp(`^exit status ${exit}$`, 'm'));
        await expectEnd(receiver.imgmv, exit, arrives ? new RegExp(arrives) : /"done"/);
        expect(await namesAt(at.scene.target)).toEqual(arrives ? ['cache:7'] : []);
      },
    );

    it('offers nothing where all is refused, and where output is not the terminal', async () => {
      await loadImage(at.scene.target, { name: 'cache:7', layers: [{ other: '1' }] });
      await using refusing = await at.scene.receive({ args: ['--once', '--no-replace'] });
      await using terminal = await start('plan', ['cache:7'], refusing);
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^exit status 16$/m);
      expect(end).not.toMatch(OFFER);
      await using receiver = await at.scene.receive();
      await expectEnd(at.scene.send(receiver, ['cache:7'], { command: 'plan' }), 0, /^cache:7 /m);
      expect(receiver.imgmv.stdout).not.toContain('"confirming"');
    });

    it('sends no more than it has shown: a name that another image took meanwhile is refused', async () => {
      await using receiver = await at.scene.receive();
      await using terminal = await start('plan', ['cache:7', 'team/db:16'], receiver);
      await terminal.shows(OFFER);
      const { id } = await loadImage(at.scene.target, { name: 'cache:7', layers: [{ other: '2' }] });
      await terminal.press('y', 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end.replaceAll('\n', ' ')).toMatch(
        /refused cache:7: on \S+: cache:7 is a different image now than when the plan was shown/,
      );
      expect(end).toMatch(/^loaded team\/db:16 /m);
      expect(end).toMatch(/^exit status 17$/m);
      const inspect = ['image', 'inspect', '--format', '{{.Id}}', 'cache:7'];
      expect((await at.scene.target.docker(inspect)).trim()).toBe(id);
      await expectEnd(receiver.imgmv, 17, /"done"/);
    });

    it('ends when the receiver goes while it asks', async () => {
      await using receiver = await at.scene.receive();
      await using terminal = await start('plan', ['cache:7'], receiver);
      await terminal.shows(OFFER);
      receiver.imgmv.kill();
      expect(await terminal.shows(/exit status/)).toMatch(/^exit status 11$/m);
      expect(await terminal.showsCursor()).toBe(true);
    });
  });

  describe('send --confirm', { timeout: DECISION_TIMEOUT_MS }, () => {
    it('shows the plan, and sends after a yes', async () => {
      await loadImage(at.scene.target, { name: 'cache:7', layers: [{ other: '3' }] });
      await using receiver = await at.scene.receive();
      await using terminal = await start('send', ['cache:7', '--confirm'], receiver);
      const shown = await terminal.shows(SEND);
      expect(shown).toMatch(/^cache:7 +linux\/amd64 +send +1 of 1 /m);
      expect(shown).toMatch(/cache:7 is [0-9a-f]{12} there now, which will lose this name/);
      expect(shown).toMatch(/^1 image, .* to send, 1 name taken from other images, \d+ s without/m);
      await terminal.press('y', 'Enter');
      expect(await terminal.shows(/exit status/)).toMatch(/^loaded cache:7 [\s\S]*^exit status 0$/m);
      await expectEnd(receiver.imgmv, 0, /"loaded"/);
    });

    it('shows what a compose file needs besides, once', async () => {
      const file = join(at.scene.directory, 'compose.yaml');
      await writeFile(file, 'services: {c: {image: "cache:7", env_file: c.env}}\n');
      await using receiver = await at.scene.receive();
      await using terminal = await start('send', ['--compose', file, '--confirm'], receiver);
      expect(await terminal.shows(SEND)).toMatch(/^Compose also needs these.*\n {2}env file c\.env \(c\)$/m);
      await terminal.press('y', 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^exit status 0$/m);
      expect(end.match(/env file/g)).toHaveLength(1);
      await receiver.imgmv.exit;
    });

    it('sends nothing after a no: 16 on both sides', async () => {
      const before = await at.scene.look();
      await using receiver = await at.scene.receive();
      await using terminal = await start('send', ['cache:7', '--confirm'], receiver);
      await terminal.shows(SEND);
      await terminal.press('n', 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(/^Nothing was sent\.\nrefused cache:7: it was not confirmed$/m);
      expect(end).toMatch(/^exit status 16$/m);
      await expectEnd(receiver.imgmv, 16, /it was not confirmed at /);
      await at.scene.expectUnchanged(before, receiver);
    });

    it('leaves the archive of a receiver unwritten after a no', async () => {
      const file = join(at.scene.directory, 'declined.tar');
      await using receiver = await at.scene.receive({ args: ['--once', '--into', `docker-archive:${file}`] });
      await using terminal = await start('send', ['cache:7', '--confirm'], receiver);
      await terminal.shows(SEND);
      await terminal.press('Enter');
      expect(await terminal.shows(/exit status/)).toMatch(/^exit status 16$/m);
      await expectEnd(receiver.imgmv, 16, /it was not confirmed at /);
      await expect(access(file)).rejects.toThrow('ENOENT');
    });

    it('fills an archive of a receiver after a yes', async () => {
      const file = join(at.scene.directory, 'confirmed.tar');
      await using receiver = await at.scene.receive({ args: ['--once', '--into', `docker-archive:${file}`] });
      await using terminal = await start('send', ['cache:7', '--confirm'], receiver);
      await terminal.shows(SEND);
      await terminal.press('y', 'Enter');
      expect(await terminal.shows(/exit status/)).toMatch(/^exit status 0$/m);
      await expectEnd(receiver.imgmv, 0, /"loaded"/);
      await access(file);
    });

    it('without a terminal, or with standard input taken, is 2 before anything is dialled', async () => {
      const where = [
        '--to',
        '127.0.0.1:1',
        '--code-file',
        'none',
        '--docker-host',
        at.scene.source.dockerHost,
      ];
      await expectEnd(
        runImgmv(['send', 'cache:7', '--confirm', ...where]),
        2,
        /^imgmv: there is no terminal to ask on.*\n.*`imgmv plan`/,
      );
      const from = ['--from', 'docker-archive:-'];
      await expectEnd(
        runImgmv(['send', '--confirm', ...from, ...where]),
        2,
        /^imgmv: standard input is taken, and --confirm asks there\n/,
      );
    });
  });

  describe('copy --confirm', { timeout: DECISION_TIMEOUT_MS }, () => {
    it.each([
      ['y', 0, /^written cache:7 /m],
      ['n', 16, /^Nothing was copied\.\nrefused cache:7: it was not confirmed$/m],
    ])('asks first; after %s it ends with %i', async (key, exit, says) => {
      const file = join(at.scene.directory, `copied-${key}.tar`);
      await using terminal = await terminalOf(at.scene.source, [
        'copy',
        'docker-daemon:cache:7',
        `docker-archive:${file}`,
        '--confirm',
      ]);
      expect(await terminal.shows(COPY)).toMatch(/^cache:7 +linux\/amd64 +copy /m);
      await expect(access(file)).rejects.toThrow('ENOENT');
      await terminal.press(key, 'Enter');
      const end = await terminal.shows(/exit status/);
      expect(end).toMatch(says);
      expect(end).toMatch(new RegExp(`^exit status ${exit}$`, 'm'));
      const written = access(file).then(
        () => true,
        () => false,
      );
      expect(await written).toBe(exit === 0);
    });

    it('without a terminal is 2', async () => {
      const places = ['docker-daemon:cache:7', 'docker-archive:none.tar'];
      await expectEnd(runImgmv(['copy', ...places, '--confirm']), 2, /no terminal to ask on/);
    });
  });
});
