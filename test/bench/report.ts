/** From single runs to the tables that are printed: medians, with the targets beside them. */
import { type Facts, LINKS, type Results, type Run } from './results.ts';
import { align, hundredths, megabits, megabytes, tenths } from './table.ts';
import { median, middle, type Section, targets } from './targets.ts';

interface Column {
  readonly heading: string;
  readonly figure: (run: Run) => number | undefined;
  readonly show: (figure: number) => string;
}

const COLUMNS: readonly Column[] = [
  { heading: 'wall s', figure: ({ seconds }) => seconds, show: hundredths },
  { heading: 'paired s', figure: ({ pairedSeconds }) => pairedSeconds, show: hundredths },
  { heading: '× pipe', figure: ({ ratio }) => ratio, show: hundredths },
  {
    heading: 'CPU s',
    figure: ({ sender, receiver }) => sender.cpuSeconds + receiver.cpuSeconds,
    show: tenths,
  },
  { heading: 'reading', figure: ({ split }) => split?.reading, show: tenths },
  { heading: 'compressing', figure: ({ split }) => split?.compressing, show: tenths },
  { heading: 'sealing', figure: ({ split }) => split?.sealing, show: tenths },
  { heading: 'unpacking', figure: ({ split }) => split?.unpacking, show: tenths },
  { heading: 'sender MB', figure: ({ sender }) => sender.peakBytes, show: megabytes },
  { heading: 'receiver MB', figure: ({ receiver }) => receiver.peakBytes, show: megabytes },
  { heading: 'wire MB', figure: ({ wireBytes }) => wireBytes, show: megabytes },
  { heading: 'Mbit/s', figure: ({ bytesPerSecond }) => bytesPerSecond, show: megabits },
];

/** The whole report, for people. */
export function report({ facts, runs, plainBytesPerSecond }: Results): string {
  const sections: string[] = [];
  for (const link of LINKS) {
    for (const each of facts) {
      const own = runs.filter(
        (run) => run.link === link && run.scenario === each.scenario && run.subject === each.subject,
      );
      if (own.length > 0) sections.push(show({ link, facts: each, runs: own, plainBytesPerSecond }));
    }
  }
  return `${[...sections, LEGEND].join('\n\n')}\n`;
}

function show(section: Section): string {
  const { link, facts, runs } = section;
  const rounds = Math.max(...runs.map(({ round }) => round));
  const heading = `${facts.scenario}: ${facts.subject} over ${link} (${sizes(facts)}), median of ${rounds}`;
  const rows = targets(section);
  return [
    heading,
    ...table(runs),
    ...compared(runs),
    ...(rows.length > 0 ? ['', ...align(rows, 3)] : []),
  ].join('\n');
}

function sizes({ images, payload }: Facts): string {
  const sum = `${images.map(({ bytes }) => megabytes(bytes)).join(' + ')} MB`;
  if (!payload) return sum;
  const { what, bytes, zstdBytes, bareSeconds } = payload;
  const bare = `${tenths(bareSeconds)} s of a processor to hash it twice, and for zstd -1 and -d`;
  return `${sum}; ${what} ${megabytes(bytes)} MB, ${megabytes(zstdBytes)} MB after zstd -3; ${bare}`;
}

/** This build against the one before it in the same round. */
function compared(runs: readonly Run[]): string[] {
  const pairs = runs
    .filter(({ peer }) => peer === 'imgmv')
    .flatMap((run) => {
      const other = runs.find(({ peer, round }) => peer === 'before' && round === run.round);
      return other ? [{ run, other }] : [];
    });
  if (pairs.length === 0) return [];
  const row = (what: string, figure: (run: Run) => number) => {
    const ratios = pairs.map(({ run, other }) => figure(run) / figure(other));
    return [what, median(ratios), Math.min(...ratios), Math.max(...ratios)].map((cell) =>
      typeof cell === 'number' ? hundredths(cell) : cell,
    );
  };
  const rows = [
    ['× before', 'median', 'least', 'most'],
    row('wall', ({ seconds }) => seconds),
    row('CPU', ({ sender, receiver }) => sender.cpuSeconds + receiver.cpuSeconds),
  ];
  return ['', ...align(rows, 1)];
}

/** One row for each peer, and those columns that have a figure in any. */
function table(runs: readonly Run[]): string[] {
  const columns = COLUMNS.filter(({ figure }) => runs.some((run) => figure(run) !== undefined));
  const rows = [...new Set(runs.map(({ title }) => title))].map((title) => {
    const own = runs.filter((run) => run.title === title);
    return [title, ...columns.map(({ figure, show }) => show(middle(own, figure)))];
  });
  return align([['way', ...columns.map(({ heading }) => heading)], ...rows], 1);
}

const LEGEND = [
  'paired s: of the wall time, what comes after imgmv has paired. × pipe: against the local pipe of the same',
  'round. CPU s: all processes of both sides but the engines. Of imgmv, that is reading (the thread that reads and',
  'hashes layers in the store), compressing (all other threads of the sender), sealing (its main thread, which also',
  'writes to the socket, and reads docker save) and unpacking (all of the receiver). sender, receiver MB: the largest',
  'process of that side. wire MB: TCP payload both ways, by the counters of the network device. Mbit/s: payload from',
  'the first to the last hundredth of the bytes. hosts: both hosts have a processor of their own, with their engines.',
].join('\n');
