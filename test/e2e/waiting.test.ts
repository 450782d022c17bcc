/** What both sides know of one move: that the source is at work before its first byte, and how long it all took. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { startEngineRelay } from './engine-relay.ts';
import { expectEnd, type Receiver, type Scene, startScene } from './scene.ts';

describeOn(
  'both sides',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      for (const name of ['web:1.0', 'db:16'])
        await loadImage(scene.source, { name, layers: [{ a: { bytes: 2 ** 20, seed: name.length } }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    /** Sends both images, with docker save held until the receiver has told of progress. */
    async function moveHeld(receiver: Receiver) {
      const socketPath = scene.source.dockerHost.replace('unix://', '');
      const path = join(scene.directory, 'relay.sock');
      await using relay = await startEngineRelay({ socketPath, path, holdAt: '/get HTTP' });
      const to = ['--to', `127.0.0.1:${receiver.port}`, '--code-file', receiver.codeFile];
      await using sender = runImgmv([
        ...['send', 'web:1.0', 'db:16', '--json', ...to],
        ...['--docker-host', relay.dockerHost],
      ]);
      await relay.held;
      const waiting = await receiver.imgmv.waitFor('progress');
      relay.release();
      await expectEnd(sender, 0, /"done"/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
      return { waiting, sent: await toldBy(sender), received: await toldBy(receiver.imgmv) };
    }

    it.each([
      ['an engine', []],
      ['a file', ['--into', 'docker-archive:both.tar']],
    ])('know of a wait for docker save, and tell the same seconds, into %s', async (_into, more) => {
      await using receiver = await scene.receive({ args: ['--once', ...more], cwd: scene.directory });
      const { waiting, sent, received } = await moveHeld(receiver);
      expect(waiting).toMatchObject({ phase: 'transfer', bytes: 0, wireBytes: 0 });
      expect(['save', null]).toContain(waiting.bottleneck);
      const secondsOf = (events: typeof sent, name: string) =>
        events.filter(({ event }) => event === name).map(({ id, seconds }) => [id ?? '', seconds]);
      for (const name of ['image', 'done']) {
        const seconds = secondsOf(sent, name).sort();
        expect(seconds).toHaveLength(name === 'image' ? 2 : 1);
        expect(secondsOf(received, name).sort()).toEqual(seconds);
        for (const [, one] of seconds) expect(one).toBeGreaterThan(0);
      }
    });

    it('say "written" of files, and call it loaded for scripts', async () => {
      const where = ['--docker-host', scene.source.dockerHost];
      const copy = async (file: string, ...more: readonly string[]) => {
        const args = ['copy', 'docker-daemon:web:1.0', `docker-archive:${file}`, ...where, ...more];
        const imgmv = runImgmv(args, { cwd: scene.directory });
        await expectEnd(imgmv, 0, /./);
        return imgmv;
      };
      expect((await copy('a.tar', '--report', 'a.md')).stderr).toMatch(/^written web:1\.0 /m);
      expect((await copy('b.tar', '--json')).stdout).toMatch(/"event":"image".*"status":"loaded"/);
      const report = await readFile(join(scene.directory, 'a.md'), 'utf8');
      expect(report).toMatch(/^\| `web:1\.0` \| written \|/m);
      expect(report).toMatch(/^\| Exit status \| 0 \|$/m);
      expect(report).toContain(
        `\`imgmv copy docker-daemon:web:1.0 docker-archive:a.tar --docker-host ${scene.source.dockerHost} --report a.md\``,
      );
    });
  },
  { required: true },
);
