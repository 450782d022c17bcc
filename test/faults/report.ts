/** What rounds came to, for people. */
import { align } from '../bench/table.ts';
import { KINDS } from './kinds.ts';
import { showFault } from './plan.ts';
import type { RoundResult } from './round.ts';

/** Both sides ended with 0, or with the status that the faults earned, or something was wrong. */
type Verdict = 'ended well' | 'failed properly' | 'wrong';

export function verdictOf({ wrong, ends }: RoundResult): Verdict {
  if (wrong.length > 0) return 'wrong';
  return ends.sender === 0 && ends.receiver === 0 ? 'ended well' : 'failed properly';
}

/** One line. */
export function showRound(result: RoundResult): string {
  const { plan, ends, struck, seconds } = result;
  const { number, route, images, held, rateMbit, faults } = plan;
  const where = `${route.source} -> ${route.target}`;
  const rate = rateMbit === undefined ? '' : `, ${rateMbit} Mbit/s`;
  const has = held === 'nothing' ? '' : `, the target has ${held === 'other' ? 'another one' : held}`;
  const what = faults.map((fault) => {
    const at = struck.find((one) => one.fault === fault)?.at;
    return `${showFault(fault)} (${at === undefined ? 'came too late' : `at ${at.toFixed(1)} s`})`;
  });
  const end = `${verdictOf(result)}: ${ends.sender ?? '?'} and ${ends.receiver ?? '?'}, ${seconds.toFixed(1)} s`;
  return `round ${number}, ${where}, ${images.join(' ')}${rate}${has}: ${what.join('; ')}: ${end}`;
}

/** All that is needed to see what went wrong, and to see it again. */
export function showWrong(result: RoundResult, seed: number): string {
  const lines = [
    `WRONG in round ${result.plan.number} (--seed ${seed} --round ${result.plan.number})`,
    ...result.wrong.map((what) => `  ${what}`),
    `  ${showRound(result)}`,
  ];
  return `${lines.join('\n')}\n${result.output}`;
}

/** By kind of fault; a round with two counts for both. */
export function table(results: readonly RoundResult[]): string {
  const row = (name: string, of: readonly RoundResult[]): string[] => {
    const count = (verdict: Verdict) => String(of.filter((one) => verdictOf(one) === verdict).length);
    const seconds = of.reduce((sum, one) => sum + one.seconds, 0);
    return [
      name,
      String(of.length),
      count('ended well'),
      count('failed properly'),
      count('wrong'),
      seconds.toFixed(0),
    ];
  };
  const with_ = (name: string) =>
    results.filter(({ struck }) => struck.some(({ fault }) => fault.kind.name === name));
  const rows = KINDS.map(({ name }) => row(name, with_(name))).filter(([, rounds]) => rounds !== '0');
  const none = results.filter(({ struck }) => struck.length === 0);
  if (none.length > 0) rows.push(row('came too late', none));
  const head = ['fault', 'rounds', 'ended well', 'failed properly', 'wrong', 'seconds'];
  return `${align([head, ...rows, row('all rounds', results)], 1).join('\n')}\n`;
}
