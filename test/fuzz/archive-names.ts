/** What places and images are called on the command line, and the files that `--each` makes of names. docs/archives.md. */
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Archive } from '../../agent/archive/archive.ts';
import { ArchiveCatalogue } from '../../agent/archive/archive-catalogue.ts';
import type { ArchivedImage } from '../../agent/archive/archived-image.ts';
import { EachSink, FORMATS, fileName } from '../../agent/archive/each-sink.ts';
import { compressionByEnding } from '../../agent/archive/open-store.ts';
import { endpointText, parseEndpoint } from '../../agent/ends/endpoint.ts';
import type { Digest, Image } from '../../agent/model/image.ts';
import { clashes } from '../../agent/model/plan.ts';
import { familiar, parseReference, withDefaultTag } from '../../agent/model/reference.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { decoded, decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText, textLike } from './text.ts';

const endpoints = target<string>({
  name: 'archive/endpoint',
  share: 20,
  input: textLike(
    fc.constantFrom(
      'docker-archive:a/b.tar:host:5000/web:1.0',
      'docker-archive:-',
      'oci-archive:x.tar.gz:sha256:abc',
      'oci:dir:web',
      'oci:-',
      'dir:/x',
      'dir:x:y',
      'docker-daemon:web:1.0',
      'docker-daemon:',
    ),
  ),
  check: (text) => {
    const read = decoded(['usage'], () => parseEndpoint(text));
    if (!read) return;
    holds(endpointText(read) === text, 'a place is called as it was given');
    if (read.kind === 'docker-daemon') return;
    const { kind, path, reference } = read;
    holds(path !== '' && !path.includes(':') && reference !== '', 'a path ends at its first colon');
    holds(path !== '-' || kind.endsWith('-archive'), 'only an archive is a stream');
    holds(kind !== 'dir' || reference === undefined, 'a dir: has no names');
  },
});

const HEX = 'cafebeef'.repeat(8);
const idOf = (n: number): Digest =>
  `sha256:${(n % 3 === 0 ? HEX.slice(0, 8) : String(n)).padEnd(64, String(n % 10))}`;

function imageOf(id: Digest, names: readonly string[]): Image {
  return {
    id,
    root: { mediaType: 'x', digest: id, size: 1 },
    store: 'classic',
    platform: { os: 'linux', architecture: 'amd64' },
    names: names.map((name) => ({ source: name, target: name })),
    diffIds: [],
    layers: [],
    bytes: 0,
  };
}

/** Names as archives give them to images. */
const name: fc.Arbitrary<string> = textLike(
  fc
    .tuple(
      fc.constantFrom(
        '',
        'docker.io/',
        'localhost/',
        'h.example:5000/',
        '[::1]:80/',
        'UP/',
        'team/',
        'team_',
      ),
      fc.constantFrom(
        'web',
        'a/b',
        'a_b',
        'a.b',
        'a__b',
        'x'.repeat(200),
        `${'p/'.repeat(100)}q`,
        `${'y'.repeat(120)}/${'y'.repeat(110)}`,
      ),
      fc.constantFrom('', ':1.0', ':latest', ':_', ':.x', `:${'t'.repeat(128)}`, ':x.gz', ':..'),
    )
    .map((parts) => parts.join('')),
)
  .filter((text) => parseReference(text)?.digest === undefined && parseReference(text) !== undefined)
  .map((text) =>
    familiar(withDefaultTag(parseReference(text) as NonNullable<ReturnType<typeof parseReference>>)),
  );

/** Removed when the process ends, or by the next one. */
const { path: scratch } = await scratchDirectory();

const each = target<{ names: readonly (readonly string[])[]; format: number; opens: boolean }>({
  name: 'archive/each',
  share: 4,
  input: fc.record({
    names: fc.array(fc.array(name, { maxLength: 2 }), { minLength: 1, maxLength: 4 }),
    format: fc.nat(FORMATS.length - 1),
    opens: fc.nat(4).map((n) => n === 0),
  }),
  check: async ({ names, format: at, opens }) => {
    const format = FORMATS[at] ?? 'tar';
    const images = names.map((some, n) => imageOf(idOf(n), some));
    const clashing = clashes(images);
    const { signal } = new AbortController();
    await using sink = new EachSink(scratch, format, {
      overwrite: false,
      ignoreSpace: false,
      noReplace: false,
      stdout: async () => {},
      signal,
    });
    const files = new Set<string>();
    const answers = await sink.plan(images);
    holds(answers.length === images.length, 'each image has an answer');
    for (const [place, { answer }] of answers.entries()) {
      const { image, action, reason } = answer;
      const file = fileName(image, format);
      holds(basename(file) === file && !/^\.|[\0/\\]|\p{Cc}/u.test(file), 'a file is in the directory');
      holds(Buffer.byteLength(file) <= 255, `a file has a name of ${file.length} characters`);
      holds(file.endsWith(`.${format}`), 'a file is called by what it is');
      holds(
        compressionByEnding(file) === (format === 'tar' ? 'none' : format === 'tar.gz' ? 'gzip' : 'zstd'),
        'and is what it is called',
      );
      const refused = files.has(file) || clashing[place] !== undefined;
      holds((action === 'refuse') === refused, 'two images are two files, and have two names');
      holds(action !== 'refuse' || (reason !== undefined && reason.length < 2_000), 'why is said');
      if (!refused) files.add(file);
    }
    const [first] = answers;
    if (!opens || first?.answer.action !== 'send') return;
    // Whatever it is called, its file can be made.
    const writer = await decodedLater([], () => first.open(signal));
    holds(readdirSync(scratch).length === 1, 'it is made under another name');
    await writer?.abort(new ImgmvError('peer-lost', 'no more'));
    holds(existsSync(scratch) && readdirSync(scratch).length === 0, 'nothing is left of it');
  },
});

interface Shelf {
  readonly images: readonly {
    readonly id: number;
    readonly names: readonly string[];
    readonly labels: readonly string[];
  }[];
}

const few: fc.Arbitrary<string> = fc.constantFrom(
  'web:1.0',
  'web:latest',
  'cafe:latest',
  'cafebeef:latest',
  'h.example/web:1.0',
  'team/web:2',
);
const label = fc.oneof(fc.constantFrom('1.0', 'latest', 'web', 'cafe', 'cafebeef', ''), nastyText);
const shelf: fc.Arbitrary<Shelf> = fc.record({
  images: fc.array(
    fc.record({
      id: fc.nat(5),
      names: fc.array(few, { maxLength: 2 }),
      labels: fc.array(label, { maxLength: 2 }),
    }),
    { maxLength: 4 },
  ),
});
const reference = fc.oneof(
  few,
  label,
  textLike(
    fc.constantFrom(
      'web',
      'docker.io/library/web:1.0',
      'cafe',
      'cafebeef',
      HEX.slice(0, 8),
      idOf(0),
      idOf(1),
      idOf(1).slice(7, 19),
      `sha256:${'1'.repeat(6)}`,
      'caf',
    ),
  ),
);

const choices = target<{ shelves: readonly Shelf[]; text: string }>({
  name: 'archive/choice',
  share: 10,
  input: fc.record({ shelves: fc.array(shelf, { minLength: 1, maxLength: 2 }), text: reference }),
  check: async ({ shelves, text }) => {
    const archives = shelves.map(({ images }): Archive => {
      const found = images.map(
        ({ id, names, labels }): ArchivedImage => ({
          image: imageOf(idOf(id), names),
          labels,
          metadata: [],
          layers: new Map(),
          claims: [],
        }),
      );
      return {
        label: 'x.tar',
        contents: {} as never,
        setAside: [],
        warnings: [],
        images: found,
        check: async () => {},
        checked: (image) => image,
        [Symbol.asyncDispose]: async () => {},
      };
    });
    const all = archives.flatMap(({ images }) => images);
    const wanted = meant(all, text);
    const chosen = await decodedLater(['usage'], () => new ArchiveCatalogue(archives).find(text));
    if (!chosen)
      return holds(
        wanted.byId === true && idsOf(wanted).size > 1,
        'only the beginning of several is refused',
      );
    holds(!wanted.byId || idsOf(wanted).size < 2, 'the beginning of several ids is none of them');
    const ids = new Set(chosen.map(({ id }) => id));
    holds(isDeepStrictEqual(ids, idsOf(wanted)), `got ${[...ids]}, want ${[...idsOf(wanted)]}`);
    for (const { id, names } of chosen) {
      const own = all.filter(({ image }) => image.id === id).flatMap(({ image }) => image.names);
      holds(
        names.every((name) => own.some(({ target: to }) => to === name)),
        'a name is its own',
      );
    }
  },
});

const idsOf = (some: readonly ArchivedImage[]) => new Set(some.map(({ image }) => image.id));

/** A name before what an archive calls it besides, and that before the beginning of an id, which has to be of one. */
function meant(all: readonly ArchivedImage[], text: string): ArchivedImage[] & { byId?: true } {
  const parsed = parseReference(text);
  const whole = parsed && familiar(withDefaultTag(parsed));
  const byName = all.filter(({ image }) => image.names.some(({ target: to }) => to === whole));
  if (byName.length > 0) return byName;
  const byLabel = all.filter(({ labels }) => labels.includes(text));
  if (byLabel.length > 0) return byLabel;
  const hex = text.replace(/^sha256:/, '');
  const byId = /^[0-9a-f]{4,64}$/.test(hex)
    ? all.filter(({ image }) => image.id.startsWith(`sha256:${hex}`))
    : [];
  return Object.assign(byId, { byId: true as const });
}

export const archiveNameTargets = [endpoints, each, choices];
