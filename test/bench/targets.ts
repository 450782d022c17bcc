/** What imgmv is to reach in each scenario, beside what it has reached. */
import type { Facts, Link, Run, ScenarioName } from './results.ts';
import { hundredths, kilobytes, megabytes, percent } from './table.ts';

/** The runs of one subject over one link. */
export interface Section {
  readonly link: Link;
  readonly facts: Facts;
  readonly runs: readonly Run[];
  /** What plain TCP reached over the limited link, in all rounds. */
  readonly plainBytesPerSecond: readonly number[];
}

type Row = readonly [what: string, measured: string, target: string];

const PEAK_BYTES = 140e6;
const COLD = { plainShare: 0.97, zstdRatio: 1.01, apartRatio: 0.8, cpuSeconds: 15 };
/** By the name of the subject. */
const COLD_LOCALLY: Readonly<Record<string, { readonly ratio: number; readonly allowanceSeconds: number }>> =
  {
    small: { ratio: 1, allowanceSeconds: 0.8 },
    large: { ratio: 0.9, allowanceSeconds: 0 },
  };
const AGAIN = { seconds: 1.2, wireBytes: 64e3 };
const CHANGED = { pairedSeconds: 2.5, zstdRatio: 1.02 };
const THREE = { ratio: 0.85 };

const TARGETS: Readonly<Record<ScenarioName, (section: Section) => readonly Row[]>> = {
  cold: (section) => COLD_BY_LINK[section.link](section),

  again({ runs }) {
    const own = of('imgmv', runs);
    return [
      wall(own, AGAIN.seconds, 'both processes, from start to end'),
      ...wire(own, (bytes) => `${kilobytes(bytes)} kB`, `${kilobytes(AGAIN.wireBytes)} kB`),
    ];
  },

  changed({ runs, facts }) {
    const own = of('imgmv', runs);
    const zstdBytes = facts.payload?.zstdBytes ?? Number.NaN;
    const paired = middle(own, ({ pairedSeconds }) => pairedSeconds);
    const limit = `${percent(CHANGED.zstdRatio)} of zstd -3 of the ${facts.payload?.what}`;
    return [
      ['after paired', `${hundredths(paired)} s`, `≤ ${hundredths(CHANGED.pairedSeconds)} s`],
      ...wire(own, (bytes) => percent(bytes / zstdBytes), limit),
    ];
  },

  three({ runs }) {
    const allowed = middle(of('pipe', runs), seconds) * THREE.ratio;
    return [wall(of('imgmv', runs), allowed, `${THREE.ratio} × pipe`)];
  },
};

/** The rows of the table of targets; none where imgmv did not run. */
export function targets(section: Section): readonly Row[] {
  const own = of('imgmv', section.runs);
  if (own.length === 0) return [];
  const peak = middle(own, ({ sender, receiver }) => Math.max(sender.peakBytes, receiver.peakBytes));
  return [
    ['imgmv', 'measured', 'target'],
    ...TARGETS[section.facts.scenario](section),
    ['memory', `${megabytes(peak)} MB`, `≤ ${megabytes(PEAK_BYTES)} MB a side`],
  ];
}

/** The median of one figure over the runs that have it. */
export function middle(runs: readonly Run[], figure: (run: Run) => number | undefined): number {
  return median(runs.map(figure).filter((value) => value !== undefined));
}

const COLD_BY_LINK: Readonly<Record<Link, (section: Section) => Row[]>> = {
  loopback: coldLocally,
  '100mbit': coldOverLink,
  hosts: coldApart,
};

function coldLocally({ runs, facts }: Section): Row[] {
  const { ratio = Number.NaN, allowanceSeconds = 0 } = COLD_LOCALLY[facts.subject] ?? {};
  const own = of('imgmv', runs);
  const allowed = middle(of('pipe', runs), seconds) * ratio + allowanceSeconds;
  const rows = [wall(own, allowed, `${ratio} × pipe + ${allowanceSeconds} s`)];
  if (facts.subject !== 'large') return rows;
  const cpu = middle(own, ({ sender, receiver }) => sender.cpuSeconds + receiver.cpuSeconds);
  return [...rows, ['processors', `${hundredths(cpu)} s`, `≤ ${hundredths(COLD.cpuSeconds)} s`]];
}

function coldApart({ runs }: Section): Row[] {
  const allowed = middle(of('ssh', runs), seconds) * COLD.apartRatio;
  return [wall(of('imgmv', runs), allowed, `${COLD.apartRatio} × save | ssh | load`)];
}

function coldOverLink({ runs, facts, plainBytesPerSecond }: Section): Row[] {
  const own = of('imgmv', runs);
  const share = middle(own, ({ bytesPerSecond }) => bytesPerSecond) / median(plainBytesPerSecond);
  const sent = middle(own, ({ claimedBytes, wireBytes }) => claimedBytes ?? wireBytes);
  const ratio = sent / (facts.payload?.zstdBytes ?? Number.NaN);
  return [
    ['rate', percent(share), `≥ ${percent(COLD.plainShare)} of plain TCP`],
    ['bytes', percent(ratio), `≤ ${percent(COLD.zstdRatio)} of zstd -3`],
  ];
}

function wall(own: readonly Run[], allowedSeconds: number, formula: string): Row {
  const measured = middle(own, seconds);
  return ['wall', `${hundredths(measured)} s`, `≤ ${hundredths(allowedSeconds)} s = ${formula}`];
}

/** By both counts: that of the device has the upgrade to WebSocket and its frames too. */
function wire(own: readonly Run[], show: (bytes: number) => string, limit: string): Row[] {
  const claimed = middle(own, ({ claimedBytes }) => claimedBytes);
  const counted = middle(own, ({ wireBytes }) => wireBytes);
  return [
    ['wire, its own count', show(claimed), `≤ ${limit}`],
    ['wire, by the device', show(counted), `≤ ${limit}`],
  ];
}

function of(peer: string, runs: readonly Run[]): readonly Run[] {
  return runs.filter((run) => run.peer === peer);
}

function seconds(run: Run): number {
  return run.seconds;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 0 ? (low + high) / 2 : high;
}
