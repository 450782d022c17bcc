/** The objects of `--json` on both sides, as docs/CONTRACT has them: scripts read these. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import type { Imgmv, JsonEvent } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { type Scene, startScene } from './scene.ts';

const DATE = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const COUNT = expect.any(Number);
const MIB = 2 ** 20;

describeOn(
  'events',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    let web: LoadedImage;
    let old: LoadedImage;
    const sent: JsonEvent[] = [];
    const received: JsonEvent[] = [];
    let codeFile: string;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      const bytes = 24 * MIB;
      web = await loadImage(scene.source, {
        name: 'web:1.0',
        layers: [{ a: { bytes, seed: 1 } }, { b: 'b' }],
      });
      await scene.source.docker(['tag', 'web:1.0', 'web:latest']);
      await loadImage(scene.source, { name: 'arm:1', layers: [{ a: 'arm' }], architecture: 'arm64' });
      old = await loadImage(scene.target, { name: 'web:1.0', layers: [{ a: 'old' }] });
      await using receiver = await scene.receive();
      codeFile = receiver.codeFile;
      // Slow enough for a few looks at the progress.
      await using sender = scene.send(receiver, ['web:1.0', 'web', 'arm:1', '--json', '--level', '19']);
      expect((await sender.exit).code, sender.stderr).toBe(0);
      expect((await receiver.imgmv.exit).code).toBe(0);
      for await (const event of sender.events) sent.push(event);
      for await (const event of receiver.imgmv.events) received.push(event);
      expect([sender.stderr, receiver.imgmv.stderr]).toEqual(['', '']);
      for (const run of [sender, receiver.imgmv]) expectEventsOnly(run);
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    describe.each([
      { side: 'receive', events: received },
      { side: 'send', events: sent },
    ])('of $side', ({ side, events }) => {
      const only = (name: string) => events.filter(({ event }) => event === name);
      const ofWeb = (name: string) => only(name).filter(({ id }) => id === web.id);

      it('come in order, each with its time', () => {
        const begin =
          side === 'receive' ? ['engine', 'listening', 'paired', 'plan'] : ['engine', 'paired', 'plan'];
        const names = events.map(({ event }) => event);
        expect(names.filter((name) => name !== 'progress')).toEqual([...begin, 'image', 'image', 'done']);
        for (const { time } of events) expect(time).toEqual(DATE);
      });

      it('name the engine', () => {
        const engine = side === 'receive' ? scene.target : scene.source;
        expect(only('engine')).toEqual([
          expect.objectContaining({
            address: engine.dockerHost,
            foundBy: '--docker-host',
            kind: 'docker',
            version: engine.version,
            store: 'classic',
          }),
        ]);
      });

      it('name the peer', () => {
        const engine = { kind: 'docker', version: scene.source.version, store: 'classic' };
        const peer = { name: expect.any(String), address: expect.stringContaining('127.0.0.1'), engine };
        expect(only('paired')).toEqual([
          {
            event: 'paired',
            time: DATE,
            peer: { ...peer, key: expect.stringMatching(/^[0-9a-f]{64}$/) },
            role: side === 'receive' ? 'receiver' : 'sender',
            ...(side === 'send' && { target: expect.any(String) }),
          },
        ]);
      });

      /** Of an image that was not offered a sender is told 12 digits. */
      const oldId = () => (side === 'send' ? old.id.slice('sha256:'.length).slice(0, 12) : old.id);

      /** Its engine's data is in mounts of its own; the other side is not told. */
      const saved = side === 'send' && {
        read: 'save',
        readReason: expect.stringMatching(/ is not visible from here/),
      };

      it('hold the plan', () => {
        const [plan] = only('plan');
        expect(plan?.only).toBe(false);
        expect(plan?.images).toEqual([
          {
            id: web.id,
            platform: 'linux/amd64',
            refs: [
              { source: 'web:1.0', target: 'web:1.0', replaces: oldId() },
              { source: 'web:latest', target: 'web:latest', replaces: null },
            ],
            action: 'send',
            reason: null,
            warning: null,
            ...saved,
            layers: 2,
            layersMissing: 2,
            bytes: COUNT,
            bytesMissing: COUNT,
            idChange: null,
          },
          expect.objectContaining({
            platform: 'linux/arm64',
            warning: expect.stringContaining('made for arm64'),
          }),
        ]);
      });

      it('tell the progress', () => {
        const progress = ofWeb('progress');
        expect(progress.length).toBeGreaterThan(1);
        for (const event of progress) {
          expect(event).toMatchObject({
            id: web.id,
            refs: [
              expect.objectContaining({ target: 'web:1.0' }),
              expect.objectContaining({ target: 'web:latest' }),
            ],
            phase: expect.stringMatching(/^(transfer|load)$/),
            bytes: COUNT,
            bytesTotal: COUNT,
            wireBytes: COUNT,
            rate: COUNT,
            wireRate: COUNT,
            limit: null,
          });
          expect([null, 'save', 'compress', 'network', 'load']).toContain(event.bottleneck);
          expect(event.bytes).toBeLessThanOrEqual(Number(event.bytesTotal));
        }
      });

      it('tell what became of each image', () => {
        const [first] = ofWeb('image');
        expect(first).toEqual({
          event: 'image',
          time: DATE,
          id: web.id,
          platform: 'linux/amd64',
          refs: [
            { source: 'web:1.0', target: 'web:1.0', replaced: oldId() },
            { source: 'web:latest', target: 'web:latest', replaced: null },
          ],
          status: 'loaded',
          targetId: web.id,
          bytes: COUNT,
          wireBytes: COUNT,
          layersSent: 2,
          ...saved,
          layersSkipped: 0,
          startedAt: COUNT,
          seconds: COUNT,
          phases: { transfer: COUNT, load: COUNT, push: null },
          kept: 0,
          error: null,
          ...(side === 'send' && { target: expect.any(String) }),
        });
        expect(first?.bytes).toBeGreaterThan(24 * MIB);
        expect(first?.wireBytes).toBeGreaterThan(24 * MIB);
      });

      it('end with the sum', () => {
        const images = only('image');
        const sum = images.reduce((bytes, image) => bytes + Number(image.bytes), 0);
        const [done] = only('done');
        expect(done).toMatchObject({
          images: 2,
          failed: 0,
          bytes: sum,
          exit: 0,
          wireBytes: COUNT,
          seconds: COUNT,
        });
      });
    });

    it('count the bytes on the wire alike', () => {
      const counts = [sent, received].map((events) =>
        events.flatMap(({ event, wireBytes }) =>
          event === 'image' || event === 'done' ? [Number(wireBytes)] : [],
        ),
      );
      expect(counts[0]).toEqual(counts[1]);
      const [one = 0, other = 0, all = 0] = counts[0] ?? [];
      // What is said besides is little.
      expect(all - one - other).toBeGreaterThan(0);
      expect(all - one - other).toBeLessThan(MIB);
    });

    it('say where the receiver listens, until when, and where the code is', () => {
      const [listening] = received.filter(({ event }) => event === 'listening');
      expect(listening).toEqual({
        event: 'listening',
        time: DATE,
        address: '127.0.0.1',
        port: COUNT,
        expires: DATE,
        codeFile,
      });
      const life = Date.parse(String(listening?.expires)) - Date.parse(String(listening?.time));
      expect(Math.abs(life - 600_000)).toBeLessThan(60_000);
    });

    it('name the target host in all that a sender tells of it', () => {
      const about = sent.filter(({ event }) => event !== 'engine');
      for (const event of about) expect(event).toHaveProperty('target', '127.0.0.1');
    });

    it('tell an error with its exit status', async () => {
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['no-such', '--json']);
      expect((await sender.exit).code).toBe(10);
      expect(sender.stderr).toBe('');
      expect(await sender.waitFor('error')).toEqual({
        event: 'error',
        time: DATE,
        code: 'image-not-found',
        exit: 10,
        message: 'no such image on this host: "no-such"',
        hint: expect.any(String),
        target: '127.0.0.1',
      });
    });

    it('tell a refusal in the plan, the image and the sum', async () => {
      await using receiver = await scene.receive({ args: ['--once', '--no-replace'] });
      await scene.source.docker(['tag', 'arm:1', 'web:1.0']);
      await using sender = scene.send(receiver, ['web:1.0', '--json']);
      expect((await sender.exit).code).toBe(16);
      expect((await receiver.imgmv.exit).code).toBe(16);
      for (const run of [sender, receiver.imgmv]) {
        const reason = expect.stringContaining('--no-replace');
        expect(await run.waitFor('plan')).toMatchObject({ images: [{ action: 'refuse', reason }] });
        const error = { code: 'refused', message: reason };
        expect(await run.waitFor('image')).toMatchObject({ status: 'refused', targetId: null, error });
        expect(await run.waitFor('done')).toMatchObject({ images: 1, failed: 1, exit: 16 });
      }
    });
  },
  { required: true },
);

/** One object a line, and nothing else. */
function expectEventsOnly({ stdout }: Imgmv): void {
  for (const line of stdout.trimEnd().split('\n'))
    expect(JSON.parse(line)).toMatchObject({ event: expect.any(String), time: DATE });
}
