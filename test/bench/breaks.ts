/**
 * What a break costs. As root:
 *
 *     npm run bench:breaks
 *
 * First an image of 1 GB in eight layers moves while its connections are cut 20 times: how long each takes to come
 * back, and what was sent twice. Then a receiver is killed when 90 % of such an image have come, for several orders
 * of its layers: what stays at the target. It asserts nothing.
 */

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { clean } from '../../agent/commands/clean.ts';
import { Engine } from '../../agent/docker/engine.ts';
import { EngineSink } from '../../agent/docker/engine-sink.ts';
import { helloOf } from '../../agent/ends/host.ts';
import { bytesToCome } from '../../agent/model/image.ts';
import { move } from '../../agent/move/move.ts';
import { dialSession } from '../../agent/peer/dialler.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import { parseCode } from '../../proto/code.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { startRelay } from '../e2e/relay.ts';
import { expectEnd, type Scene, startScene } from '../e2e/scene.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import type { Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { requireRoot } from '../rig/root.ts';

const MIB = 2 ** 20;
const LAYERS = 8;
const LAYER_BYTES = 128 * MIB;
const IMAGE_BYTES = LAYERS * LAYER_BYTES;
const CUTS = 20;
const KILL_AT = 0.9;
/** An engine that has got all of a load finishes it without us. */
const SETTLE_MS = 3_000;
const SPECS = Array.from({ length: LAYERS }, (_, at) => ({
  [`srv/${at}`]: { bytes: LAYER_BYTES, seed: at + 1 },
}));

requireRoot();
for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  await using scene = await startScene({
    source: flavour,
    target: flavour,
    sourceBytes: 4 * 2 ** 30,
    targetBytes: 6 * 2 ** 30,
  });
  await cuts(scene, flavour);
  await kills(scene, flavour);
}

async function cuts(scene: Scene, flavour: Flavour): Promise<void> {
  await loadImage(scene.source, { name: 'big:1', layers: SPECS });
  await using receiver = await scene.receive();
  await using relay = await startRelay({ port: receiver.port });
  await using sender = scene.send(receiver, ['big:1', '--json'], { to: `127.0.0.1:${relay.port}` });
  const back: number[] = [];
  for (let cut = 1; cut <= CUTS; cut++) {
    await until(() => relay.bytes >= (cut * IMAGE_BYTES) / (CUTS + 1));
    const before = relay.bytes;
    relay.cut();
    const cutAt = performance.now();
    await until(() => relay.bytes > before + 64 * 1024);
    back.push(performance.now() - cutAt);
  }
  await expectEnd(sender, 0, /"loaded"/);
  await expectEnd(receiver.imgmv, 0, /"loaded"/);
  const twice = Math.max(0, relay.bytes - IMAGE_BYTES) / CUTS / MIB;
  say(
    `${flavour}: ${CUTS} cuts in 1 GiB: back after ${(median(back) / 1000).toFixed(2)} s (median), ` +
      `${(Math.max(...back) / 1000).toFixed(2)} s at most; ${twice.toFixed(1)} MiB sent twice a cut`,
  );
  await scene.target.docker(['image', 'rm', 'big:1']);
}

async function kills(scene: Scene, flavour: Flavour): Promise<void> {
  const store = flavour === '20' ? 'classic' : 'containerd';
  const image = await testImage({ name: 'big:1', store, layers: SPECS });
  const up = [...Array(LAYERS).keys()];
  const orders = [
    ['from the bottom up', up],
    ['from the top down', [...up].reverse()],
    ['at random', [3, 0, 6, 1, 7, 2, 5, 4]],
    ['at random', [5, 1, 0, 2, 7, 4, 3, 6]],
    ['at random', [1, 6, 2, 0, 4, 3, 7, 5]],
  ] as const;
  for (const [what, order] of orders) {
    await killed(scene, ordered(image, order));
    await sleep(SETTLE_MS);
    const kept = image.image.bytes - (await missingBytes(scene, image));
    const share = Math.round((100 * kept) / image.image.bytes);
    say(
      `${flavour}: receiver killed at ${100 * KILL_AT} %, layers ${what} (${order.join(' ')}): ${Math.round(kept / MIB)} MiB stay, ${share} %`,
    );
    const engine = { dockerHost: scene.target.dockerHost, env: {} };
    await clean({ engine, force: true, emit: () => {}, signal: new AbortController().signal });
  }
}

/** Sends from this process, where the order of layers is ours, and kills the receiver on the way. */
async function killed(scene: Scene, image: MemoryImage): Promise<void> {
  await using receiver = await scene.receive();
  const engine = await Engine.connect({ dockerHost: scene.target.dockerHost, env: {} });
  const session = await dialSession({
    url: `ws://127.0.0.1:${receiver.port}`,
    code: parseCode(await readFile(receiver.codeFile, 'utf8')),
    role: 'sender',
    hello: helloOf(engine, 'bench', { purpose: 'move' }),
    emit: () => {},
    patienceMs: 1_000,
  });
  const sink = new PeerSink({ session });
  await move(new MemorySource([image]), sink, {
    signal: session.signal,
    jobs: 1,
    retries: 0,
    wireBytes: () => session.wireBytes,
    emit: () => {
      if (session.wireBytes < KILL_AT * IMAGE_BYTES) return;
      receiver.imgmv.kill('SIGKILL');
      session.fail(new ImgmvError('peer-lost', 'killed'));
    },
  });
  await sink[Symbol.asyncDispose]();
}

async function missingBytes(scene: Scene, { image }: MemoryImage): Promise<number> {
  const engine = await Engine.connect({ dockerHost: scene.target.dockerHost, env: {} });
  await using sink = await EngineSink.open(engine, { noReplace: false, ignoreSpace: true });
  const answer = (await sink.plan([image]))[0]?.answer;
  return answer?.action === 'present' ? 0 : bytesToCome(image, answer?.missing);
}

function ordered({ image, blobs }: MemoryImage, order: readonly number[]): MemoryImage {
  const layers = blobs.slice(0, LAYERS);
  return { image, blobs: [...order.flatMap((at) => layers[at] ?? []), ...blobs.slice(LAYERS)] };
}

async function until(met: () => boolean): Promise<void> {
  while (!met()) await sleep(2);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
