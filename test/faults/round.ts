/** One round: a transfer with its faults, a look at what came of it, and a clean run that has to put all right. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import type { Imgmv } from '../rig/imgmv.ts';
import { reportedDone, wrongAfterCleanRun, wrongAfterFaults, wrongEnds } from './checks.ts';
import { fakeClock } from './clock.ts';
import type { End, Live, Side } from './kinds.ts';
import { endOf, type PairOptions, receive, toldBy } from './pair.ts';
import type { PlannedFault, RoundPlan } from './plan.ts';
import { reached } from './point.ts';
import { loadPooled, OLD_LAYERS, type PoolName } from './pool.ts';
import { shown } from './shown.ts';
import type { Stage } from './stage.ts';

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
  const wrong = await round
    .play()
    .catch((error: unknown) => [`the round broke off: ${error instanceof Error ? error.stack : error}`]);
  await round.clear();
  const { struck, ends, output } = round;
  return { plan, struck, ends, wrong, output, seconds: (performance.now() - startedAt) / 1_000 };
}

class Round {
  readonly struck: { fault: PlannedFault; at: number }[] = [];
  ends: Partial<Record<Side, End>> = {};
  readonly #stage: Stage;
  readonly #plan: RoundPlan;
  readonly #engines: Record<Side, Engine>;
  readonly #sent: ReadonlyMap<PoolName, LoadedImage>;
  readonly #runs: { title: string; imgmv: Imgmv }[] = [];

  constructor(stage: Stage, plan: RoundPlan) {
    const source = stage.sources.get(plan.route.source);
    const target = stage.targets.get(plan.route.target);
    if (!source || !target) throw new Error('no such engines');
    this.#stage = stage;
    this.#plan = plan;
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

  async #withFaults(before: ReadonlyMap<string, LoadedImage>): Promise<string[]> {
    const { faults, images } = this.#plan;
    const clocks = {
      sender: join(this.#stage.ownDirectory, 'clock-sender'),
      receiver: join(this.#stage.ownDirectory, 'clock-receiver'),
    };
    const env: Partial<Record<Side, Record<string, string>>> = {};
    for (const { kind } of faults) {
      if (kind.clockOf) env[kind.clockOf] = await fakeClock(clocks[kind.clockOf]);
    }
    const deadly = faults.some(({ kind }) => kind.deadly);
    const receiving = await receive(this.#pair({ env, patience: deadly ? LITTLE_PATIENCE : PATIENCE }));
    const { receiver } = receiving;
    this.#runs.push({ title: 'receiver', imgmv: receiver });
    const ended = new AbortController();
    const processes: Partial<Record<Side, Imgmv>> = { receiver };
    const live: Live = {
      hosts: this.#stage.hosts,
      processes,
      engines: this.#engines,
      clocks,
      ended: ended.signal,
    };
    const startedAt = performance.now();
    const strike = async (fault: PlannedFault) => {
      this.struck.push({ fault, at: (performance.now() - startedAt) / 1_000 });
      await fault.kind.strike(live, fault.seconds);
    };
    for (const fault of faults) if (fault.kind.early) await strike(fault);

    const sender = receiving.send();
    this.#runs.unshift({ title: 'sender', imgmv: sender });
    processes.sender = sender;
    const strikes = Promise.all(
      faults
        .filter(({ kind }) => !kind.early)
        .map(async (fault) => {
          if (await reached(fault.point, { sender, receiver }, ended.signal)) await strike(fault);
        }),
    );
    // Looked at once both have ended.
    strikes.catch(() => {});
    const both = Promise.all([endOf(sender), endOf(receiver)]).finally(() => ended.abort());
    const late = new AbortController();
    const ends = await Promise.race([both, sleep(END_MS, undefined, { signal: late.signal })]);
    late.abort();
    const wrong: string[] = [];
    if (!ends) {
      for (const [side, imgmv] of [['sender', sender] as const, ['receiver', receiver] as const]) {
        const over = await Promise.race([imgmv.exit.then(() => true), sleep(0)]);
        if (!over) wrong.push(`the ${side} has not ended after ${END_MS / 1_000} s`);
        imgmv.kill('SIGKILL');
      }
      await both;
    }
    await strikes;
    const [senderEnd, receiverEnd] = await both;
    this.ends = { sender: senderEnd, receiver: receiverEnd };
    const struck = this.struck.map(({ fault }) => fault);
    if (ends)
      wrong.push(
        ...(await wrongEnds(
          { sender, receiver },
          { sender: senderEnd, receiver: receiverEnd },
          struck,
          images.length,
        )),
      );
    // Nobody is left to remove it.
    if (receiverEnd === 'SIGKILL') await rm(receiving.codeFile, { force: true });
    const done = new Set([...reportedDone(await toldBy(sender)), ...reportedDone(await toldBy(receiver))]);
    if (senderEnd === 0 || receiverEnd === 0) for (const name of images) done.add(name);
    return [...wrong, ...(await wrongAfterFaults(this.#engines.receiver, this.#sent, before, done))];
  }

  async #cleanRun(before: ReadonlyMap<string, LoadedImage>): Promise<readonly string[]> {
    const { receiver, send } = await receive(this.#pair({ patience: PATIENCE }));
    this.#runs.push({ title: 'receiver of the clean run', imgmv: receiver });
    const sender = send();
    this.#runs.push({ title: 'sender of the clean run', imgmv: sender });
    const tooLong = setTimeout(() => {
      for (const one of [sender, receiver]) one.kill('SIGKILL');
    }, END_MS);
    const ends = [await endOf(sender), await endOf(receiver)];
    clearTimeout(tooLong);
    const wrong = ends.every((end) => end === 0) ? [] : [`the clean run ended with ${ends.join(' and ')}`];
    const source = this.#stage.sources.get(this.#plan.route.source);
    if (!source) return wrong;
    return [
      ...wrong,
      ...(await wrongAfterCleanRun(this.#stage, source, this.#engines.receiver, this.#sent, before)),
    ];
  }

  #pair(options: Pick<PairOptions, 'patience' | 'env'>): PairOptions {
    return { stage: this.#stage, engines: this.#engines, images: this.#plan.images, ...options };
  }
}
