/** What happens in a round: decided ahead, by the seed and the number of the round alone. */
import type { Flavour } from '../rig/engine.ts';
import { type FaultKind, KINDS } from './kinds.ts';
import { BASE_OF, POOL, type PoolName } from './pool.ts';
import type { Random } from './random.ts';

export interface Route {
  readonly source: Flavour;
  readonly target: Flavour;
}

/** When a fault strikes: as the sender tells it, but for `image`, the receiver's word that one is done. */
export type Point =
  | { readonly at: 'share'; readonly share: number }
  | { readonly at: 'paired' | 'plan' | 'load' | 'image'; readonly seconds: number };

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly point: Point;
  /** How long it lasts; 0 for a moment. */
  readonly seconds: number;
}

export interface RoundPlan {
  readonly number: number;
  readonly route: Route;
  readonly images: readonly PoolName[];
  /** What the target has already: nothing, another image under the first one's name, or one on the same base. */
  readonly held: 'nothing' | 'other' | PoolName;
  /** Of the cable; unlimited when left out. */
  readonly rateMbit?: number;
  readonly faults: readonly PlannedFault[];
}

/** Of what goes on for long while a process dies: the other side has little patience then. */
const BRIEF_SECONDS = 2;

export function planRound(
  random: Random,
  number: number,
  routes: readonly Route[],
  kinds: readonly FaultKind[] = KINDS,
): RoundPlan {
  const route = routes[(number - 1) % routes.length];
  if (!route) throw new Error('no engines to move between');
  const images = random.some(random.pick([1, 1, 1, 2, 2, 3]), POOL);
  const rateMbit = random.pick([undefined, 400, 200]);
  const groups = [...new Set(kinds.map(({ group }) => group))];
  const chosen = random
    .some(random.pick([1, 1, 2]), groups)
    .map((group) => random.pick(kinds.filter((kind) => kind.group === group)));
  const deadly = chosen.some((kind) => kind.deadly);
  return {
    number,
    route,
    images,
    held: held(random, images),
    ...(rateMbit !== undefined && { rateMbit }),
    faults: chosen.map((kind) => fault(random, kind, deadly)),
  };
}

function held(random: Random, images: readonly PoolName[]): RoundPlan['held'] {
  if (random.chance(0.5)) return 'nothing';
  const onSameBase = POOL.find(
    (name) => !images.includes(name) && BASE_OF[name] === BASE_OF[images[0] ?? 'big:1'],
  );
  return onSameBase !== undefined && random.chance(0.5) ? onSameBase : 'other';
}

function fault(random: Random, kind: FaultKind, brief: boolean): PlannedFault {
  const [shortest, longest] = kind.seconds ?? [0, 0];
  // Short ones are more likely: most of what there is to see happens in the first seconds.
  const drawn = random.chance(0.7)
    ? random.between(shortest, Math.min(longest, shortest + 4))
    : random.between(shortest, longest);
  const long = kind.group === 'black hole' || kind.group === 'stopped';
  return {
    kind,
    point: point(random, kind),
    seconds: brief && long ? Math.min(drawn, BRIEF_SECONDS) : drawn,
  };
}

function point(random: Random, kind: FaultKind): Point {
  // Loss has to be there for a while to be felt.
  if (kind.group === 'loss') return { at: 'paired', seconds: 0 };
  const draw = random.next();
  if (draw < 0.4) return { at: 'share', share: random.between(0, 0.9) };
  if (draw < 0.65) return { at: 'plan', seconds: random.between(0, 3) };
  if (draw < 0.75) return { at: 'paired', seconds: random.between(0, 0.3) };
  if (draw < 0.9) return { at: 'load', seconds: random.between(0, 1) };
  return { at: 'image', seconds: random.between(0, 0.02) };
}

export function showFault({ kind, point, seconds }: PlannedFault): string {
  const lasts = kind.seconds && kind.group !== 'loss' ? ` for ${seconds} s` : '';
  if (kind.early) return `${kind.name}${lasts}`;
  const when =
    point.at === 'share' ? `at ${Math.round(point.share * 100)} %` : `${point.seconds} s after ${point.at}`;
  return `${kind.name}${lasts} ${when}`;
}
