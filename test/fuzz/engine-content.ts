/** The content store of an engine: protobuf, the framing of gRPC, and what containerd answers. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { ContentStore } from '../../agent/docker/containerd/content.ts';
import {
  DELIMITED,
  encodeString,
  fieldsOf,
  readVarint,
  VARINT,
} from '../../agent/docker/containerd/protobuf.ts';
import type { Digest } from '../../agent/model/image.ts';
import { fakeContent, framed } from '../agent/docker/fake-content.ts';
import { bytesLike, cut, cuts, mutated, rawBytes } from './bytes.ts';
import { decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText } from './text.ts';

const DIGEST: Digest = `sha256:${'a'.repeat(64)}`;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8 + VARINT), varint(value)]);
}

function bytesField(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + DELIMITED), varint(bytes.length), bytes]);
}

const field: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 2 ** 29 - 1 }), fc.nat({ max: 2 ** 53 - 1 }))
    .map(([at, n]) => numberField(at, n)),
  fc.tuple(fc.integer({ min: 1, max: 20 }), rawBytes(40)).map(([at, bytes]) => bytesField(at, bytes)),
  fc.tuple(fc.integer({ min: 1, max: 15 }), nastyText).map(([at, text]) => encodeString(at, text)),
  fc.constantFrom(Buffer.from('090102030405060708', 'hex'), Buffer.from('0d01020304', 'hex')),
);

const protobuf = target({
  name: 'content/protobuf',
  share: 20,
  input: bytesLike(fc.array(field, { maxLength: 6 }).map((all) => Buffer.concat(all))),
  check: (bytes) => {
    const fields = fieldsOf(bytes);
    if (!fields) return;
    let covered = 0;
    for (const { number, wireType, value } of fields) {
      holds(number >= 1 && number < 2 ** 29 && Number.isInteger(number), 'a field has a number');
      holds(typeof value === 'number' || value.buffer === bytes.buffer, 'bytes are not copied');
      covered += typeof value === 'number' ? 2 : value.length + 1;
      holds(wireType === VARINT || typeof value !== 'number', 'only a varint is a number');
    }
    holds(covered <= bytes.length, 'no byte is in two fields');
    const last = fields.at(-1)?.value;
    if (last instanceof Buffer && last.length > 0)
      holds(fieldsOf(bytes.subarray(0, -1)) === undefined, 'a field that is cut short is none');
    if (
      fields.some(
        ({ wireType, value }) => wireType % 4 === 1 || (typeof value === 'number' && value >= 2 ** 53),
      )
    )
      return;
    const again = fields.map(({ number, value }) =>
      typeof value === 'number' ? numberField(number, value) : bytesField(number, value),
    );
    const read = fieldsOf(Buffer.concat(again));
    if (fields.every(({ wireType }) => wireType === VARINT || wireType === DELIMITED))
      holds(isDeepStrictEqual(read, fields), 'fields are written as they were read');
  },
});

const varints = target<{ bytes: Buffer; at: number }>({
  name: 'content/varint',
  share: 20,
  input: fc.record({ bytes: bytesLike(fc.nat({ max: 2 ** 53 - 1 }).map(varint), 16), at: fc.nat(4) }),
  check: ({ bytes, at }) => {
    const read = readVarint(bytes, at);
    if (!read) return;
    holds(read.end > at && read.end <= Math.min(bytes.length, at + 10), 'a varint ends within its ten bytes');
    holds(read.value >= 0 && read.value < 2 ** 70, 'a varint is no less than zero');
    if (read.value < 2 ** 53)
      holds(readVarint(varint(read.value), 0)?.value === read.value, 'it reads the same again');
  },
});

const info = fc
  .tuple(
    fc.constantFrom<string>(DIGEST, `sha512:${'0'.repeat(128)}`),
    fc.nat({ max: 2 ** 53 - 1 }),
    nastyText,
  )
  .map(([digest, size, label]) => {
    const labels = Buffer.concat([encodeString(1, 'containerd.io/uncompressed'), encodeString(2, label)]);
    return bytesField(
      1,
      Buffer.concat([encodeString(1, digest), numberField(2, size), bytesField(5, labels)]),
    );
  });

/** Pieces of one blob, each with its offset. */
const pieces = fc.array(rawBytes(60), { maxLength: 4 }).map((all) => {
  let offset = 0;
  return Buffer.concat(
    all.map((data) => {
      const head = offset === 0 ? Buffer.alloc(0) : numberField(1, offset);
      offset += data.length;
      return framed(Buffer.concat([head, data.length === 0 ? Buffer.alloc(0) : bytesField(2, data)]));
    }),
  );
});

interface Said {
  readonly bytes: Buffer;
  readonly cutAt: readonly number[];
  readonly status: number;
  readonly reason: string;
}

/** What the engine of this process answers next. */
let said: Said | undefined;
let store: Promise<ContentStore & AsyncDisposable> | undefined;
let uses = 0;
/** An HTTP/2 server of node ends a connection on which too many calls are cancelled. */
const USES_MAX = 200;

async function opened(): Promise<ContentStore> {
  if (store && ++uses % USES_MAX === 0) {
    await (await store)[Symbol.asyncDispose]();
    store = undefined;
  }
  store ??= (async () => {
    const fake = await fakeContent((stream) => {
      const { bytes, cutAt, status, reason } = said as Said;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.once('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': reason }),
      );
      for (const piece of cut(bytes, cutAt)) stream.write(piece);
      stream.end();
    });
    const made = await ContentStore.open(fake.engine);
    if (!made) throw new Error('it did not open');
    return Object.assign(made, {
      [Symbol.asyncDispose]: async () => {
        made.close();
        await fake[Symbol.asyncDispose]();
      },
    });
  })();
  return store;
}

/** The connection holds: what is wrong is the answer. */
const REFUSALS = ['engine-refused', 'integrity', 'image-not-found'] as const;
const answerOf = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Said> =>
  fc.record({
    bytes,
    cutAt: cuts,
    status: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.constantFrom(5, 13, 16)),
    reason: fc.constantFrom('', 'no%20such%20thing', '%zz%', '%e2%80%ae'),
  });

const infos = target<Said & { all: boolean }>({
  name: 'content/infos',
  share: 4,
  input: fc
    .tuple(
      answerOf(
        mutated(
          fc
            .array(
              info.map((one) => framed(one)),
              { maxLength: 3 },
            )
            .map((all) => Buffer.concat(all)),
        ),
      ),
      fc.boolean(),
    )
    .map(([one, all]) => ({ ...one, all })),
  check: async (one) => {
    const content = await opened();
    said = one;
    const found = await decodedLater(REFUSALS, async () =>
      one.all ? content.list() : [await content.info(DIGEST)],
    );
    for (const blob of found ?? []) {
      if (!blob) continue;
      holds(/^sha256:[0-9a-f]{64}$/.test(blob.digest), 'a digest is one');
      holds(one.all || blob.digest === DIGEST, 'it is the blob that was asked for');
      holds(Number.isSafeInteger(blob.size), 'a size is a number');
      const { uncompressed = DIGEST } = blob;
      holds(/^sha256:[0-9a-f]{64}$/.test(uncompressed), 'a label that is no digest says nothing');
    }
    holds(found === undefined || one.status === 0 || (one.status === 5 && !one.all), 'a status is heard');
  },
});

const reads = target<Said & { max: number }>({
  name: 'content/read',
  share: 6,
  input: fc.tuple(answerOf(mutated(pieces)), fc.nat(300)).map(([one, max]) => ({ ...one, max })),
  check: async (one) => {
    const content = await opened();
    said = one;
    const bytes = await decodedLater(REFUSALS, () => content.readAll(DIGEST, one.max));
    if (!bytes) return;
    holds(one.status === 0, 'a status is heard');
    holds(bytes.length <= Math.min(one.max, one.bytes.length), 'no more comes than was sent, or is wanted');
  },
});

export const contentTargets = [protobuf, varints, infos, reads];
