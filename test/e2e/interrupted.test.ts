/** What ends a transfer midway: both sides say so, each by its own exit status, and nothing of it stays. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { startRelay } from './relay.ts';
import { type Relayed, type RelayedOptions, startMidway } from './relayed.ts';
import {
  expectEnd,
  expectGone,
  expectHeld,
  expectSettled,
  holdings,
  type Look,
  nth,
  type Scene,
  startScene,
} from './scene.ts';

const MIB = 2 ** 20;
/** A connection that is lost for good need not be waited for. */
const RECONNECT = ['--reconnect', '2s'];
const LOST = /the connection to \S+ was lost, and did not come back/;
/** Twice what is taken before the connection is held and the window of a lane, so that it is midway for all. */
const IMAGE_BYTES = 24 * MIB;
const HOLD_AFTER_BYTES = 4 * MIB;
/** Far behind the handshake and within one of the records, which are 64 KiB. */
const FLIP_AT = 2 * MIB + 30_000;

interface Interruption {
  readonly title: string;
  readonly strike: (midway: Relayed) => void | PromiseLike<void>;
  readonly sender: number;
  readonly receiver: number;
  readonly senderSays: RegExp;
  readonly receiverSays: RegExp;
}

const STOPPED = /the other host stopped/;

const signals = [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

const interruptions: readonly Interruption[] = [
  ...signals.map(([signal, exit]) => ({
    title: `${signal} of the sender`,
    strike: ({ sender }: Relayed) => sender.kill(signal),
    sender: exit,
    receiver: 11,
    senderSays: new RegExp(`^stopped big:1: stopped by ${signal}$`, 'm'),
    receiverSays: /"event":"image".*"status":"failed".*the other host stopped/,
  })),
  ...signals.map(([signal, exit]) => ({
    title: `${signal} of the receiver`,
    strike: ({ receiver }: Relayed) => receiver.imgmv.kill(signal),
    sender: 11,
    receiver: exit,
    senderSays: /^stopped big:1: the other host stopped$/m,
    receiverSays: new RegExp(`"event":"image".*"status":"failed".*stopped by ${signal}`),
  })),
  {
    title: 'the connection breaks',
    strike: ({ relay }) => relay[Symbol.asyncDispose](),
    sender: 11,
    receiver: 11,
    senderSays: LOST,
    receiverSays: LOST,
  },
];

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  describeOn(
    `midway, ${flavour} to ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        await loadBig(scene);
        await loadImage(scene.source, { name: 'small:1', layers: [{ 'srv/v': 'small' }] });
        await loadImage(scene.target, { name: 'big:1', layers: [{ 'srv/v': 'what big:1 was' }] });
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      it.each(interruptions)('$title', async ({ strike, sender, receiver, senderSays, receiverSays }) => {
        const before = await scene.look();
        await using midway = await bigMidway(scene);
        await strike(midway);
        midway.relay.release();
        await expectEnd(midway.sender, sender, senderSays);
        await expectEnd(midway.receiver.imgmv, receiver, receiverSays);
        await scene.expectUnchanged(before, midway.receiver);
      });

      it('SIGKILL of the sender', async () => {
        const before = await scene.look();
        await using midway = await bigMidway(scene);
        midway.sender.kill('SIGKILL');
        midway.relay.release();
        expect(await midway.sender.exit).toEqual({ code: null, signal: 'SIGKILL' });
        await expectEnd(midway.receiver.imgmv, 11, LOST);
        await scene.expectUnchanged(before, midway.receiver);
      });

      it('SIGKILL of the sender, and a receiver that goes on', async () => {
        const before = await scene.look();
        await using midway = await bigMidway(scene, { receiveAs: [] });
        midway.sender.kill('SIGKILL');
        midway.relay.release();
        expect(await midway.receiver.imgmv.waitFor('done')).toMatchObject({ failed: 1, exit: 11 });
        await scene.expectUnchanged(before);
        await nth(midway.receiver.imgmv, 'listening', 1);
        await using next = scene.send(midway.receiver, ['small:1']);
        await expectEnd(next, 0, /loaded small:1/);
        await nth(midway.receiver.imgmv, 'listening', 2);
        await scene.target.docker(['image', 'rm', 'small:1']);
        midway.receiver.imgmv.kill('SIGTERM');
        await expectEnd(midway.receiver.imgmv, 143, /stopped by SIGTERM/);
        await expectGone(midway.receiver);
      });

      it('a bit that flips on the way', async () => {
        const before = await scene.look();
        await using receiver = await scene.receive();
        // The dialler's end of the lane comes late: the receiver's reason must not wait for it.
        await using relay = await startRelay({ port: receiver.port, flipBitAt: FLIP_AT, endAfterMs: 500 });
        await using sender = scene.send(receiver, ['big:1'], { to: `127.0.0.1:${relay.port}` });
        await expectEnd(receiver.imgmv, 13, /altered, repeated or is out of order/);
        await expectEnd(sender, 13, /the other host got bytes that were altered on the way/);
        await scene.expectUnchanged(before, receiver);
      });

      // The last two: what they may leave in a containerd store would be taken for what was there before.
      it('a second signal ends the receiver at once, and the code file with it', async () => {
        const before = await scene.look();
        await using midway = await bigMidway(scene);
        midway.receiver.imgmv.kill('SIGINT');
        midway.receiver.imgmv.kill('SIGTERM');
        midway.relay.release();
        const { code } = await midway.receiver.imgmv.exit;
        expect([130, 143]).toContain(code);
        await expectEnd(midway.sender, 11, STOPPED);
        await expectNothingMoreShown(scene, before);
        await expectGone(midway.receiver);
      });

      it('SIGKILL of the receiver', async () => {
        const before = await scene.look();
        await using midway = await bigMidway(scene);
        midway.receiver.imgmv.kill('SIGKILL');
        midway.relay.release();
        expect(await midway.receiver.imgmv.exit).toEqual({ code: null, signal: 'SIGKILL' });
        await expectEnd(midway.sender, 11, LOST);
        await expectNothingMoreShown(scene, before);
      });
    },
    { required: flavour === '20' },
  );
}

const flavours = ['20', '28c'] as const satisfies readonly Flavour[];
for (const flavour of flavours) {
  for (const side of ['source', 'target'] as const) {
    describeOn(
      `the ${side}'s engine (${flavour}) is killed midway`,
      [await engineSupport(flavour)],
      () => {
        it('ends both sides with 14, and the other engine keeps nothing', async () => {
          await using scene = await startScene({ source: flavour, target: flavour });
          await loadBig(scene);
          const other = scene[side === 'source' ? 'target' : 'source'];
          const before = await holdings(other);
          await using midway = await bigMidway(scene);
          scene[side].kill('SIGKILL');
          midway.relay.release();
          await expectEnd(midway.sender, 14, /lost the docker engine at unix:/);
          await expectEnd(midway.receiver.imgmv, 14, /lost the docker engine at unix:/);
          await expectSettled(() => holdings(other), before);
          await expectGone(midway.receiver);
        });
      },
      { required: flavour === '20' },
    );
  }
}

/** Where nobody was left to end the load: a containerd store keeps what it got of it for a day. */
async function expectNothingMoreShown({ source, target }: Scene, before: Look): Promise<void> {
  await expectHeld(source, before.source);
  await expectSettled(() => holdings(target), before.target.shown);
}

async function loadBig(scene: Scene): Promise<void> {
  const half = IMAGE_BYTES / 2;
  const layers = [{ 'srv/a': { bytes: half, seed: 1 } }, { 'srv/b': { bytes: half, seed: 2 } }];
  await loadImage(scene.source, { name: 'big:1', layers });
}

/** A transfer of `big:1` that stands still with a part of its bytes on the target. */
function bigMidway(scene: Scene, options: RelayedOptions = {}): Promise<Relayed> {
  // Whoever is killed is not waited for, and what failed is not tried again.
  const sendArgs = [...RECONNECT, '--retries', '0'];
  return startMidway(scene, HOLD_AFTER_BYTES, { receiveArgs: RECONNECT, sendArgs, ...options });
}
