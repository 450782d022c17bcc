/** What happens to the network midway, and to processes that are stopped and go on: nobody has to begin anew. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { type Relay, startRelay } from './relay.ts';
import { expectEnd, expectGone, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const IMAGE_BYTES = 160 * MIB;
const CUTS = 8;
/** A window of the lane, and what its records, credits and handshakes take. */
const AGAIN_MAX_BYTES = 8 * MIB + 64 * 1024;
const BACK_MS = 3_000;
const TEST_TIMEOUT_MS = 120_000;

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  describeOn(
    `a connection that breaks, ${flavour} to ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      let id: string;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        const half = IMAGE_BYTES / 2;
        const layers = [{ 'srv/a': { bytes: half, seed: 1 } }, { 'srv/b': { bytes: half, seed: 2 } }];
        ({ id } = await loadImage(scene.source, { name: 'big:1', layers }));
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      async function begin(
        options: { readonly args?: readonly string[]; readonly flags?: readonly string[] } = {},
      ) {
        const receiver = await scene.receive({ args: ['--once', ...(options.args ?? [])] });
        const relay = await startRelay({ port: receiver.port });
        const sender = scene.send(receiver, ['big:1', '--json', ...(options.flags ?? [])], {
          to: `127.0.0.1:${relay.port}`,
        });
        return {
          receiver,
          relay,
          sender,
          async [Symbol.asyncDispose]() {
            await Promise.all([sender, receiver].map((process) => process[Symbol.asyncDispose]()));
            await relay[Symbol.asyncDispose]();
          },
        };
      }
      const arrived = async () => {
        const found = await scene.target.docker(['image', 'inspect', '--format', '{{.Id}}', 'big:1']);
        expect(found.trim()).toBe(id);
        await scene.target.docker(['image', 'rm', 'big:1']);
      };

      it(
        `goes on where it was, ${CUTS} times, without a new code`,
        async () => {
          await using run = await begin();
          const { receiver, relay, sender } = run;
          for (let cut = 1; cut <= CUTS; cut++) {
            await reached(relay, (cut * IMAGE_BYTES) / (CUTS + 1));
            relay.cut();
            const cutAt = performance.now();
            const before = relay.bytes;
            await reached(relay, before + 256 * 1024);
            expect(performance.now() - cutAt).toBeLessThan(BACK_MS);
          }
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          expect(relay.bytes).toBeLessThan(IMAGE_BYTES + CUTS * AGAIN_MAX_BYTES);
          const tries = (await eventsOf(sender)).filter(({ event }) => event === 'reconnecting');
          expect(tries.length).toBeGreaterThanOrEqual(CUTS);
          for (const { attempt, kept } of tries) {
            expect(attempt).toBeGreaterThan(0);
            expect(kept).toBeLessThanOrEqual(IMAGE_BYTES * 1.01);
          }
          expect(Number(tries.at(-1)?.kept)).toBeGreaterThan(IMAGE_BYTES / 2);
          await arrived();
          await expectGone(receiver);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'is given up when it does not come back, and nothing stays',
        async () => {
          const before = await scene.look();
          await using run = await begin({ args: ['--reconnect', '3s'], flags: ['--reconnect', '3s'] });
          const { receiver, relay, sender } = run;
          await reached(relay, IMAGE_BYTES / 4);
          await relay[Symbol.asyncDispose]();
          const hint = /was lost, and did not come back.*imgmv receive` there, `imgmv send` here/;
          await expectEnd(sender, 11, hint);
          await expectEnd(receiver.imgmv, 11, hint);
          await scene.expectUnchanged(before, receiver);
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: flavour === '20' },
  );
}

/** Waits until the sender has sent so much, through connections that were cut and others. */
async function reached(relay: Relay, bytes: number): Promise<void> {
  while (relay.bytes < bytes) await sleep(2);
}

async function eventsOf(imgmv: { readonly events: AsyncIterable<Record<string, unknown>> }) {
  const all: Record<string, unknown>[] = [];
  for await (const event of imgmv.events) all.push(event);
  return all;
}
