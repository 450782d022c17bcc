/** One round: a transfer with its faults, a look at what came of it, and a clean run that has to put all right. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Imgmv, toldBy } from '../rig/imgmv.ts';
import { reportedDone, wrongAfterCleanRun, wrongAfterFaults, wrongEnds } from './checks.ts';
import { fakeClock } from './clock.ts';
import type { End, Live, Side } from './kinds.ts';
import { endOf, type PairOptions, type Receiving, receive } from './pair.ts';
import type { PlannedFault, RoundPlan } from './plan.ts';
import { reached } from './point.ts';
import { loadPooled, OLD_LAYERS, type PoolName } from './pool.ts';
import { shown } from './shown.ts';
import type { Source, Stage } from './stage.ts';

export interface RoundResult {
  readonly plan: RoundPlan;
  /** Those that came before the end of the transfer, and when, in seconds from its start. */
  readonly struck: readonly { readonly fault: PlannedFault; readonly at: number }[];
  readonly ends: Readonly<Partial<Record<Side, End>>>;
  /** What should not be, in words. */
  readonly wrong: readonly string[];
  readonly seconds: number;
  /** All that the processes of the round have written. */
  readonly output: string;
}

/** More than any silence, pause and patience that both sides may need after the faults. */
const END_MS = 150_000;
const PATIENCE = '60s';
/** Where a process of the other side dies, or should. */
const LITTLE_PATIENCE = '6s';

/** Plays one round; afterwards the target is empty again. A rig that fails is a wrong outcome as well. */
export async function playRound(stage: Stage, plan: RoundPlan): Promise<RoundResult> {
  const startedAt = performance.now();
  const round = new Round(stage, plan);
  const wrong = await round.play().catch(brokeOff);
  wrong.push(...(await round.clear().then(() => [], brokeOff)));
  const { struck, ends, output } = round;
  return { plan, struck, ends, wrong, output, seconds: (performance.now() - startedAt) / 1_000 };
}

function brokeOff(error: unknown): string[] {
  return [`the rig failed: ${error instanceof Error ? error.stack : error}`];
}

class Round {
  readonly struck: { fault: PlannedFault; at: number }[] = [];
  ends: Partial<Record<Side, End>> = {};
  readonly #stage: Stage;
  readonly #plan: RoundPlan;
  readonly #source: Source;
  readonly #engines: Record<Side, Engine>;
  readonly #sent: ReadonlyMap<PoolName, LoadedImage>;
  readonly #runs: { title: string; imgmv: Imgmv }[] = [];

  constructor(stage: Stage, plan: RoundPlan) {
    const source = stage.sources.get(plan.route.source);
    const target = stage.targets.get(plan.route.target);
    if (!source || !target) throw new Error('no such engines');
    this.#stage = stage;
    this.#plan = plan;
    this.#source = source;
    this.#engines = { sender: source.engine, receiver: target };
    this.#sent = new Map([...source.images].filter(([name]) => plan.images.includes(name)));
  }

  get output(): string {
    return this.#runs.map(({ title, imgmv }) => `--- ${title}\n${imgmv.stdout}${imgmv.stderr}`).join('');
  }

  async play(): Promise<string[]> {
    const before = await this.#prepare();
    const wrong = await this.#withFaults(before);
    return [...wrong, ...(await this.#cleanRun(before))];
  }

  /** Takes everything from the target. */
  async clear(): Promise<void> {
    const { hosts } = this.#stage;
    for (const { imgmv } of this.#runs) await imgmv[Symbol.asyncDispose]();
    if (this.#plan.rateMbit !== undefined) await hosts.setRate(undefined);
    const target = this.#engines.receiver;
    const images = new Set((await shown(target)).map(({ id }) => id));
    if (images.size > 0) await target.docker(['image', 'rm', '--force', ...images]);
  }

  async #prepare(): Promise<ReadonlyMap<string, LoadedImage>> {
    const { held, images, rateMbit } = this.#plan;
    const { hosts, pool } = this.#stage;
    if (rateMbit !== undefined) await hosts.setRate(rateMbit);
    const target = this.#engines.receiver;
    const before = new Map<string, LoadedImage>();
    const [first = ''] = images;
    if (held === 'other') before.set(first, await loadImage(target, { name: first, layers: OLD_LAYERS }));
    const pooled = held === 'nothing' || held === 'other' ? undefined : pool.get(held);
    if (pooled) before.set(held, await loadPooled(target, held as PoolName, pooled));
    return before;
  }

  /** The run with the faults, and what is wrong after it. */
  async #withFaults(before: ReadonlyMap<string, LoadedImage>): Promise<string[]> {
    const { faults, images } = this.#plan;
    const { clocks, env } = await this.#fakeClocks();
    const deadly = faults.some(({ kind }) => kind.deadly);
    const receiving = await this.#receive({ env, patience: deadly ? LITTLE_PATIENCE : PATIENCE });
    const { receiver } = receiving;
    const ended = new AbortController();
    const processes: Partial<Record<Side, Imgmv>> = { receiver };
    const { hosts } = this.#stage;
    const live: Live = { hosts, processes, engines: this.#engines, clocks, ended: ended.signal };
    const startedAt = performance.now();
    const strike = async (fault: PlannedFault) => {
      this.struck.push({ fault, at: (performance.now() - startedAt) / 1_000 });
      await fault.kind.strike(live, fault.seconds);
    };
    for (const fault of faults.filter(({ kind }) => kind.early)) await strike(fault);

    const sender = receiving.send();
    processes.sender = sender;
    const strikes = faults
      .filter(({ kind }) => !kind.early)
      .map(async (fault) => {
        if (!(await reached(fault.point, { sender, receiver }, ended.signal))) return [];
        return strike(fault).then(() => [], brokeOff);
      });
    const late = await endInTime({ sender, receiver });
    ended.abort();
    const failed = (await Promise.all(strikes)).flat();
    const ends = { sender: await endOf(sender), receiver: await endOf(receiver) };
    this.ends = ends;
    // Nobody is left to remove it.
    if (ends.receiver === 'SIGKILL') await rm(receiving.codeFile, { force: true });
    const struck = this.struck.map(({ fault }) => fault);
    const wrong = late.length > 0 ? late : await wrongEnds({ sender, receiver }, ends, struck, images.length);
    const done = new Set([...reportedDone(await toldBy(sender)), ...reportedDone(await toldBy(receiver))]);
    if (ends.sender === 0 || ends.receiver === 0) for (const name of images) done.add(name);
    const after = await wrongAfterFaults(this.#engines.receiver, this.#sent, before, done);
    return [...failed, ...wrong, ...after];
  }

  async #cleanRun(before: ReadonlyMap<string, LoadedImage>): Promise<readonly string[]> {
    const { receiver, send } = await this.#receive({ patience: PATIENCE, title: ' of the clean run' });
    const sender = send();
    const late = await endInTime({ sender, receiver });
    const ends = [await endOf(sender), await endOf(receiver)];
    const failed = ends.every((end) => end === 0) ? [] : [`the clean run ended with ${ends.join(' and ')}`];
    const after = await wrongAfterCleanRun(
      this.#stage,
      this.#source,
      this.#engines.receiver,
      this.#sent,
      before,
    );
    return [...late, ...failed, ...after];
  }

  /** Starts the receiver; all that it and its sender write belongs to the round. */
  async #receive(options: Pick<PairOptions, 'patience' | 'env'> & { title?: string }): Promise<Receiving> {
    const { title = '', ...own } = options;
    const { images } = this.#plan;
    const receiving = await receive({ stage: this.#stage, engines: this.#engines, images, ...own });
    this.#runs.push({ title: `receiver${title}`, imgmv: receiving.receiver });
    return {
      ...receiving,
      send: () => {
        const sender = receiving.send();
        this.#runs.push({ title: `sender${title}`, imgmv: sender });
        return sender;
      },
    };
  }

  /** The files that set each side's clock, and the environment that makes it look there. */
  async #fakeClocks(): Promise<Pick<Live, 'clocks'> & Required<Pick<PairOptions, 'env'>>> {
    const { ownDirectory } = this.#stage;
    const clocks = { sender: join(ownDirectory, 'sender'), receiver: join(ownDirectory, 'receiver') };
    const env: Partial<Record<Side, Record<string, string>>> = {};
    for (const { kind } of this.#plan.faults)
      if (kind.clockOf) env[kind.clockOf] = await fakeClock(clocks[kind.clockOf]);
    return { clocks, env };
  }
}

/** Waits for both; kills those that take too long, and tells which. */
async function endInTime(processes: Readonly<Record<Side, Imgmv>>): Promise<string[]> {
  const late: string[] = [];
  const waits = Object.entries(processes).map(async ([side, imgmv]) => {
    const timer = setTimeout(() => {
      late.push(`the ${side} has not ended after ${END_MS / 1_000} s`);
      imgmv.kill('SIGKILL');
    }, END_MS);
    await imgmv.exit;
    clearTimeout(timer);
  });
  await Promise.all(waits);
  return late;
}
