/** What happens to the network midway, and to processes that are stopped and go on: nobody has to begin anew. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, type JsonEvent, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { type Relayed, startRelayed } from './relayed.ts';
import { expectEnd, expectGone, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
/** So large that a part of it is left after all cuts, though what is under way goes again each time. */
const LARGE_BYTES = 160 * MIB;
/** Enough to be committed layer by layer, and several windows of a lane. */
const IMAGE_BYTES = 68 * MIB;
/** More than a quarter of it and a window. */
const SHORT_BYTES = 24 * MIB;
const CUTS = 8;
/** A window of the lane, and what its records, credits and handshakes take. */
const AGAIN_MAX_BYTES = 8 * MIB + 64 * 1024;
/** It is back at one of the first tries: no pause has grown long before. */
const TRIES_MAX = 4;
/** It stays silent when that was told. */
const STILL_MS = 6_000;
const STALL_SECONDS = 3;
/** Longer than a receiver waits for the last word of a sender that it hears. */
const LATE_MS = 12_000;
const TEST_TIMEOUT_MS = 300_000;

type Act = (run: Relayed) => void;

interface TestImage {
  /** Its name. */
  readonly images: readonly string[];
  /** Fails unless it is at the target, and removes it there. */
  readonly arrived: () => Promise<void>;
}

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  describeOn(
    `a connection that breaks, ${flavour} to ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      let one: TestImage;
      let seeds = 0;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        one = await image();
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      /** Another image on the source. */
      async function image(bytes = IMAGE_BYTES): Promise<TestImage> {
        const half = () => ({ data: { bytes: bytes / 2, seed: ++seeds } });
        const { name, id } = await loadImage(scene.source, {
          name: `big:${seeds}`,
          layers: [half(), half()],
        });
        const arrived = async () => {
          const found = await scene.target.docker(['image', 'inspect', '--format', '{{.Id}}', name]);
          expect(found.trim()).toBe(id);
          await scene.target.docker(['image', 'rm', name]);
        };
        return { images: [name], arrived };
      }

      it(
        `goes on where it was, ${CUTS} times, without a new code`,
        async () => {
          const { images, arrived } = await image(LARGE_BYTES);
          await using run = await startRelayed(scene, { images });
          const { receiver, relay, sender } = run;
          for (let cut = 1; cut <= CUTS; cut++) {
            await reached(run, (cut * LARGE_BYTES) / (CUTS + 1));
            relay.cut();
            const before = relay.bytes;
            await reached(run, before + 256 * 1024);
          }
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          expect(relay.bytes).toBeLessThan(LARGE_BYTES + CUTS * AGAIN_MAX_BYTES);
          const tries = (await toldBy(sender)).filter(({ event }) => event === 'reconnecting');
          // A cut that hits one lane while the other is still on its way back is not told apart.
          expect(tries.length).toBeGreaterThan(CUTS / 2);
          for (const { attempt, kept } of tries) {
            expect(attempt).toBeGreaterThan(0);
            expect(attempt).toBeLessThanOrEqual(TRIES_MAX);
            expect(kept).toBeLessThanOrEqual(LARGE_BYTES * 1.01);
          }
          expect(Number(tries.at(-1)?.kept)).toBeGreaterThan(LARGE_BYTES / 2);
          await arrived();
          await expectGone(receiver);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'is given up when it does not come back, and nothing stays',
        async () => {
          const { images } = one;
          const before = await scene.look();
          const patience = ['--reconnect', '3s'];
          await using run = await startRelayed(scene, {
            images,
            receiveArgs: patience,
            sendArgs: ['--json', ...patience],
          });
          const { receiver, relay, sender } = run;
          await reached(run, IMAGE_BYTES / 4);
          await relay[Symbol.asyncDispose]();
          const hint =
            /was lost, and did not come back.*imgmv receive` on the target, `imgmv send` on the source/;
          await expectEnd(sender, 11, hint);
          await expectEnd(receiver.imgmv, 11, hint);
          await scene.expectUnchanged(before, receiver);
        },
        TEST_TIMEOUT_MS,
      );

      // What an engine does has no part in these two.
      const messages = ['upgrade', 'preamble', 'first message', 'last message', 'RESUME'];
      it.each(flavour === '20' ? messages.map((message, chunk) => ({ message, chunk })) : [])(
        'opens the lane of blobs again when its $message is lost',
        async ({ chunk }) => {
          const { images, arrived } = one;
          await using run = await startRelayed(scene, { images, relay: { cutAt: { connection: 1, chunk } } });
          const { receiver, sender } = run;
          await expectEnd(sender, 0, /"reconnecting".*"loaded"/s);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          await arrived();
          await expectGone(receiver);
        },
        TEST_TIMEOUT_MS,
      );

      it.concurrent.each(flavour === '20' ? ['result'] : [])(
        'does not lose the last %s, be it late',
        async () => {
          const { images, arrived } = await image();
          await using run = await startRelayed(scene, { images });
          const { receiver, relay, sender } = run;
          await firstOf(sender, ({ phase }) => phase === 'load');
          relay.swallow();
          await receiver.imgmv.waitFor('done');
          await sleep(LATE_MS);
          relay.flow();
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          await arrived();
          await expectGone(receiver);
        },
        TEST_TIMEOUT_MS,
      );

      const stops = [
        ['the network swallows all', ({ relay }) => relay.swallow(), ({ relay }) => relay.flow()],
        [
          'the sender is stopped',
          ({ sender }) => sender.kill('SIGSTOP'),
          ({ sender }) => sender.kill('SIGCONT'),
        ],
        [
          'the receiver is stopped',
          ({ receiver }) => receiver.imgmv.kill('SIGSTOP'),
          ({ receiver }) => receiver.imgmv.kill('SIGCONT'),
        ],
      ] as const satisfies readonly (readonly [string, Act, Act])[];
      // What an engine does has no part in these, and most of their time they wait: they do so together.
      it.concurrent.each(flavour === '20' ? stops : [])(
        'is named while %s, and goes on',
        async (_what, stop, goOn) => {
          const { images, arrived } = await image(SHORT_BYTES);
          await using run = await startRelayed(scene, { images });
          const { receiver, sender } = run;
          await reached(run, SHORT_BYTES / 4);
          stop(run);
          const told = await Promise.race([sender.waitFor('silent'), receiver.imgmv.waitFor('silent')]);
          expect(told.seconds).toBeGreaterThanOrEqual(15);
          await sleep(STILL_MS);
          goOn(run);
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          await arrived();
        },
        TEST_TIMEOUT_MS,
      );

      const engines = [
        ['save', 'source'],
        ['load', 'target'],
      ] as const;
      it.each(flavour === '20' ? engines : [])(
        'tells a stall of %s from a break',
        async (part, side) => {
          const { images, arrived } = one;
          await using run = await startRelayed(scene, { images });
          const { receiver, sender } = run;
          await reached(run, IMAGE_BYTES / 4);
          scene[side].kill('SIGSTOP');
          const stalled = await firstOf(
            sender,
            ({ stalledSeconds }) => Number(stalledSeconds) >= STALL_SECONDS,
          );
          scene[side].kill('SIGCONT');
          expect(stalled).toMatchObject({ phase: 'transfer', bottleneck: part, rate: 0 });
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          for (const one of [sender, receiver.imgmv])
            expect(one.stdout).not.toMatch(/"event":"(silent|reconnecting)"/);
          await arrived();
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: flavour === '20' },
  );
}

/** Waits until the sender has sent so much, through connections that were cut and others. */
async function reached({ relay, sender }: Relayed, bytes: number): Promise<void> {
  let ended = false;
  void sender.exit.then(() => {
    ended = true;
  });
  while (relay.bytes < bytes) {
    if (ended) throw new Error(`the sender ended before ${bytes} bytes: ${sender.stdout.slice(-1_000)}`);
    await sleep(2);
  }
}

async function firstOf(imgmv: Imgmv, wanted: (event: JsonEvent) => boolean): Promise<JsonEvent> {
  for await (const event of imgmv.events) if (wanted(event)) return event;
  throw new Error(`it never came to that: ${imgmv.stdout}`);
}
