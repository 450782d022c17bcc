/**
 * Moves images between two throwaway hosts, round after round, while the network, the processes, the engines, the
 * disk and the clocks fail at random, and looks at what came of it. As root:
 *
 *     npm run test:faults -- [--rounds 12] [--seed N] [--round K] [--only sockets,dockerd]
 *
 * The seed decides what happens; `--round` plays one round of its run again, `--only` takes groups of faults of
 * kinds.ts. It ends with 1 if anything was wrong.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { engineSupport } from '../rig/engine.ts';
import { hostSupport } from '../rig/hosts.ts';
import { fakeClockLibrary } from './clock.ts';
import { type FaultKind, KINDS } from './kinds.ts';
import { planRound, type Route } from './plan.ts';
import { Random } from './random.ts';
import { showRound, showWrong, table, verdictOf } from './report.ts';
import { playRound, type RoundResult } from './round.ts';
import { startStage } from './stage.ts';

const DEFAULT_ROUNDS = 12;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: String(DEFAULT_ROUNDS) },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    round: { type: 'string' },
    only: { type: 'string' },
  },
});
process.exitCode = await main();

async function main(): Promise<number> {
  const rounds = count('rounds', values.rounds);
  const seed = count('seed', values.seed);
  const numbers =
    values.round === undefined
      ? Array.from({ length: rounds }, (_, index) => index + 1)
      : [count('round', values.round)];
  for (const support of [await engineSupport('20'), await hostSupport()])
    if (!support.ok) throw new Error(support.reason);
  const routes = await routesHere();
  const kinds = await kindsHere();
  say(`seed ${seed}`);

  const plans = numbers.map((number) => planRound(new Random(seed, number), number, routes, kinds));
  await using stage = await startStage(
    seed,
    plans.map(({ route }) => route),
  );
  const results: RoundResult[] = [];
  for (const plan of plans) {
    const result = await playRound(stage, plan);
    results.push(result);
    say(verdictOf(result) === 'wrong' ? showWrong(result, seed) : showRound(result));
  }
  process.stdout.write(`\n${table(results)}`);
  return results.some((result) => verdictOf(result) === 'wrong') ? 1 : 0;
}

async function routesHere(): Promise<readonly Route[]> {
  const newer = await engineSupport('28c');
  if (newer.ok)
    return [
      { source: '20', target: '20' },
      { source: '20', target: '28c' },
      { source: '28c', target: '28c' },
      { source: '28c', target: '20' },
    ];
  say(`without an engine with a containerd store: ${newer.reason}`);
  return [{ source: '20', target: '20' }];
}

async function kindsHere(): Promise<readonly FaultKind[]> {
  const groups = [...new Set(KINDS.map(({ group }) => group))];
  const only = values.only?.split(',') ?? groups;
  const unknown = only.filter((group) => !groups.includes(group));
  if (unknown.length > 0) throw new Error(`--only: got ${unknown.join()}, want some of ${groups.join()}`);
  const kinds = KINDS.filter(({ group }) => only.includes(group));
  if ((await fakeClockLibrary()) !== undefined) return kinds;
  say('without clocks that jump: libfaketime is not installed');
  return kinds.filter(({ clockOf }) => clockOf === undefined);
}

function count(option: 'rounds' | 'seed' | 'round', text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < (option === 'seed' ? 0 : 1))
    throw new Error(`--${option}: got ${text}, want a whole number`);
  return number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
