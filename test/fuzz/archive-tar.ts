/** Tars as archives are read out of them: headers, what stands in front of them, and whole tars. docs/archives.md. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { ENTRY_NAME_MAX_BYTES } from '../../agent/archive/limits.ts';
import { entryName, linkTarget } from '../../agent/archive/tar/entry-name.ts';
import { tarEntries } from '../../agent/archive/tar/tar-entries.ts';
import {
  BLOCK_BYTES,
  decodeLongName,
  decodePax,
  decodeTarHeader,
  type Extended,
  encodeTarHeader,
  padding,
} from '../../agent/archive/tar/tar-header.ts';
import { bytesLike, cut, cuts, mutated, rawBytes } from './bytes.ts';
import { decoded, decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText, textLike } from './text.ts';

/** Fields of a header: where they are, and how long. POSIX.1-2017 pax, "ustar Interchange Format". */
const FIELDS = [
  [0, 100],
  [124, 12],
  [156, 1],
  [157, 100],
  [257, 8],
  [345, 155],
  [148, 8],
] as const;
const NUMBERS = ['00000000000\0', '777777777777', '   644 \0', '', ' 12 34', '-1', '0x10', '8', '1\x002'];
const MAGICS = ['ustar\x0000', 'ustar  \0', 'ustar\x0011', 'USTAR\x0000', ''];
const NAMES = ['a', './a//b/', 'd/', '../x', '/etc', 'a/../b', 'ä', '\0a', 'n'.repeat(100), '.', ''];
const TYPES = ['0', '\0', '1', '2', '3', '4', '5', '6', '7', 'x', 'g', 'L', 'K', 'S', 'V', 'é'];

const base256 = fc
  .tuple(fc.constantFrom(0x80, 0x81, 0xff, 0xc0), rawBytes(11, 11), fc.nat(11))
  .map(([first, bytes, zeros]) =>
    Buffer.concat([Buffer.of(first), Buffer.alloc(zeros), bytes.subarray(zeros)]),
  );

/** What one field becomes. */
type Patch = readonly [field: number, value: Buffer];

const patch: fc.Arbitrary<Patch> = fc.oneof(
  fc.constantFrom(...TYPES).map((type): Patch => [2, Buffer.from(type, 'latin1')]),
  fc
    .oneof(
      fc.constantFrom(...NUMBERS).map((text) => Buffer.from(text, 'latin1')),
      base256,
    )
    .map((value): Patch => [1, value]),
  fc
    .tuple(fc.constantFrom(0, 3, 5), fc.oneof(fc.constantFrom(...NAMES), nastyText))
    .map(([field, text]): Patch => [field, Buffer.from(text)]),
  fc.constantFrom(...MAGICS).map((magic): Patch => [4, Buffer.from(magic, 'latin1')]),
  fc.tuple(fc.nat(FIELDS.length - 2), rawBytes(155)).map(([field, value]): Patch => [field, value]),
);

/** `sound`: under a checksum that is right. */
function patched(header: Buffer, patches: readonly Patch[], sound: boolean): Buffer {
  const block = Buffer.from(header);
  for (const [field, value] of patches) {
    const [at, length] = FIELDS[field] as (typeof FIELDS)[number];
    block.fill(0, at, at + length);
    value.copy(block, at, 0, length);
  }
  if (!sound) return block;
  block.write('        ', 148, 'latin1');
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

const patches = fc.array(patch, { maxLength: 3 });
/** Mostly. */
const soundly = fc.nat(9).map((n) => n > 0);

const headers = target<{ name: string; size: number; patches: readonly Patch[]; sound: boolean }>({
  name: 'archive/tar-header',
  share: 30,
  input: fc.record({
    name: fc.constantFrom('blobs/sha256/x', 'a', 'n'.repeat(100)),
    size: fc.oneof(fc.nat(2_000), fc.nat({ max: 2 ** 53 - 1 })),
    patches,
    sound: soundly,
  }),
  check: ({ name, size, patches: changes, sound }) => {
    const block = patched(encodeTarHeader(name, size), changes, sound);
    const read = decoded(['integrity'], () => decodeTarHeader(block));
    if (changes.length === 0)
      holds(isDeepStrictEqual(read, { name, size, type: '0', linkName: '' }), 'it is read as it was written');
    if (!read) return;
    holds(Number.isSafeInteger(read.size) && read.size >= 0, 'a size is one');
    holds(read.type.length === 1 && read.type !== '\0', 'a type is one character');
    for (const text of [read.name, read.linkName]) {
      holds(!text.includes('\0') && Buffer.from(text).toString() === text, 'a name is text');
      holds(Buffer.byteLength(text) <= 256, 'a name fits the header');
    }
    holds(block.includes(read.linkName), 'a name is what stands there');
    holds(
      read.name.split('/').every((part) => block.includes(part)),
      'a name is what stands there',
    );
  },
});

type Record = readonly [key: string, value: string, lie: number];

const record: fc.Arbitrary<Record> = fc.tuple(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.constantFrom('path', 'linkpath', 'size', 'mtime', 'GNU.sparse.major', '__proto__'),
    },
    { weight: 1, arbitrary: nastyText },
  ),
  fc.oneof(
    fc.constantFrom(
      'a',
      './a',
      '../x',
      '0',
      '4',
      '99',
      '-1',
      '1e3',
      '9007199254740993',
      '00012',
      '8589934592',
      '',
    ),
    nastyText,
  ),
  fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -3, max: 3 })),
);

function paxBytes(records: readonly Record[]): Buffer {
  const lines = records.map(([key, value, lie]) => {
    const rest = Buffer.from(` ${key}=${value}\n`);
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length++;
    return Buffer.concat([Buffer.from(String(length + lie)), rest]);
  });
  return Buffer.concat(lines);
}

const paxes = target<{ bytes: Buffer; global: boolean }>({
  name: 'archive/pax',
  share: 30,
  input: fc.record({
    bytes: bytesLike(fc.array(record, { maxLength: 4 }).map(paxBytes)),
    global: fc.boolean(),
  }),
  check: ({ bytes, global }) => {
    const read = decoded(['integrity'], () => decodePax(bytes, global));
    if (!read) return;
    holds(!global || Object.keys(read).length === 0, 'nothing is said of all entries');
    holdsForExtended(read, bytes);
    const { name, linkName, size } = read;
    const said = [
      ['path', name],
      ['linkpath', linkName],
      ['size', size],
    ] as const;
    for (const [key, value] of said)
      if (value !== undefined) holds(bytes.includes(`${key}=${value}`) || key === 'size', 'it says so');
    const again = said.flatMap(([key, value]): Record[] =>
      value === undefined ? [] : [[key, String(value), 0]],
    );
    holds(isDeepStrictEqual(decodePax(paxBytes(again), global), read), 'it reads the same again');
  },
});

const longNames = target<Buffer>({
  name: 'archive/long-name',
  share: 10,
  input: bytesLike(
    fc
      .oneof(
        nastyText,
        fc.constantFrom('n'.repeat(ENTRY_NAME_MAX_BYTES), 'n'.repeat(ENTRY_NAME_MAX_BYTES + 1)),
      )
      .map((text) => Buffer.from(`${text}\0`)),
  ),
  check: (bytes) => {
    const name = decoded(['integrity'], () => decodeLongName(bytes));
    if (name !== undefined) holdsForExtended({ name }, bytes);
  },
});

function holdsForExtended({ name, linkName, size }: Extended, bytes: Buffer): void {
  for (const text of [name, linkName])
    if (text !== undefined) {
      holds(bytes.includes(text), 'a name is what stands there');
      holds(!text.includes('\0') && Buffer.byteLength(text) <= ENTRY_NAME_MAX_BYTES, 'a name is bounded');
    }
  holds(size === undefined || (Number.isSafeInteger(size) && size >= 0), 'a size is one');
}

/** An entry, its header changed and under a checksum that is right, and what stands in front of it. */
const entry: fc.Arbitrary<Buffer> = fc
  .record({
    name: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a', 'b/c', 'd', 'manifest.json', './e') },
      { weight: 1, arbitrary: fc.constantFrom(...NAMES) },
    ),
    body: fc.oneof(
      rawBytes(40),
      fc.nat(2_000).map((size) => Buffer.alloc(size, size)),
    ),
    header: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: patches }),
    before: fc.oneof(
      { weight: 4, arbitrary: fc.constant(undefined) },
      {
        weight: 2,
        arbitrary: fc.array(record, { minLength: 1, maxLength: 2 }).map((all): Extra => ['x', paxBytes(all)]),
      },
      { weight: 1, arbitrary: fc.array(record, { maxLength: 2 }).map((all): Extra => ['g', paxBytes(all)]) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(
            fc.constantFrom('L', 'K'),
            fc.oneof(fc.constantFrom(`${'l'.repeat(150)}/x`, 'b/../../x', 'f'), nastyText),
          )
          .map(([type, text]): Extra => [type, Buffer.from(`${text}\0`)]),
      },
    ),
    sound: soundly,
  })
  .map(({ name, body, header, before, sound }) =>
    Buffer.concat([
      ...(before ? [fileBytes('././@x', before[1], [[2, Buffer.from(before[0])]], true)] : []),
      fileBytes(name.slice(0, 50), body, header, sound),
    ]),
  );

type Extra = readonly [type: string, body: Buffer];

/** A directory or a link says that it has no bytes, or most of them would be refused for that. */
function fileBytes(name: string, body: Buffer, changes: readonly Patch[], sound: boolean): Buffer {
  const empty = changes.some(
    ([field, value]) => field === 2 && ['1', '2', '5'].includes(value.toString('latin1')),
  );
  const bytes = empty ? Buffer.alloc(0) : body;
  return Buffer.concat([
    patched(encodeTarHeader(name, bytes.length), changes, sound),
    bytes,
    padding(bytes.length),
  ]);
}

const tars = fc
  .record({
    entries: fc.array(entry, { maxLength: 4 }),
    ends: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(2, 20) },
      { weight: 1, arbitrary: fc.constantFrom(0, 1) },
    ),
  })
  .map(({ entries, ends }) => Buffer.concat([...entries, Buffer.alloc(ends * BLOCK_BYTES)]));

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

const wholeTars = target<{ bytes: Buffer; cutAt: readonly number[]; reads: readonly number[] }>({
  name: 'archive/tar',
  share: 8,
  input: fc.record({
    bytes: fc.oneof({ weight: 4, arbitrary: tars }, { weight: 1, arbitrary: mutated(tars) }),
    cutAt: cuts,
    reads: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }),
  }),
  allowance: ({ bytes }) => 2 * 1024 * 1024 + 64 * bytes.length,
  check: async ({ bytes, cutAt, reads }) => {
    const atOnce = await entriesOf(bytes, [bytes.length], [2]);
    const cutUp = await entriesOf(bytes, cutAt, [2]);
    holds(isDeepStrictEqual(cutUp, atOnce), `where it is cut does not matter:\n${cutUp}\n${atOnce}`);
    const partly = await entriesOf(bytes, cutAt, reads);
    const names = (all: readonly string[] | undefined) => all?.map((one) => one.split(' ')[0]);
    holds(isDeepStrictEqual(names(partly), names(atOnce)), 'what is not read of a body does not matter');
    if (!atOnce) return;
    // What it refuses it takes for nothing else.
    const other = await asTarStreamReads(bytes).catch(() => atOnce);
    holds(isDeepStrictEqual(other, atOnce), `another reader reads the same:\n${other}\n${atOnce}`);
  },
});

/** Entries as text. `reads`: how much of a body is looked at: nothing, its first piece, all. */
async function entriesOf(
  bytes: Buffer,
  cutAt: readonly number[],
  reads: readonly number[],
): Promise<readonly string[] | undefined> {
  let open = true;
  const source = async function* () {
    try {
      yield* cut(bytes, cutAt);
    } finally {
      open = false;
    }
  };
  const found = await decodedLater(['integrity'], async () => {
    const all: string[] = [];
    for await (const { name, link, size, again, offset, body } of tarEntries(source())) {
      holds(again === all.some((one) => one.split(' ')[0] === shown(name)), 'what is there again says so');
      holds(offset % BLOCK_BYTES === 0 && offset <= bytes.length, 'an entry begins with a block');
      holds(entryName(name) === name && name !== '', 'a name has one spelling');
      const parts: Buffer[] = [];
      const wanted = reads[all.length % reads.length];
      if (wanted === 1) await body.next();
      else if (wanted === 2) for await (const part of body) parts.push(part);
      const whole = Buffer.concat(parts);
      if (wanted === 2)
        holds(whole.equals(bytes.subarray(offset, offset + size)), 'a body is what stands there');
      all.push(`${shown(name)} ${link === undefined ? sha256(whole) : `-> ${link}`}`);
    }
    return all;
  });
  holds(!open || bytes.length === 0, 'the stream is closed');
  return found;
}

const shown = (name: string) => JSON.stringify(name).replaceAll(' ', '_');

async function asTarStreamReads(bytes: Buffer): Promise<readonly string[]> {
  const all = await readByAnother(bytes);
  return all.map(({ name, link, hard, body }) => {
    const at = entryName(name);
    const what = link === undefined ? sha256(body) : `-> ${hard ? entryName(link) : linkTarget(at, link)}`;
    return `${shown(at)} ${what}`;
  });
}

/** Files and links as tar-stream reads them. Rejects for what it does not read. */
export async function readByAnother(bytes: Buffer) {
  const all: { name: string; link: string | undefined; hard: boolean; body: Buffer }[] = [];
  const reader = extract();
  reader.end(bytes);
  for await (const stream of reader) {
    const { name, type, linkname } = stream.header;
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    // It does not tell directories apart as writers had them before there was a type for them.
    if (type === 'directory' || (type === 'file' && name.endsWith('/'))) continue;
    const hard = type === 'link';
    const link = hard || type === 'symlink' ? (linkname ?? '') : undefined;
    all.push({ name, link, hard, body: Buffer.concat(parts) });
  }
  return all;
}

const places = target<{ name: string; link: string }>({
  name: 'archive/entry-name',
  share: 20,
  input: fc.record({
    name: textLike(fc.constantFrom('a/b/c', './a//b/', 'x/../y', '..', '/a', 'a/..', '...', 'a/.../b', '')),
    link: textLike(fc.constantFrom('../c', '../../c', 'd', './d', '../../../c', '/e', 'x/../../y', '')),
  }),
  check: ({ name, link }) => {
    const own = decoded(['integrity'], () => entryName(name));
    const climbs = name.split('/').includes('..');
    holds(
      (own !== undefined) === !(climbs || name.startsWith('/')),
      'exactly what leads elsewhere is refused',
    );
    if (own === undefined) return;
    holds(own === walked('', name), 'it is the place that the name leads to');
    holds(entryName(own) === own, 'a place has one spelling');
    const to = decoded(['integrity'], () => linkTarget(own, link));
    const want =
      link.startsWith('/') || link === '' ? undefined : walked(own.split('/').slice(0, -1).join('/'), link);
    holds(to === want, `a link leads to ${to}, want ${want}`);
  },
});

/** As a kernel walks; undefined where it leaves. */
function walked(from: string, path: string): string | undefined {
  const at = from === '' ? [] : from.split('/');
  for (const step of path.split('/')) {
    if (step === '..' && at.length === 0) return undefined;
    if (step === '..') at.pop();
    else if (step !== '' && step !== '.') at.push(step);
  }
  return at.join('/');
}

export const archiveTarTargets = [headers, paxes, longNames, wholeTars, places];
