/** `imgmv receive --accept` and `--confirm`: what whoever gives a code away allows by it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import type { Tmux } from '../rig/tmux.ts';
import { DECISION_TIMEOUT_MS, describeDecisions, terminalOf } from './deciding.ts';
import { startRelay } from './relay.ts';
import { expectEnd } from './scene.ts';
import { namesAt } from './server.ts';

const QUESTION = /^Do this\? Without an answer within 60 s it is refused\. \[y\/N\]$/m;

/** The port that a file of events comes to tell. */
async function portTold(events: string): Promise<string> {
  let port: string | undefined;
  await vi.waitFor(
    async () => {
      port = /"event":"listening".*"port":(\d+)/.exec(await readFile(events, 'utf8'))?.[1];
      expect(port).toBeDefined();
    },
    { timeout: 20_000, interval: 50 },
  );
  return port as string;
}

await describeDecisions('what a receiver allows', (at) => {
  let codeFiles = 0;

  describe('--accept', { timeout: DECISION_TIMEOUT_MS }, () => {
    it.each([
      ['nothing', [], 0, ['cache:7', 'team/db:16', 'team/web:1.0']],
      ['a pattern', ['--accept', 'team/*'], 17, ['team/db:16', 'team/web:1.0']],
      ['several', ['--accept', 'team/web:1.*', 'docker.io/library/cache'], 17, ['cache:7', 'team/web:1.0']],
      ['one pattern again', ['--accept', 'cache:8', '--accept', 'team/db'], 17, ['team/db:16']],
      ['other names', ['--accept', 'registry.example/*'], 16, []],
    ])('of %s', async (_what, args, exit, names) => {
      await using receiver = await at.scene.receive({ args: ['--once', ...args] });
      const sender = at.scene.send(receiver, ['--all']);
      await expectEnd(sender, exit, /./);
      await expectEnd(receiver.imgmv, exit, /./);
      expect(await namesAt(at.scene.target)).toEqual(names);
      if (exit === 0) return;
      expect(sender.stderr).toMatch(/^refused \S+: on \S+: \S+ is not a name that --accept allows$/m);
    });

    it('is about the names that are set here, and shows in a plan', async () => {
      const args = ['--once', '--registry', 'registry.example', '--accept', 'registry.example/team/*'];
      await using asked = await at.scene.receive({ args });
      const plan = at.scene.send(asked, ['--all'], { command: 'plan' });
      await expectEnd(plan, 17, /refused: on \S+: registry\.example\/cache:7 is not a name that --accept/);
      await using receiver = await at.scene.receive({ args });
      await expectEnd(at.scene.send(receiver, ['--all']), 17, /./);
      await receiver.imgmv.exit;
      const names = ['registry.example/team/db:16', 'registry.example/team/web:1.0'];
      expect(await namesAt(at.scene.target)).toEqual(names);
    });

    it('is about names in files, too', async () => {
      const archive = `docker-archive:${join(at.scene.directory, 'accepted.tar')}`;
      await using receiver = await at.scene.receive({
        args: ['--once', '--into', archive, '--accept', 'team/*'],
      });
      await expectEnd(at.scene.send(receiver, ['--all']), 17, /refused cache:7/);
      await expectEnd(receiver.imgmv, 17, /./);
      const list = runImgmv(['copy', archive, `oci:${join(at.scene.directory, 'layout')}`]);
      await expectEnd(list, 0, /written team\/db:16[\s\S]*written team\/web:1\.0/);
      expect(list.stderr).not.toContain('cache');
    });

    it.each([
      ['*.example/web', /\*\.example is a registry, which has to be written out/],
      ['web:/^1/', /it does not take a regular expression/],
    ])('%s is a usage error', async (pattern, says) => {
      await expectEnd(runImgmv(['receive', '--once', '--accept', pattern]), 2, says);
    });
  });

  describe('--confirm', { timeout: DECISION_TIMEOUT_MS }, () => {
    /** `receive --confirm` on a terminal, and how to send to it. */
    const receive = async (more: readonly string[] = [], events?: string) => {
      const codeFile = join(at.scene.directory, `code-of-terminal-${++codeFiles}`);
      const where = ['--listen', '127.0.0.1:0', '--code-file', codeFile];
      const args = ['receive', '--once', '--confirm', ...where, ...more];
      const terminal = await terminalOf(at.scene.target, args, events);
      const port = events
        ? await portTold(events)
        : /^Listening on 127\.0\.0\.1:(\d+)/m.exec(await terminal.shows(/with the pairing code/))?.[1];
      const there = (through: unknown) => ['--to', `127.0.0.1:${through}`, '--code-file', codeFile];
      const engine = ['--docker-host', at.scene.source.dockerHost];
      const send = (images: readonly string[], command = 'send', through: unknown = port) =>
        runImgmv([command, ...images, ...there(through), ...engine]);
      const onTerminal = (command: string, images: readonly string[]) =>
        terminalOf(at.scene.source, [command, ...images, ...there(port)]);
      return {
        terminal,
        port,
        send,
        onTerminal,
        [Symbol.asyncDispose]: () => terminal[Symbol.asyncDispose](),
      };
    };
    const answer = async (terminal: Tmux, ...keys: readonly string[]) => {
      await terminal.shows(QUESTION);
      await terminal.press(...keys);
    };

    it('shows the plan with what it replaces, and moves nothing before a yes', async () => {
      await loadImage(at.scene.target, { name: 'cache:7', layers: [{ other: '1' }] });
      const before = await at.scene.look();
      await using receiver = await receive(['--accept', 'team/web', 'cache']);
      await using sender = receiver.send(['team/web:1.0', 'team/db:16', 'cache:7']);
      const shown = await receiver.terminal.shows(QUESTION);
      expect(shown).toMatch(/^"[^"\n]+" at 127\.0\.0\.1 wants to send:$/m);
      expect(shown).toMatch(/^team\/web:1\.0 +linux\/amd64 +send +1 of 1 /m);
      expect(shown).toMatch(/^ {2}refused: team\/db:16 is not a name that --accept allows$/m);
      expect(shown).toMatch(/^ {2}cache:7 is [0-9a-f]{12} here now, which will lose this name$/m);
      expect(shown).toMatch(
        /^2 images, \S+ k?B to send, 1 name taken from other images, 1 refused in any case$/m,
      );
      expect(sender.stderr).toMatch(/^Waiting for somebody on \S+ to confirm\.$/m);
      expect((await at.scene.look()).target.shown).toEqual(before.target.shown);
      await receiver.terminal.press('y', 'Enter');
      expect(await receiver.terminal.shows(/exit status/)).toMatch(/^exit status 17$/m);
      await expectEnd(sender, 17, /^loaded team\/web:1\.0 /m);
      expect(await namesAt(at.scene.target)).toEqual(['<none>:<none>', 'cache:7', 'team/web:1.0']);
    });

    it.each([
      ['n', ['n', 'Enter'], 16, /^Nothing was taken\.\nrefused cache:7: it was not confirmed$/m],
      ['Enter', ['Enter'], 16, /^refused cache:7: it was not confirmed$/m],
      ['something else', ['yo', 'Enter'], 16, /^refused cache:7: it was not confirmed$/m],
      ['Ctrl-D', ['C-d'], 16, /^refused cache:7: it was not confirmed$/m],
      ['Ctrl-C', ['C-c'], 130, /stopped by SIGINT/],
    ] as const)('takes %s for a no', async (_what, keys, exit, says) => {
      const before = await at.scene.look();
      await using receiver = await receive();
      await using sender = receiver.send(['cache:7']);
      await answer(receiver.terminal, ...keys);
      const end = await receiver.terminal.shows(/exit status/);
      expect(end).toMatch(says);
      expect(end).toMatch(new RegExp(`^exit status ${exit}$`, 'm'));
      if (exit === 16) await expectEnd(sender, 16, /^refused cache:7: on \S+: it was not confirmed$/m);
      else await expectEnd(sender, 11, /the other host stopped/);
      await at.scene.expectUnchanged(before);
    });

    it.each([
      ['y', 0, ['cache:7']],
      ['n', 16, []],
    ])('counts an answer that is given while the connection is away: %s', async (key, exit, names) => {
      await using receiver = await receive();
      await using relay = await startRelay({ port: Number(receiver.port) });
      await using sender = receiver.send(['cache:7', '--json'], 'send', relay.port);
      await receiver.terminal.shows(QUESTION);
      await relay[Symbol.asyncDispose]();
      await sender.waitFor('reconnecting');
      const lost = /^warning: the connection was lost; waiting for it to come back$/m;
      const shown = await receiver.terminal.shows(lost);
      expect(shown.slice(shown.search(lost))).toMatch(QUESTION);
      await receiver.terminal.press(key, 'Enter');
      await receiver.terminal.shows(new RegExp(`\\[y/N\\] ${key}$`, 'm'));
      await using _back = await startRelay({ port: Number(receiver.port), at: relay.port });
      const end = await receiver.terminal.shows(/exit status/);
      expect(end.match(/^Do this\?/gm)).toHaveLength(1);
      expect(end).toMatch(new RegExp(`^exit status ${exit}$`, 'm'));
      await expectEnd(sender, exit, /"done"/);
      expect(await namesAt(at.scene.target)).toEqual(names);
    });

    it('asks with --json, too, and not on standard output', async () => {
      const events = join(at.scene.directory, 'confirmed.json');
      await using receiver = await receive(['--json'], events);
      await using sender = receiver.send(['cache:7']);
      await answer(receiver.terminal, 'y', 'Enter');
      expect(await receiver.terminal.shows(/exit status/)).toMatch(/^exit status 0$/m);
      await expectEnd(sender, 0, /^loaded cache:7 /m);
      const lines = (await readFile(events, 'utf8')).trimEnd().split('\n');
      const told = lines.map((line) => (JSON.parse(line) as { event: string }).event);
      expect(told.filter((event) => event !== 'progress')).toEqual([
        'engine',
        'listening',
        'paired',
        'plan',
        'image',
        'done',
      ]);
    });

    it('takes no key for an answer that was typed before the question', async () => {
      await using receiver = await receive();
      await receiver.terminal.press('y', 'Enter', 'y', 'Enter', 'y');
      await using sender = receiver.send(['cache:7']);
      await receiver.terminal.shows(QUESTION);
      await receiver.terminal.press('Enter');
      await expectEnd(sender, 16, /it was not confirmed/);
      expect(await namesAt(at.scene.target)).toEqual([]);
    });

    it('does not ask about a plan', async () => {
      await using receiver = await receive();
      await using plan = receiver.send(['cache:7'], 'plan');
      await expectEnd(plan, 0, /^cache:7 /m);
      expect(plan.stderr).not.toContain('Waiting for');
      const end = await receiver.terminal.shows(/exit status/);
      expect(end).not.toMatch(QUESTION);
      expect(end).toMatch(/^exit status 0$/m);
    });

    it('asks about a plan once its user wants to have it sent, and not before', async () => {
      await using receiver = await receive();
      await using planner = await receiver.onTerminal('plan', ['cache:7']);
      await planner.shows(/^Send this to .* now\? \[y\/N\]$/m);
      const waiting = await receiver.terminal.shows(/^Waiting for somebody on .* to confirm\.$/m);
      expect(waiting).not.toMatch(QUESTION);
      await planner.press('y', 'Enter');
      await answer(receiver.terminal, 'y', 'Enter');
      expect(await planner.shows(/exit status/)).toMatch(/^loaded cache:7 [\s\S]*^exit status 0$/m);
      expect(await receiver.terminal.shows(/exit status/)).toMatch(/^exit status 0$/m);
      expect(await namesAt(at.scene.target)).toEqual(['cache:7']);
    });

    it('withdraws the question when the sender goes', async () => {
      await using receiver = await receive();
      await using sender = receiver.send(['cache:7']);
      await receiver.terminal.shows(QUESTION);
      sender.kill();
      expect(await receiver.terminal.shows(/exit status/)).toMatch(/^exit status 11$/m);
      expect(await receiver.terminal.showsCursor()).toBe(true);
    });

    it('wants a terminal: 2 without one', async () => {
      const codeFile = join(at.scene.directory, 'code-of-nobody');
      const args = ['receive', '--once', '--confirm', '--code-file', codeFile];
      await expectEnd(runImgmv(args), 2, /no terminal to ask on.*\n.*--accept PATTERN/);
    });
  });
});
