/** What must hold after a round, whatever happened in it. Each check gives what is wrong, in words. */
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, exitStatusOf } from '../../proto/errors.ts';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import type { LoadedImage } from '../rig/images.ts';
import { type Imgmv, type JsonEvent, toldBy } from '../rig/imgmv.ts';
import type { End, Side } from './kinds.ts';
import type { PlannedFault } from './plan.ts';
import type { PoolName } from './pool.ts';
import { faultOf, shown, spooled, wrongFiles } from './shown.ts';
import type { Source, Stage } from './stage.ts';

const SIDES = ['sender', 'receiver'] as const satisfies readonly Side[];
const SOME_FAILED = 17;
const HELPER = /^imgmv-incoming:/;
/** A classic engine drops its spool a while after the connection broke, more on a busy machine. */
const SETTLE_MS = 60_000;
const POLL_MS = 100;

/** What the target had before the round, by name. */
export type HeldBefore = ReadonlyMap<string, LoadedImage>;

/** The exit status must be one that the faults explain, and say the same as the events do. */
export async function wrongEnds(
  processes: Readonly<Record<Side, Imgmv>>,
  ends: Readonly<Record<Side, End>>,
  struck: readonly PlannedFault[],
  images: number,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const side of SIDES) {
    const reasons = struck.flatMap(({ kind }) => kind.ends?.[side] ?? []);
    const allowed: End[] = [0, ...reasons];
    // Some may have been there before, and two faults are two reasons.
    if (images > 1 && reasons.length > 0) allowed.push(SOME_FAILED);
    if (!allowed.includes(ends[side])) wrong.push(`${side} ended with ${ends[side]}, not ${allowed.join()}`);
    const events = await toldBy(processes[side]);
    const told = events.findLast(({ event }) => event === 'done' || event === 'error')?.exit;
    if (typeof ends[side] === 'number' && told !== ends[side])
      wrong.push(`${side} ended with ${ends[side]}, and told ${told}`);
    for (const code of errorsOf(events))
      if (!reasons.includes(exitStatusOf(code)))
        wrong.push(`${side} told of an image that failed with ${code}`);
  }
  const died = struck.some(({ kind }) => kind.deadly || kind.early);
  if (!died && ends.sender !== ends.receiver)
    wrong.push(`the sender ended with ${ends.sender}, the receiver with ${ends.receiver}`);
  return wrong;
}

/** Of the images that failed. */
function errorsOf(events: readonly JsonEvent[]): readonly ErrorCode[] {
  return events.flatMap(({ event, error }) =>
    event === 'image' && error ? [(error as { code: ErrorCode }).code] : [],
  );
}

/** The names that were reported as done. */
export function reportedDone(events: readonly JsonEvent[]): ReadonlySet<string> {
  const done = events.filter(
    ({ event, status }) => event === 'image' && (status === 'loaded' || status === 'present'),
  );
  return new Set(
    done.flatMap(({ refs }) => (refs as readonly { target: string }[]).map(({ target }) => target)),
  );
}

/**
 * After the faults: a name stands for the whole image that was sent, or for what it stood for before, and no other
 * name is there. `done` are the names that have to stand for what was sent.
 */
export async function wrongAfterFaults(
  target: Engine,
  sent: ReadonlyMap<string, LoadedImage>,
  before: HeldBefore,
  done: ReadonlySet<string>,
): Promise<readonly string[]> {
  const rows = await shown(target);
  const wrong: string[] = [];
  for (const { name, id } of rows) {
    const want = sent.get(name);
    const old = before.get(name);
    if (HELPER.test(name) || old?.id === id) continue;
    if (name === '<none>:<none>') {
      if (![...before.values()].some((image) => image.id === id)) wrong.push(`${id} is there without a name`);
    } else if (!want) {
      wrong.push(`the target has ${name} ${id}, which nobody sent`);
    } else {
      const fault = await faultOf(target, name, want);
      if (fault !== undefined) wrong.push(`${name} on the target: ${fault}`);
    }
  }
  for (const name of done) {
    const found = rows.find((row) => row.name === name);
    if (!found || before.get(name)?.id === found.id)
      wrong.push(`${name} was reported as done, and the target has ${found?.id ?? 'nothing'} there`);
  }
  for (const [name, { id }] of before) {
    if (!rows.some((row) => row.id === id)) wrong.push(`the target lost ${name} ${id}`);
  }
  return wrong;
}

/** After a clean run: exactly what was sent and what was there before, nothing of ours anywhere. */
export async function wrongAfterCleanRun(
  stage: Stage,
  source: Source,
  target: Engine,
  sent: ReadonlyMap<PoolName, LoadedImage>,
  before: HeldBefore,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const [name, image] of sent) {
    const fault = await faultOf(target, name, image).catch(String);
    if (fault !== undefined) wrong.push(`${name} on the target: ${fault}`);
    const pooled = stage.pool.get(name);
    const files = pooled && (await wrongFiles(target, name, pooled).catch(String));
    if (files !== undefined) wrong.push(`${name} on the target: ${files}`);
  }
  const names = [...before.keys()].map((name) => (sent.has(name as PoolName) ? '<none>:<none>' : name));
  const expected = [...sent.keys(), ...names].sort();
  const settled = async (what: string, look: () => Promise<readonly string[]>, want: readonly string[]) => {
    const found = await settle(look, want);
    if (found.join() !== want.join())
      wrong.push(`${what}: got [${found.join(', ')}], want [${want.join(', ')}]`);
  };
  await settled('names on the target', async () => (await shown(target)).map(({ name }) => name), expected);
  const rows = source.shown.map(({ name, id }) => `${name} ${id}`);
  await settled(
    'images on the source',
    async () => (await shown(source.engine)).map(({ name, id }) => `${name} ${id}`),
    rows,
  );
  for (const [where, engine] of [['source', source.engine] as const, ['target', target] as const])
    await settled(`temporary files of the ${where}'s engine`, () => spooled(engine), []);
  await settled('files', () => readdir(stage.directory), []);
  for (const host of [stage.hosts.a, stage.hosts.b]) {
    const lines = async (argv: readonly string[]) =>
      (await run(argv)).split('\n').filter((line) => line !== '');
    // Those that wait for their time to be over belong to no process.
    const sockets = host.argv(['ss', '-Htan', 'exclude', 'time-wait']);
    await settled(`sockets on ${host.name}`, () => lines(sockets), []);
    await settled(`processes on ${host.name}`, () => lines(['ip', 'netns', 'pids', host.name]), []);
  }
  return wrong;
}

async function settle(
  look: () => Promise<readonly string[]>,
  want: readonly string[],
): Promise<readonly string[]> {
  const deadline = performance.now() + SETTLE_MS;
  let found = await look();
  while (found.join() !== want.join() && performance.now() < deadline) {
    await sleep(POLL_MS);
    found = await look();
  }
  return found;
}
