/** From single runs to the table that is printed: medians, with the targets beside them. */
import type { ImageSize } from './images.ts';
import type { Usage } from './measure.ts';

export const LINKS = ['loopback', '100mbit'] as const;
export type Link = (typeof LINKS)[number];

/** One peer moving one image once. */
export interface Run {
  readonly link: Link;
  readonly image: ImageSize;
  readonly peer: string;
  readonly title: string;
  readonly round: number;
  readonly seconds: number;
  /** Against the local pipe of the same round. */
  readonly ratio?: number;
  readonly sender: Usage;
  readonly receiver: Usage;
  /** TCP payload in both directions, by the network device's counters. */
  readonly wireBytes: number;
  /** What imgmv says of itself. */
  readonly claimedBytes?: number;
  /** Payload a second while data flowed; where the link is limited. */
  readonly bytesPerSecond?: number;
}

/** What an image is, measured once. */
export interface ImageFacts {
  readonly image: ImageSize;
  readonly reference: string;
  /** As `docker image inspect` says. */
  readonly bytes: number;
  /** Of `docker save | zstd -3 -T1`. */
  readonly zstdBytes: number;
}

export interface Results {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly images: readonly ImageFacts[];
  /** What plain TCP reached over the limited link, one figure a round. */
  readonly plainBytesPerSecond: readonly number[];
  readonly runs: readonly Run[];
}

const TARGET = { ratio: 1.05, allowanceSeconds: 0.8, plainShare: 0.97, zstdRatio: 1.01, peakBytes: 180e6 };

const HEADINGS = ['way', 'wall s', '× pipe', 'CPU s', 'sender MB', 'receiver MB', 'wire MB', 'Mbit/s'];

/** The whole report, for people. */
export function report(results: Results): string {
  const sections: string[] = [];
  for (const link of LINKS) {
    for (const facts of results.images) {
      const runs = results.runs.filter((run) => run.link === link && run.image === facts.image);
      if (runs.length === 0) continue;
      const rounds = Math.max(...runs.map(({ round }) => round));
      const heading = `${facts.image} over ${link}: ${megabytes(facts.bytes)} MB, median of ${rounds}`;
      sections.push([heading, ...table(runs), ...targets(link, facts, runs, results)].join('\n'));
    }
  }
  sections.push(LEGEND);
  return `${sections.join('\n\n')}\n`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 0 ? (low + high) / 2 : high;
}

function table(runs: readonly Run[]): string[] {
  const rows = [...new Set(runs.map(({ title }) => title))].map((title) => {
    const own = runs.filter((run) => run.title === title);
    return [
      title,
      fixed(
        middle(own, ({ seconds }) => seconds),
        2,
      ),
      fixed(
        middle(own, ({ ratio }) => ratio),
        2,
      ),
      fixed(
        middle(own, ({ sender, receiver }) => sender.cpuSeconds + receiver.cpuSeconds),
        1,
      ),
      megabytes(middle(own, ({ sender }) => sender.peakBytes)),
      megabytes(middle(own, ({ receiver }) => receiver.peakBytes)),
      megabytes(middle(own, ({ wireBytes }) => wireBytes)),
      fixed(
        middle(own, ({ bytesPerSecond }) => bytesPerSecond && (bytesPerSecond * 8) / 1e6),
        1,
      ),
    ];
  });
  return align([HEADINGS, ...rows]);
}

function targets(link: Link, facts: ImageFacts, runs: readonly Run[], results: Results): string[] {
  const own = runs.filter(({ peer }) => peer === 'imgmv');
  if (own.length === 0) return [];
  const rows: string[][] = [['imgmv', 'measured', 'target']];
  if (link === 'loopback') {
    const pipe = middle(
      runs.filter(({ peer }) => peer === 'pipe'),
      ({ seconds }) => seconds,
    );
    const allowed = pipe * TARGET.ratio + TARGET.allowanceSeconds;
    const formula = `${TARGET.ratio} × pipe + ${TARGET.allowanceSeconds} s`;
    rows.push([
      'wall',
      `${fixed(
        middle(own, ({ seconds }) => seconds),
        2,
      )} s`,
      `≤ ${fixed(allowed, 2)} s = ${formula}`,
    ]);
  } else {
    const share = middle(own, ({ bytesPerSecond }) => bytesPerSecond) / median(results.plainBytesPerSecond);
    rows.push(['rate', percent(share), `≥ ${percent(TARGET.plainShare)} of plain TCP`]);
    const ratio = middle(own, ({ claimedBytes, wireBytes }) => claimedBytes ?? wireBytes) / facts.zstdBytes;
    rows.push(['bytes', percent(ratio), `≤ ${percent(TARGET.zstdRatio)} of zstd -3`]);
  }
  const peak = middle(own, ({ sender, receiver }) => Math.max(sender.peakBytes, receiver.peakBytes));
  rows.push(['memory', `${megabytes(peak)} MB`, `≤ ${megabytes(TARGET.peakBytes)} MB a side`]);
  return ['', ...align(rows)];
}

const LEGEND = [
  '× pipe: against the local pipe of the same round. CPU s: all processes of both sides but the engines.',
  'sender, receiver MB: the largest process of that side. wire MB: TCP payload both ways, by the counters of the',
  'network device. Mbit/s: payload from the first to the last hundredth of the bytes.',
].join('\n');

/** The median of one figure over the runs that have it. */
function middle(runs: readonly Run[], figure: (run: Run) => number | undefined): number {
  return median(runs.map(figure).filter((value) => value !== undefined));
}

/** The first column to the left, the others to the right; a table of three is prose and goes left. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const pad = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    return column === 0 || widths.length === 3 ? cell.padEnd(width) : cell.padStart(width);
  };
  return rows.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd());
}

function fixed(value: number, digits: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(digits);
}

function megabytes(bytes: number): string {
  return fixed(bytes / 1e6, bytes < 10e6 ? 1 : 0);
}

function percent(share: number): string {
  return `${fixed(share * 100, 1)} %`;
}
