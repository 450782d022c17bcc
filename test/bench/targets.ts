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

const PEAK_BYTES = 180e6;
const COLD = { ratio: 1.05, allowanceSeconds: 0.8, plainShare: 0.97, zstdRatio: 1.01 };
const AGAIN = { pairedSeconds: 1, wireBytes: 64e3 };
const CHANGED = { allowanceSeconds: 1.5, zstdRatio: 1.02 };
const THREE = { ratio: 0.75 };

const TARGETS: Readonly<Record<ScenarioName, (section: Section) => readonly Row[]>> = {
  cold: (section) => (section.link === 'loopback' ? coldLocally(section) : coldOverLink(section)),

  again({ runs }) {
    const own = of('imgmv', runs);
    const seconds = middle(own, ({ pairedSeconds }) => pairedSeconds);
    return [
      ['after paired', `${hundredths(seconds)} s`, `≤ ${hundredths(AGAIN.pairedSeconds)} s`],
      ...wire(own, (bytes) => `${kilobytes(bytes)} kB`, `${kilobytes(AGAIN.wireBytes)} kB`),
    ];
  },

  changed({ runs, facts }) {
    const own = of('imgmv', runs);
    const zstdBytes = facts.payload?.zstdBytes ?? Number.NaN;
    const allowed = middle(of('floor', runs), seconds) + CHANGED.allowanceSeconds;
    const limit = `${percent(CHANGED.zstdRatio)} of zstd -3 of the ${facts.payload?.what}`;
    return [
      wall(own, allowed, `save + ${CHANGED.allowanceSeconds} s`),
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

function coldLocally({ runs }: Section): Row[] {
  const allowed = middle(of('pipe', runs), seconds) * COLD.ratio + COLD.allowanceSeconds;
  return [wall(of('imgmv', runs), allowed, `${COLD.ratio} × pipe + ${COLD.allowanceSeconds} s`)];
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
