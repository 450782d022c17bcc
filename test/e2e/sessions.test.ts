/** A receiver without --once: one session after another, each with a code of its own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { startEngineRelay } from './engine-relay.ts';
import { startRelay } from './relay.ts';
import { expectEnd, expectGone, holdings, nth, type Scene, startScene } from './scene.ts';

describeOn(
  'sessions',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [{ a: { bytes: 16 * 2 ** 20, seed: 1 } }] });
      await loadImage(scene.source, { name: 'web:2.0', layers: [{ a: '2' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    it('one after another, each with a fresh code in the same file, until it is stopped', async () => {
      await using receiver = await scene.receive({ args: [] });
      const codes = new Set<string>();
      for (const [index, name] of ['web:1.0', 'web:2.0', 'no-such'].entries()) {
        const { port, codeFile } = await nth(receiver.imgmv, 'listening', index);
        expect([port, codeFile]).toEqual([receiver.port, receiver.codeFile]);
        codes.add(await readFile(receiver.codeFile, 'utf8'));
        await using sender = scene.send(receiver, [name]);
        await expectEnd(sender, name === 'no-such' ? 10 : 0, /web:\d|no such image/);
        if (name !== 'no-such') expect(await nth(receiver.imgmv, 'done', index)).toMatchObject({ exit: 0 });
      }
      expect(codes.size).toBe(3);
      receiver.imgmv.kill('SIGTERM');
      await expectEnd(receiver.imgmv, 143, /stopped by SIGTERM/);
      expect((await holdings(scene.target)).map((line) => line.split(' ')[0])).toEqual([
        'web:1.0',
        'web:2.0',
      ]);
      await expectGone(receiver);
    });

    it('a code serves once: 12 for who brings it during the session, and after it', async () => {
      await using receiver = await scene.receive({ args: [] });
      const input = await readFile(receiver.codeFile, 'utf8');
      await using relay = await startRelay({ port: receiver.port, holdAfterBytes: 2 ** 20 });
      const options = { to: `127.0.0.1:${relay.port}`, codeFile: '-', input };
      await scene.target.docker(['image', 'rm', '--force', 'web:1.0']).catch(() => ''); // if it is there
      await using first = scene.send(receiver, ['web:1.0'], options);
      await relay.held;
      await using second = scene.send(receiver, ['web:1.0'], { codeFile: '-', input });
      await expectEnd(
        second,
        12,
        /its code is used: another sender is connected, or was\n\s+start `imgmv receive` there again/,
      );
      relay.release();
      await expectEnd(first, 0, /loaded web:1\.0/);
      await nth(receiver.imgmv, 'listening', 1);
      await using third = scene.send(receiver, ['web:1.0'], { codeFile: '-', input });
      await expectEnd(third, 12, /its code is used: another sender is connected, or was\n/);
      const told = await receiver.imgmv.waitFor('warning');
      expect(told.message).toMatch(/^127\.0\.0\.1 gave the pairing code that was shown before this one$/);
      expect(receiver.imgmv.stdout).not.toContain('"attempt"');
      receiver.imgmv.kill('SIGINT');
      await expectEnd(receiver.imgmv, 130, /stopped by SIGINT/);
      await expectGone(receiver);
    });
  },
  { required: true },
);

describeOn(
  'sessions with another engine each',
  [await engineSupport('20'), await engineSupport('28c')],
  () => {
    it('an engine that comes back with another store is refused once, as not what was told, and then taken', async () => {
      await using scene = await startScene({ source: '20', target: '28c' });
      const layers = [{ etc: 'one' }, { srv: { bytes: 4 * 2 ** 20, seed: 1 } }];
      await loadImage(scene.source, { name: 'base:1', layers });
      await loadImage(scene.source, { name: 'app:1', layers: [...layers, { app: 'it' }] });
      // Whoever serves behind this name may change, as an engine does that is installed anew.
      const socket = join(scene.directory, 'docker.sock');
      const serve = ({ socketPath }: Engine) =>
        startEngineRelay({ socketPath, path: socket, holdAt: 'what nobody ever says' });
      const first = await serve(scene.source);
      await using receiver = await scene.receive({ args: ['--docker-host', `unix://${socket}`] });
      const session = async (index: number, name: string, exit: number, says: RegExp) => {
        await nth(receiver.imgmv, 'listening', index);
        await using sender = scene.send(receiver, [name, '--json', '--retries', '0']);
        await expectEnd(sender, exit, says);
        return sender.events;
      };
      await session(0, 'base:1', 0, /"status":"present"/);
      await first[Symbol.asyncDispose]();
      await using _second = await serve(scene.target);
      await session(1, 'base:1', 14, /"code":"engine-refused"/);
      expect((await receiver.imgmv.waitFor('error')).message).toMatch(
        /was docker with the classic store when the session began, and is docker with the containerd store/,
      );
      await session(2, 'base:1', 0, /"status":"loaded"/);
      // What that store holds is known, though it was not when this receiver began.
      await session(3, 'app:1', 0, /"status":"loaded".*"layersSent":1,"layersSkipped":2/);
      receiver.imgmv.kill('SIGTERM');
      await expectEnd(receiver.imgmv, 143, /stopped by SIGTERM/);
    });
  },
);
