/** One whole run between two engines, and the proof that what came of it is whole: it runs and can be saved again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { expect } from 'vitest';
import type { Engine } from '../rig/engine.ts';
import type { LoadedImage } from '../rig/images.ts';
import type { Imgmv, JsonEvent } from '../rig/imgmv.ts';
import { type Between, expectGone, type Receiver, type SendOptions } from './scene.ts';

const MIB = 2 ** 20;
/** For what is no layer: handshake, messages, metadata. */
export const TALK_MAX_BYTES = 64_000;

/** What a run came to, as the sender tells it. */
export interface Told {
  readonly plan: readonly JsonEvent[];
  readonly images: readonly JsonEvent[];
  readonly done: JsonEvent;
}

/** One whole run; fails unless both sides end well. */
export async function moved(scene: Between, args: readonly string[], options?: SendOptions): Promise<Told> {
  await using receiver = await scene.receive();
  await using sender = scene.send(receiver, [...args, '--json'], options);
  return await told(sender, receiver);
}

/** Waits until both have ended with the status `exit`. */
export async function told(sender: Imgmv, receiver: Receiver, exit = 0): Promise<Told> {
  const ends = await Promise.all([sender.exit, receiver.imgmv.exit]);
  const said = `${sender.stdout}${sender.stderr}${receiver.imgmv.stdout}${receiver.imgmv.stderr}`;
  expect(
    ends.map(({ code }) => code),
    said,
  ).toEqual([exit, exit]);
  await expectGone(receiver);
  const events: JsonEvent[] = [];
  for await (const event of sender.events) events.push(event);
  const { images } = await sender.waitFor('plan');
  return {
    plan: images as readonly JsonEvent[],
    images: events.filter(({ event }) => event === 'image'),
    done: await sender.waitFor('done'),
  };
}

export interface Inspected {
  readonly Id: string;
  readonly RootFS: { readonly Layers: readonly string[] };
}

export async function inspect(engine: Engine, name: string): Promise<Inspected> {
  const [found] = JSON.parse(await engine.docker(['image', 'inspect', name])) as readonly Inspected[];
  if (!found) throw new Error(`inspect ${name}: nothing`);
  return found;
}

/** Fails unless a container finds `greeting` and 3 MiB of data. */
export async function expectRuns(engine: Engine, name: string, greeting: string): Promise<void> {
  const script = `
    got="$(cat /etc/greeting), $(wc -c < /srv/data) bytes"
    test "$got" = "$1" || { echo "got $got, want $1" >&2; exit 1; }
  `;
  // By its status: on a busy machine docker may lose what a short-lived container writes.
  const check = ['sh', '-euc', script, 'check', `${greeting}, ${3 * MIB} bytes`];
  await engine.docker(['run', '--rm', '--network', 'none', name, ...check]);
}

/** Fails unless `docker save` on the target brings every layer, be it compressed. */
export async function expectSavedWhole(
  scene: Between,
  { name, diffIds }: Pick<LoadedImage, 'name' | 'diffIds'>,
): Promise<void> {
  const file = join(scene.directory, 'saved.tar');
  await scene.target.docker(['save', '--output', file, name]);
  const saved = new Set<string>();
  const tar = extract();
  const read = createReadStream(file).pipe(tar);
  for await (const entry of read) {
    const bytes = await buffer(entry);
    saved.add(sha256(bytes));
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) saved.add(sha256(gunzipSync(bytes)));
  }
  await rm(file);
  expect(diffIds.filter((diffId) => !saved.has(diffId))).toEqual([]);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
