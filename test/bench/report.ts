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

interface Column {
  readonly heading: string;
  readonly figure: (run: Run) => number | undefined;
  readonly show: (figure: number) => string;
}

const COLUMNS: readonly Column[] = [
  { heading: 'wall s', figure: ({ seconds }) => seconds, show: hundredths },
  { heading: '× pipe', figure: ({ ratio }) => ratio, show: hundredths },
  {
    heading: 'CPU s',
    figure: ({ sender, receiver }) => sender.cpuSeconds + receiver.cpuSeconds,
    show: tenths,
  },
  { heading: 'sender MB', figure: ({ sender }) => sender.peakBytes, show: megabytes },
  { heading: 'receiver MB', figure: ({ receiver }) => receiver.peakBytes, show: megabytes },
  { heading: 'wire MB', figure: ({ wireBytes }) => wireBytes, show: megabytes },
  { heading: 'Mbit/s', figure: ({ bytesPerSecond }) => bytesPerSecond, show: megabits },
];

/** The whole report, for people. */
export function report(results: Results): string {
  const sections: string[] = [];
  for (const link of LINKS) {
    for (const facts of results.images) {
      const runs = results.runs.filter((run) => run.link === link && run.image === facts.image);
      if (runs.length === 0) continue;
      const rounds = Math.max(...runs.map(({ round }) => round));
      const sizes = `${megabytes(facts.bytes)} MB, ${megabytes(facts.zstdBytes)} MB after zstd -3`;
      const heading = `${facts.image} over ${link} (${sizes}), median of ${rounds}`;
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
    return [title, ...COLUMNS.map(({ figure, show }) => show(middle(own, figure)))];
  });
  return align([['way', ...COLUMNS.map(({ heading }) => heading)], ...rows], 1);
}

function targets(link: Link, facts: ImageFacts, runs: readonly Run[], results: Results): string[] {
  const own = runs.filter(({ peer }) => peer === 'imgmv');
  if (own.length === 0) return [];
  const rows: string[][] = [['imgmv', 'measured', 'target']];
  if (link === 'loopback') {
    const pipes = runs.filter(({ peer }) => peer === 'pipe');
    const [seconds, pipe] = [own, pipes].map((some) => middle(some, (run) => run.seconds)) as [
      number,
      number,
    ];
    const allowed = pipe * TARGET.ratio + TARGET.allowanceSeconds;
    const formula = `${TARGET.ratio} × pipe + ${TARGET.allowanceSeconds} s`;
    rows.push(['wall', `${hundredths(seconds)} s`, `≤ ${hundredths(allowed)} s = ${formula}`]);
  } else {
    const rate = middle(own, ({ bytesPerSecond }) => bytesPerSecond);
    const share = rate / median(results.plainBytesPerSecond);
    rows.push(['rate', percent(share), `≥ ${percent(TARGET.plainShare)} of plain TCP`]);
    const sent = middle(own, ({ claimedBytes, wireBytes }) => claimedBytes ?? wireBytes);
    rows.push(['bytes', percent(sent / facts.zstdBytes), `≤ ${percent(TARGET.zstdRatio)} of zstd -3`]);
  }
  const peak = middle(own, ({ sender, receiver }) => Math.max(sender.peakBytes, receiver.peakBytes));
  rows.push(['memory', `${megabytes(peak)} MB`, `≤ ${megabytes(TARGET.peakBytes)} MB a side`]);
  return ['', ...align(rows, 3)];
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

/** Words to the left, figures to the right; `words` is how many columns are words. */
function align(rows: readonly (readonly string[])[], words: number): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column < words ? cell.padEnd(width) : cell.padStart(width);
    });
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

function fixed(value: number, digits: number): string {
  return Number.isNaN(value) || value === 0 ? '–' : value.toFixed(digits);
}

function tenths(value: number): string {
  return fixed(value, 1);
}

function hundredths(value: number): string {
  return fixed(value, 2);
}

function megabytes(bytes: number): string {
  return fixed(bytes / 1e6, 0);
}

function megabits(bytes: number): string {
  return fixed((bytes * 8) / 1e6, 1);
}

function percent(share: number): string {
  return `${fixed(share * 100, 1)} %`;
}
