/** PROTOCOL.md section 7: entries in hex, blobs from lane to lane, and what a reader refuses. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Compressor } from '../../proto/compression.ts';
import {
  type AnyBlob,
  type BlobHeader,
  type Digest,
  decodeHeader,
  decodeTrailer,
  type EndHeader,
  encodeHeader,
  encodeTrailer,
} from '../../proto/entry.ts';
import { encodeBlob } from '../../proto/entry-body.ts';
import { EntryReader } from '../../proto/entry-reader.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import type { Lane } from '../../proto/lane.ts';
import { randomBytes } from '../rig/layers.ts';
import { codeOf, lanes, readAll } from './wire.ts';

const MIB = 1024 * 1024;
const WINDOW = 8 * MIB;
const HELLO = Buffer.from('hello');
const HELLO_HEX = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
const HELLO_DIGEST: Digest = `sha256:${HELLO_HEX}`;
const NO_DIGEST = '00'.repeat(32);

function bytes(...hex: readonly string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex');
}

function digestOf(body: Buffer): Digest {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`;
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}

function blob(body: Buffer, change: Partial<AnyBlob> = {}): AnyBlob {
  return { kind: 'layer', size: body.length, digest: digestOf(body), body: once(body), ...change };
}

/** The body of the next entry, which must be a blob, and what is known at its end. */
async function take(reader: EntryReader) {
  const item = await reader.next();
  if (!item || 'type' in item) throw new Error('a blob was expected');
  const parts: Buffer[] = [];
  for await (const part of item.body) parts.push(part);
  return { ...item, bytes: Buffer.concat(parts), digest: item.verified() };
}

function writerOf(lane: Lane) {
  const entries = new EntryWriter(lane);
  const compressor = new Compressor();
  return {
    send: (one: AnyBlob, image = 0) =>
      entries.blob(
        image,
        encodeBlob(one, compressor, () => 3),
      ),
    entries,
  };
}

const HEADERS: readonly (readonly [string, BlobHeader | EndHeader, string])[] = [
  [
    'a layer of image 7 with a digest, as zstd',
    { type: 'blob', kind: 'layer', item: 7, encoding: 'zstd', size: 5, digest: HELLO_DIGEST },
    `01 01 01 00 00000007 0000000000000005 ${HELLO_HEX}`,
  ],
  [
    'a layer without a digest, of the greatest size',
    { type: 'blob', kind: 'layer', item: 0, encoding: 'identity', size: 1024 ** 4, digest: undefined },
    `01 00 00 00 00000000 0000010000000000 ${NO_DIGEST}`,
  ],
  [
    'a config',
    { type: 'blob', kind: 'config', item: 1, encoding: 'identity', size: 5, digest: HELLO_DIGEST },
    `02 00 01 00 00000001 0000000000000005 ${HELLO_HEX}`,
  ],
  [
    'a manifest',
    { type: 'blob', kind: 'manifest', item: 1, encoding: 'identity', size: 5, digest: HELLO_DIGEST },
    `03 00 01 00 00000001 0000000000000005 ${HELLO_HEX}`,
  ],
  [
    'an index of the greatest size, for the greatest image',
    { type: 'blob', kind: 'index', item: 9_999, encoding: 'zstd', size: 4 * MIB, digest: HELLO_DIGEST },
    `04 01 01 00 0000270f 0000000000400000 ${HELLO_HEX}`,
  ],
  [
    'a layer of unknown length',
    { type: 'blob', kind: 'layer', item: 7, encoding: 'zstd', size: undefined, digest: undefined },
    `01 01 04 00 00000007 0000000000000000 ${NO_DIGEST}`,
  ],
  [
    'a config of unknown length, with a digest',
    { type: 'blob', kind: 'config', item: 7, encoding: 'identity', size: undefined, digest: HELLO_DIGEST },
    `02 00 05 00 00000007 0000000000000000 ${HELLO_HEX}`,
  ],
  [
    'the end of an image of three blobs',
    { type: 'end', item: 7, blobs: 3, complete: true },
    `00 00 00 00 00000007 0000000000000003 ${NO_DIGEST}`,
  ],
  [
    'the end of an image that was given up',
    { type: 'end', item: 7, blobs: 1, complete: false },
    `00 00 02 00 00000007 0000000000000001 ${NO_DIGEST}`,
  ],
];

describe('headers and trailers', () => {
  test.each(HEADERS)('%s', (_name, header, hex) => {
    expect(encodeHeader(header).toString('hex')).toBe(bytes(hex).toString('hex'));
    expect(decodeHeader(bytes(hex))).toEqual(header);
  });

  test.each([
    ['kind 5', `05 00 00 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['encoding 2', `01 02 00 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['the end’s flag on a blob', `01 00 02 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['the blob’s flag on an end', `00 00 01 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['a flag that is none', `01 00 08 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['an unknown length and a size', `01 00 04 00 00000000 0000000000000001 ${NO_DIGEST}`],
    ['an end of unknown length', `00 00 04 00 00000000 0000000000000000 ${NO_DIGEST}`],
    ['both flags', `01 00 03 00 00000000 0000000000000005 ${NO_DIGEST}`],
    ['a reserved byte', `01 00 00 01 00000000 0000000000000005 ${NO_DIGEST}`],
    ['image 10,000', `01 00 00 00 00002710 0000000000000005 ${NO_DIGEST}`],
    ['a layer of a TiB and one byte', `01 00 00 00 00000000 0000010000000001 ${NO_DIGEST}`],
    ['a config of 4 MiB and one byte', `02 00 00 00 00000000 0000000000400001 ${NO_DIGEST}`],
    ['a size above 2^53', `01 00 00 00 00000000 0020000000000000 ${NO_DIGEST}`],
  ])('%s is a violation', async (_name, hex) => {
    expect(await codeOf(() => decodeHeader(bytes(hex)))).toBe('protocol-violation');
  });

  test('trailers', async () => {
    const complete = { complete: true, size: 5 };
    expect(encodeTrailer(complete).toString('hex')).toBe('00000000000000000000000000000005');
    expect(decodeTrailer(encodeTrailer(complete))).toEqual(complete);
    expect(encodeTrailer(undefined).toString('hex')).toBe(`01${'00'.repeat(15)}`);
    expect(decodeTrailer(encodeTrailer(undefined)).complete).toBe(false);
    expect(await codeOf(() => decodeTrailer(bytes(`02${'00'.repeat(15)}`)))).toBe('protocol-violation');
    const chunked = { ...complete, digest: HELLO_DIGEST };
    expect(encodeTrailer(chunked).toString('hex')).toBe(`00000000000000000000000000000005${HELLO_HEX}`);
    expect(decodeTrailer(encodeTrailer(chunked))).toEqual(chunked);
    expect(encodeTrailer(undefined, true).toString('hex')).toBe(`01${'00'.repeat(47)}`);
  });
});

describe('a writer', () => {
  test('writes header, segments, a segment of no bytes, and the trailer', async () => {
    await using ends = await lanes(WINDOW);
    const { send, entries } = writerOf(ends.dialler);
    const pieces = async function* () {
      yield Buffer.from('he');
      yield Buffer.alloc(0);
      yield Buffer.from('llo');
    };
    await send(blob(HELLO, { compressed: true, body: pieces() }), 7);
    await entries.end(7, 1, true);
    await ends.dialler.end();
    expect((await readAll(ends.listener)).toString('hex')).toBe(
      bytes(
        `01 00 01 00 00000007 0000000000000005 ${HELLO_HEX}`,
        '00000002 6865',
        '00000003 6c6c6f',
        '00000000',
        '00 00000000000000 0000000000000005',
        `00 00 00 00 00000007 0000000000000001 ${NO_DIGEST}`,
      ).toString('hex'),
    );
  });

  test('tells length and digest of a chunked blob behind it', async () => {
    await using ends = await lanes(WINDOW);
    const { digest: _, ...chunked } = blob(HELLO, { size: undefined, compressed: true });
    await writerOf(ends.dialler).send(chunked, 7);
    await ends.dialler.end();
    expect((await readAll(ends.listener)).toString('hex')).toBe(
      bytes(
        `01 00 04 00 00000007 0000000000000000 ${NO_DIGEST}`,
        '00000005 68656c6c6f',
        '00000000',
        `00 00000000000000 0000000000000005 ${HELLO_HEX}`,
      ).toString('hex'),
    );
  });

  test('cuts a piece of more than a MiB into segments', async () => {
    await using ends = await lanes(WINDOW);
    const body = randomBytes({ bytes: 2 * MIB + 5, seed: 4 });
    await writerOf(ends.dialler).send(blob(body, { compressed: true }));
    await ends.dialler.end();
    const wire = await readAll(ends.listener);
    const lengths = [48, 48 + 4 + MIB, 48 + 2 * (4 + MIB)].map((at) => wire.readUInt32BE(at));
    expect(lengths).toEqual([MIB, MIB, 5]);
  });

  test('what is read stays as it is until it is given back, while more than a window comes', async () => {
    await using ends = await lanes(MIB);
    const body = randomBytes({ bytes: 4 * MIB, seed: 5 });
    const sending = writerOf(ends.dialler).send(blob(body, { compressed: true }));
    const read = await take(new EntryReader(ends.listener));
    await sending;
    expect(read.bytes.equals(body)).toBe(true);
  });

  test('an empty blob has no segment and is not compressed', async () => {
    await using ends = await lanes(WINDOW);
    await writerOf(ends.dialler).send(blob(Buffer.alloc(0)));
    await ends.dialler.end();
    const wire = await readAll(ends.listener);
    expect(wire.length).toBe(48 + 4 + 16);
    expect(wire.toString('hex', 0, 4)).toBe('01000100');
  });

  test.each([
    ['longer than announced', { size: 4 }],
    ['shorter than announced', { size: 6 }],
    ['whose source breaks', { body: broken() }],
    ['whose source breaks before its length is known', { body: broken(), size: undefined }],
  ] as const)('gives up a blob %s; the lane goes on', async (_name, change) => {
    await using ends = await lanes(WINDOW);
    const { send, entries } = writerOf(ends.dialler);
    const reader = new EntryReader(ends.listener);
    await expect(send(blob(HELLO, change))).rejects.toThrow();
    await send(blob(HELLO));
    await entries.end(0, 1, false);
    expect(await codeOf(take(reader))).toBe('peer-stopped');
    expect((await take(reader)).bytes.toString()).toBe('hello');
    expect(await reader.next()).toEqual({ type: 'end', item: 0, blobs: 1, complete: false });
  });

  test('does not send what is endless', async () => {
    await using ends = await lanes(WINDOW);
    let given = 0;
    const endless = async function* () {
      for (; given < 1_000; given++) yield Buffer.alloc(64 * 1024);
    };
    const body = { size: 128 * 1024, digest: HELLO_DIGEST, compressed: true, body: endless() };
    expect(await codeOf(writerOf(ends.dialler).send(blob(HELLO, body)))).toBe('integrity');
    expect(given).toBe(2);
  });

  test('does not send what is endless and of unknown length', async () => {
    await using ends = await lanes(WINDOW);
    const endless = async function* () {
      for (;;) yield Buffer.alloc(MIB);
    };
    const send = writerOf(ends.dialler).send(
      blob(HELLO, { kind: 'config', size: undefined, body: endless() }),
    );
    expect(await codeOf(send)).toBe('integrity');
    expect(await codeOf(take(new EntryReader(ends.listener)))).toBe('peer-stopped');
  });
});

async function* broken(): AsyncGenerator<Buffer> {
  yield Buffer.from('he');
  throw new Error('the engine is gone');
}

describe('from writer to reader', () => {
  test.each([
    ['compressed', {}],
    ['as it is', { compressed: true }],
    ['without a digest', { digest: undefined }],
    ['of unknown length', { digest: undefined, size: undefined }],
    ['of unknown length, with a digest, as it is', { size: undefined, compressed: true }],
  ])('%s', async (_name, change) => {
    await using ends = await lanes(WINDOW);
    const bodies = [0, 1, 100_000, 3 * MIB].map((size) =>
      randomBytes({ bytes: size, seed: size, halfCompressible: true }),
    );
    const { send, entries } = writerOf(ends.dialler);
    const sending = (async () => {
      for (const body of bodies) {
        const { digest, ...nameless } = blob(body);
        const named = 'digest' in change ? nameless : { ...nameless, ...(digest && { digest }) };
        await send({ ...named, ...('size' in change && { size: undefined }), ...change } as AnyBlob);
      }
      await entries.end(0, bodies.length, true);
      await ends.dialler.end();
    })();
    const reader = new EntryReader(ends.listener);
    for (const body of bodies) {
      const taken = await take(reader);
      expect(taken.bytes.equals(body)).toBe(true);
      expect(taken.digest).toBe(digestOf(body));
    }
    expect(await reader.next()).toMatchObject({ type: 'end', blobs: bodies.length, complete: true });
    expect(await reader.next()).toBeUndefined();
    await sending;
  });

  test('a body that is not read, or not to its end, is skipped', async () => {
    await using ends = await lanes(WINDOW);
    const { send } = writerOf(ends.dialler);
    const large = randomBytes({ bytes: 2 * MIB, seed: 5 });
    const sending = (async () => {
      await send(blob(large));
      await send(blob(large, { compressed: true }));
      await send(blob(HELLO));
    })();
    const reader = new EntryReader(ends.listener);
    await reader.next();
    const second = await reader.next();
    if (!second || 'type' in second) throw new Error('a blob was expected');
    for await (const _ of second.body) break;
    expect((await take(reader)).bytes.toString()).toBe('hello');
    expect(await codeOf(() => second.verified())).toBe('internal');
    await sending;
  });

  test('the level is asked while it goes, and may change', async () => {
    await using ends = await lanes(WINDOW);
    const body = randomBytes({ bytes: 6 * MIB, seed: 6, halfCompressible: true });
    const pieces = async function* () {
      for (let at = 0; at < body.length; at += 64 * 1024) yield body.subarray(at, at + 64 * 1024);
    };
    let asked = 0;
    const encoded = encodeBlob(blob(body, { body: pieces() }), new Compressor(), () => (asked++ % 5) + 1);
    const sending = new EntryWriter(ends.dialler).blob(0, encoded);
    expect((await take(new EntryReader(ends.listener))).bytes.equals(body)).toBe(true);
    await sending;
    expect(asked).toBe(96);
  });
});

describe('a reader refuses', () => {
  const header = (size: string, encoding = '00', digest = HELLO_HEX) =>
    `01 ${encoding} ${digest === NO_DIGEST ? '00' : '01'} 00 00000000 ${size} ${digest}`;
  const trailer = (size: string) => `00 00000000000000 ${size}`;
  const FIVE = '0000000000000005';
  const DATA = '00000005 68656c6c6f';
  const END = '00000000';
  const next = [header(FIVE), DATA, END, trailer(FIVE)];

  test.each<readonly [string, readonly string[]]>([
    ['another digest in the header', [header(FIVE, '00', '11'.repeat(32)), DATA, END, trailer(FIVE)]],
    ['fewer bytes than declared', [header('0000000000000006'), DATA, END, trailer(FIVE)]],
    ['more bytes than declared', [header('0000000000000004'), DATA, END, trailer(FIVE)]],
    ['another size in the trailer', [header(FIVE), DATA, END, trailer('0000000000000004')]],
    ['what is no zstd', [header(FIVE, '01'), DATA, END, trailer(FIVE)]],
    ['zstd that is cut', [header(FIVE, '01'), '00000006 28b52ffd2005', END, trailer(FIVE)]],
    ['a zstd window of 2 GiB', [header(FIVE, '01'), '00000009 28b52ffd00a8010000', END, trailer(FIVE)]],
    [
      'a bomb: 128 KiB declared as five bytes',
      [header(FIVE, '01'), '0000000a 28b52ffd0038 03001000', END, trailer(FIVE)],
    ],
  ])('%s; the lane goes on', async (_name, entry) => {
    await using ends = await lanes(WINDOW);
    await ends.dialler.write(bytes(...entry, ...next));
    const reader = new EntryReader(ends.listener);
    expect(await codeOf(take(reader))).toBe('integrity');
    expect((await take(reader)).bytes.toString()).toBe('hello');
  });

  test.each<readonly [string, readonly string[]]>([
    ['a segment over a MiB', [header('0000000000200000'), '00100001']],
    ['a body far longer than declared', [header(FIVE), '00000407', '00'.repeat(0x407)]],
    ['a body longer than declared in many segments', [header(FIVE), ...Array<string>(207).fill(DATA)]],
  ])('%s, at once', async (_name, entry) => {
    await using ends = await lanes(WINDOW);
    await ends.dialler.write(bytes(...entry));
    // The lane stays open: a reader that waits for more would wait for ever.
    expect(await codeOf(take(new EntryReader(ends.listener)))).toBe('protocol-violation');
  });

  test.each<readonly [string, readonly string[]]>([
    ['END inside a header', [header(FIVE).slice(0, 60)]],
    ['END inside a body', [header(FIVE), '00000005 6865']],
    ['END between segments', [header(FIVE), DATA]],
    ['END inside a trailer', [header(FIVE), DATA, END, '0000']],
  ])('%s', async (_name, entry) => {
    await using ends = await lanes(WINDOW);
    await ends.dialler.write(bytes(...entry));
    await ends.dialler.end();
    expect(await codeOf(take(new EntryReader(ends.listener)))).toBe('protocol-violation');
  });

  describe('of what is chunked', () => {
    const chunked = (encoding = '00') => `01 ${encoding} 04 00 00000000 ${'00'.repeat(8)} ${NO_DIGEST}`;
    const digestTrailer = (size: string, digest = HELLO_HEX) => `${trailer(size)} ${digest}`;
    const BOUND = 1_000;

    test.each<readonly [string, readonly string[]]>([
      ['another digest in the trailer', [chunked(), DATA, END, digestTrailer(FIVE, '11'.repeat(32))]],
      [
        'another digest in the trailer than in the header',
        [
          chunked().replace(' 04 ', ' 05 ').replace(NO_DIGEST, HELLO_HEX),
          DATA,
          END,
          digestTrailer(FIVE, '11'.repeat(32)),
        ],
      ],
      ['another length in the trailer', [chunked(), DATA, END, digestTrailer('0000000000000004')]],
      [
        'more bytes than an item may bring',
        [chunked(), '000003e9', '00'.repeat(1_001), END, digestTrailer(FIVE)],
      ],
      ['a bomb: 128 KiB', [chunked('01'), '0000000a 28b52ffd0038 03001000', END, digestTrailer(FIVE)]],
    ])('%s; the lane goes on', async (_name, entry) => {
      await using ends = await lanes(WINDOW);
      await ends.dialler.write(bytes(...entry, chunked(), DATA, END, digestTrailer(FIVE)));
      const reader = new EntryReader(ends.listener, () => BOUND);
      expect(await codeOf(take(reader))).toBe('integrity');
      expect((await take(reader)).digest).toBe(HELLO_DIGEST);
    });

    test.each([
      ['read', take],
      ['thrown away', async (reader: EntryReader) => [await reader.next(), await reader.next()]],
    ])('a body without an end, though it is %s', async (_how, read) => {
      await using ends = await lanes(WINDOW);
      // The lane stays open: a reader that waits for more would wait for ever.
      await ends.dialler.write(bytes(chunked(), ...Array<string>(500).fill(DATA)));
      expect(await codeOf(read(new EntryReader(ends.listener, () => BOUND)))).toBe('protocol-violation');
    });
  });

  test('bytes beyond the declared size, and gives none of them on', async () => {
    await using ends = await lanes(WINDOW);
    await ends.dialler.write(bytes(header('0000000000000004'), '00000003 68656c', '00000002 6c6f', END));
    await ends.dialler.write(bytes(trailer(FIVE)));
    const item = await new EntryReader(ends.listener).next();
    if (!item || 'type' in item) throw new Error('a blob was expected');
    const given: string[] = [];
    const read = async () => {
      for await (const part of item.body) given.push(part.toString());
    };
    expect([await codeOf(read()), given.join('')]).toEqual(['integrity', 'hel']);
  });

  test('a blob that was given up, whatever its bytes were', async () => {
    await using ends = await lanes(WINDOW);
    const abandoned = `01${'00'.repeat(15)}`;
    await ends.dialler.write(
      bytes(header(FIVE, '01'), DATA, END, abandoned, header(FIVE), END, abandoned, ...next),
    );
    const reader = new EntryReader(ends.listener);
    expect(await codeOf(take(reader))).toBe('peer-stopped');
    expect(await codeOf(take(reader))).toBe('peer-stopped');
    expect((await take(reader)).bytes.toString()).toBe('hello');
  });
});
