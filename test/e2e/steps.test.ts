/** --verbose and --log: each step is told, beside whatever else is shown, and never a secret. */
import { chmod, chown, link, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

const NO_ENGINE = ['--docker-host', 'unix:///nowhere/docker.sock'];
const TIMED = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z (run|event|engine|connection|session) \S/;

describeOn(
  'the steps of a move',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [{ a: '1' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    it('are in the log of either side, and beside the events of --json', async () => {
      const [sent, received] = ['sent.log', 'received.log'].map((name) => join(scene.directory, name)) as [
        string,
        string,
      ];
      await using receiver = await scene.receive({ args: ['--once', '--log', received] });
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      await using sender = scene.send(receiver, ['web:1.0', '--json', '--verbose', '--log', sent]);
      await expectEnd(sender, 0, /"done"/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
      for (const line of sender.stdout.trim().split('\n')) expect(line).toMatch(/^\{"event"/);
      expect(sender.stderr).toMatch(/^ +[0-9.]+ engine: GET \/version 200 [0-9]+ ms$/m);
      expect(sender.stderr).toMatch(
        /^ +[0-9.]+ connection: dial lane 0 to 127\.0\.0\.1:\d+ \(pair, generation 0\)$/m,
      );

      const logs = await Promise.all([sent, received].map((path) => readFile(path, 'utf8')));
      for (const log of logs) {
        for (const line of log.trim().split('\n')) expect(line).toMatch(TIMED);
        expect(log).not.toContain(code);
        // A single word of it, such as "key", stands in any log.
        const words = code.split(/[\s-]/);
        for (const [at, word] of words.slice(1).entries())
          expect(log).not.toMatch(new RegExp(`\\b${words[at]}\\W+${word}\\b`));
        expect(log).toMatch(/ event \{"event":"done",.*\n(.*\n)*.* run exit status 0\n$/);
      }
      const [ofSender, ofReceiver] = logs;
      expect(ofSender).toMatch(/ engine GET \/images\/\S+\/get 200 /);
      expect(ofSender).toMatch(/ session begun with \S+, which is imgmv\/\S+; here is the sender\n/);
      expect(ofReceiver).toMatch(/ connection from 127\.0\.0\.1 proven: lane 0 \(pair, generation 0\)\n/);
      expect(ofReceiver).toMatch(/ engine POST \/images\/load 200 /);
      for (const log of [ofSender, ofReceiver])
        expect(log).toMatch(/ run used [0-9.]+ s of processors, [0-9.]+ s of them in the main thread\n/);
      expect((await stat(sent)).mode & 0o777).toBe(0o600);
    });
  },
  { required: true },
);

describe('a log', () => {
  let directory: ScratchDirectory;
  const at = (name: string) => join(directory.path, name);
  beforeAll(async () => {
    directory = await scratchDirectory();
  });
  afterAll(() => directory?.[Symbol.asyncDispose]());

  it('is appended to, says why a run failed, and what comes from elsewhere stays on its line', async () => {
    await writeFile(at('own.log'), 'before\n', { mode: 0o600 });
    const dockerHost = 'unix:///nowhere/\u001b[2J\n2026 forged';
    for (const _ of [1, 2]) {
      await using imgmv = runImgmv(['ls', '--docker-host', dockerHost, '--log', at('own.log'), '-v']);
      await expectEnd(imgmv, 14, /no docker engine/);
      expect(imgmv.stderr).not.toContain('\u001b');
      expect(imgmv.stderr).not.toMatch(/^2026/m);
    }
    const [first, ...lines] = (await readFile(at('own.log'), 'utf8')).trim().split('\n');
    expect(first).toBe('before');
    expect(lines).toEqual(lines.filter((line) => TIMED.test(line)));
    expect(lines.filter((line) => line.endsWith('run exit status 14'))).toHaveLength(2);
  });

  it('is not written through what somebody else may have placed', async () => {
    await writeFile(at('target'), '', { mode: 0o600 });
    await symlink(at('target'), at('symlink'));
    await link(at('target'), at('hardlink'));
    await writeFile(at('foreign'), '');
    await chown(at('foreign'), 65_534, 65_534);
    await writeFile(at('open'), '');
    await chmod(at('open'), 0o666);
    const cases = {
      symlink: /it is a symbolic link/,
      hardlink: /it has another name elsewhere/,
      foreign: /it belongs to user 65534/,
      open: /others can write it/,
      '.': /it is a directory/,
      'missing/file': /there is no directory \S+\/missing\n {2}make that directory, or name another one\n/,
    };
    for (const [name, says] of Object.entries(cases)) {
      await using imgmv = runImgmv(['ls', ...NO_ENGINE, '--log', at(name)]);
      await expectEnd(imgmv, 2, says);
      expect(imgmv.stderr).toMatch(/^imgmv: cannot log to /);
    }
    for (const name of ['target', 'foreign', 'open']) expect(await readFile(at(name), 'utf8')).toBe('');
  });

  it('that is full ends, and the run does not', async () => {
    // A regular file would take gigabytes; with this limit the second line does not fit.
    const limited = { argv: (command: readonly string[]) => ['prlimit', '--fsize=150', ...command] };
    await using imgmv = runImgmv(['doctor', ...NO_ENGINE, '--listen', '127.0.0.1:0', '--log', at('full')], {
      host: limited,
    });
    await expectEnd(imgmv, 14, /cannot write the log \S+ any more: file too large/);
    expect(imgmv.stdout).toMatch(/^FAULT +engine/m);
  });
});
