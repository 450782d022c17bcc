/** The fault loop with a fixed list of faults in place of random ones: one of each sort, between classic engines. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { hostSupport } from '../rig/hosts.ts';
import { describeOn } from '../rig/suite.ts';
import { kindOf } from './kinds.ts';
import type { RoundPlan } from './plan.ts';
import type { PoolName } from './pool.ts';
import { showWrong, verdictOf } from './report.ts';
import { playRound } from './round.ts';
import { type Stage, startStage } from './stage.ts';

const SEED = 1;
const ROUTE = { source: '20', target: '20' } as const;
const TEST_TIMEOUT_MS = 300_000;
const MIDWAY = { at: 'share', share: 0.3 } as const;
/** A share of what travels can be waited for only while it does, and that takes a moment on a slow cable alone. */
const RATE_MBIT = 400;

interface Short {
  readonly fault: string;
  readonly seconds: number;
  readonly images: readonly PoolName[];
  readonly held?: RoundPlan['held'];
  /** That the fault was felt. */
  readonly shows: RegExp;
  readonly verdict: 'ended well' | 'failed properly';
}

const STALLED = /"stalledSeconds":[1-9]/;

const rounds: readonly Short[] = [
  {
    fault: 'sockets killed',
    seconds: 0,
    images: ['api:1', 'web:1'],
    shows: /"reconnecting"/,
    verdict: 'ended well',
  },
  {
    fault: 'black hole',
    seconds: 2,
    images: ['web:1'],
    held: 'tiny:1',
    shows: STALLED,
    verdict: 'ended well',
  },
  { fault: 'receiver stopped', seconds: 2, images: ['web:1'], shows: STALLED, verdict: 'ended well' },
  {
    fault: 'SIGKILL of receiver',
    seconds: 0,
    images: ['web:1'],
    held: 'other',
    shows: /was lost, and did not come back/,
    verdict: 'failed properly',
  },
  {
    fault: 'dockerd of receiver killed',
    seconds: 0.1,
    images: ['web:1'],
    shows: /"retrying".*lost the docker engine/,
    verdict: 'ended well',
  },
  {
    fault: 'disk of receiver full',
    seconds: 5,
    images: ['web:1'],
    shows: /^(?!.*"retrying").*no space left on device/s,
    verdict: 'failed properly',
  },
];

describeOn(
  'a fault in a transfer',
  [await engineSupport('20'), await hostSupport()],
  () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await startStage(SEED, [ROUTE], ['tiny:1', 'web:1', 'api:1']);
    });
    afterAll(() => stage?.[Symbol.asyncDispose]());

    it.each(rounds.map((round, index) => ({ ...round, number: index + 1 })))(
      '$fault: $verdict, and the next run puts all right',
      async ({ fault, seconds, images, held = 'nothing', number, shows, verdict }) => {
        const faults = [{ kind: kindOf(fault), point: MIDWAY, seconds }];
        const plan = { number, route: ROUTE, images, held, rateMbit: RATE_MBIT, faults };
        const result = await playRound(stage, plan);
        expect(result.wrong, showWrong(result, SEED)).toEqual([]);
        expect(result.struck).toHaveLength(1);
        expect(verdictOf(result)).toBe(verdict);
        expect(result.output).toMatch(shows);
      },
      TEST_TIMEOUT_MS,
    );
  },
  { required: true },
);
