/** Control messages, one by one and cut anywhere. PROTOCOL.md section 6. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { fromWire, toWire } from '../../agent/peer/failure.ts';
import { ERROR_CODES, ImgmvError } from '../../proto/errors.ts';
import { MESSAGE_MAX_BYTES, TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import { Control, decodeMessage, encodeMessage, type Message, PUSH_PROBLEMS } from '../../proto/messages.ts';
import { bytesLike, cut, cuts } from './bytes.ts';
import { decoded, decodedLater, holds, holdsPlain } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, nastyText } from './text.ts';
import { laneOf, writtenLane } from './wire.ts';

const text = nastyText.map((nasty) => nasty.slice(0, TEXT_MAX_CHARACTERS));
const word = nastyText.map((nasty) => nasty.slice(0, 100) || 'x');
const label = nastyText.map((nasty) => nasty.slice(0, 100));
const shortId = fc.nat(0xffff).map((n) => n.toString(16).padStart(12, '0'));
const digest = fc.nat(0xffff).map((n) => `sha256:${n.toString(16).padStart(64, '0')}`);
const bytes = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 40, 2 ** 40 - 1));
const item = fc.oneof(fc.nat(3), fc.constantFrom(0, 9_999));
const name = fc.constantFrom('web:1.0', 'a', '!', '~'.repeat(384), 'host.example:5000/team/web:1');
const few = { maxLength: 3 } as const;
const optional = <T extends object>(all: { [K in keyof T]: fc.Arbitrary<T[K]> }, required: (keyof T)[]) =>
  fc.record(all, { requiredKeys: required }) as fc.Arbitrary<Json>;
const failure = optional({ code: fc.constantFrom(...ERROR_CODES), message: text, hint: text }, [
  'code',
  'message',
]);

/** All that may be said. */
export const message: fc.Arbitrary<Json> = fc.oneof(
  optional(
    {
      type: fc.constant('hello'),
      role: fc.constantFrom('sender', 'receiver'),
      software: word,
      name: word,
      engine: fc.record({
        kind: word,
        version: word,
        store: fc.constantFrom('classic', 'containerd'),
        os: word,
        architecture: word,
      }),
      capabilities: fc.array(word, few),
      purpose: fc.constantFrom('move', 'plan'),
      push: fc.boolean(),
      asks: fc.boolean(),
    },
    ['type', 'role', 'software', 'name', 'engine', 'capabilities'],
  ),
  optional(
    {
      type: fc.constant('offer'),
      items: fc.array(
        optional(
          {
            item,
            kind: fc.constant('image'),
            id: digest,
            root: fc.record({ mediaType: word, digest, size: bytes }),
            store: fc.constantFrom('classic', 'containerd'),
            platform: optional({ os: label, architecture: label, variant: word }, ['os', 'architecture']),
            names: fc.array(fc.record({ source: name, wanted: name }), few),
            diffIds: fc.array(digest, few),
            config: digest,
            layers: fc.array(optional({ digest, size: bytes, diffId: digest }, ['digest', 'size']), few),
            bytes,
            withheld: text,
          },
          ['item', 'kind', 'id', 'root', 'store', 'platform', 'names', 'diffIds', 'bytes'],
        ),
        { maxLength: 2 },
      ),
      last: fc.boolean(),
    },
    ['type', 'items', 'last'],
  ),
  optional(
    {
      type: fc.constant('answer'),
      items: fc.array(
        optional(
          {
            item,
            action: fc.constantFrom('send', 'present', 'refuse'),
            reason: text,
            warning: text,
            names: fc.array(
              optional({ wanted: name, target: name, replaces: shortId, push: fc.constant(true) }, [
                'wanted',
              ]),
              few,
            ),
            missing: fc.array(digest, few),
          },
          ['item', 'action', 'names'],
        ),
        few,
      ),
      last: fc.boolean(),
    },
    ['type', 'items', 'last'],
  ),
  optional(
    {
      type: fc.constant('progress'),
      item,
      phase: fc.constantFrom('transfer', 'load', 'push'),
      bytes,
      bytesTotal: bytes,
      kept: bytes,
      bottleneck: fc.constantFrom('save', 'compress', 'network', 'load'),
      limit: bytes.map((rate) => rate + 1),
    },
    ['type', 'item', 'phase', 'bytes'],
  ),
  optional({ type: fc.constant('again'), item, missing: fc.array(digest, few) }, ['type', 'item', 'missing']),
  optional({ type: fc.constant('failed'), item, error: failure }, ['type', 'item', 'error']),
  optional(
    {
      type: fc.constant('result'),
      item,
      status: fc.constantFrom('loaded', 'present', 'refused', 'failed', 'skipped'),
      targetId: digest,
      names: fc.array(optional({ wanted: name, target: name, replaces: shortId }, ['wanted']), few),
      error: failure,
      kept: bytes,
      pushes: fc.constant(true),
    },
    ['type', 'item', 'status', 'names'],
  ),
  optional(
    {
      type: fc.constant('pushed'),
      item,
      pushed: fc.array(
        optional({ target: name, digest, warning: text, problem: fc.constantFrom(...PUSH_PROBLEMS) }, [
          'target',
        ]),
        { ...few, minLength: 1 },
      ),
    },
    ['type', 'item', 'pushed'],
  ),
  optional({ type: fc.constant('probe'), padding: nastyText }, ['type', 'padding']),
  fc.constant<Json>({ type: 'finish' }),
  fc.constant<Json>({ type: 'proceed' }),
);

/** What is valid must be taken as it is. */
const encoded = message.map((value) => encodeMessage(value as unknown as Message));

const honest = target({
  name: 'messages/valid',
  share: 8,
  input: encoded,
  check: (wire) => {
    const value: unknown = JSON.parse(wire.toString('utf8', 4));
    const read = decodeMessage(wire.subarray(4));
    holds(isDeepStrictEqual(read, value), 'a valid message is taken as it is');
  },
});

function holdsForMessage(read: Message): void {
  holdsPlain(read);
  const again = decodeMessage(encodeMessage(read).subarray(4));
  holds(isDeepStrictEqual(again, read), 'a message that is taken is written as one that says the same');
}

const single = target({
  name: 'messages/decode',
  share: 30,
  input: jsonLike(message),
  check: (json) => {
    const read = decoded(['protocol-violation'], () => decodeMessage(json));
    if (read) holdsForMessage(read);
  },
});

/** A stream of several, of which one may be broken, cut as a network would. */
const control = target<{ stream: Buffer; cutAt: readonly number[] }>({
  name: 'messages/control',
  share: 20,
  input: fc.record({
    stream: bytesLike(
      fc.array(fc.oneof(encoded, jsonLike(message).map(framed)), few).map((all) => Buffer.concat(all)),
    ),
    cutAt: cuts,
  }),
  // However small the pieces are, what has come of a message is put together once for each that is waited for.
  check: async ({ stream, cutAt }) => {
    const [cutUp, atOnce] = [await received(cut(stream, cutAt)), await received([stream])];
    holds(isDeepStrictEqual(cutUp, atOnce), 'where a stream is cut does not matter');
    for (const read of cutUp.messages) holdsForMessage(read);
    const said = cutUp.messages.reduce((sum, read) => sum + encodeMessage(read).length, 0);
    holds(cutUp.whole || said <= stream.length, 'nothing comes of nothing');
  },
});

function framed(json: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json]);
}

async function received(pieces: readonly Buffer[]): Promise<{ messages: Message[]; whole: boolean }> {
  const reader = new Control(laneOf(pieces));
  const messages: Message[] = [];
  const whole = await decodedLater(['protocol-violation'], async () => {
    for (let read = await reader.receive(); read; read = await reader.receive()) messages.push(read);
    return true;
  });
  return { messages, whole: whole === true };
}

/** A message that never comes to its end keeps no more than the longest there is. */
const endless = target<{ length: number; pieces: number }>({
  name: 'messages/announced',
  share: 2,
  input: fc.record({
    length: fc.oneof(
      fc.nat(0xffff_ffff),
      fc.nat(MESSAGE_MAX_BYTES),
      fc.integer({ min: MESSAGE_MAX_BYTES, max: MESSAGE_MAX_BYTES + 2 }),
    ),
    pieces: fc.nat(4),
  }),
  check: async ({ length, pieces }) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    let taken = 0;
    const left = [head, ...Array.from({ length: pieces }, () => Buffer.alloc(65_510, 0x20))];
    const lane = { read: async () => left.shift() };
    const reader = new Control({
      read: async () => {
        const bytesRead = await lane.read();
        taken += bytesRead?.length ?? 0;
        return bytesRead;
      },
    } as unknown as Control['lane']);
    await decodedLater(['protocol-violation'], () => reader.receive());
    if (length > MESSAGE_MAX_BYTES) holds(taken === 4, 'of a message that is too long nothing is read');
  },
});

/** A list is cut into messages and put together again. */
const lists = target<{ items: readonly Json[] }>({
  name: 'messages/lists',
  share: 2,
  input: fc.record({
    items: fc.array(
      fc.record({
        item,
        action: fc.constantFrom('send', 'present'),
        names: fc.constant([]),
        reason: text,
      }) as fc.Arbitrary<Json>,
      { maxLength: 200 },
    ),
  }),
  allowance: () => 4 * 1024 * 1024,
  check: async ({ items }) => {
    const { lane, written } = writtenLane();
    const list = { type: 'answer', items, last: true } as unknown as Parameters<Control['sendList']>[0];
    await new Control(lane).sendList(list);
    const { messages, whole } = await received([written()]);
    holds(whole, 'a list is read to its end');
    const parts = messages.map((part) => (part.type === 'answer' ? part : undefined));
    holds(
      parts.every((part, at) => part?.last === (at === parts.length - 1)),
      'the last is the last',
    );
    const want: unknown = JSON.parse(JSON.stringify(items));
    holds(
      isDeepStrictEqual(
        parts.flatMap((part) => part?.items),
        want,
      ),
      'a list is the same behind the wire',
    );
  },
});

/** Whatever goes wrong here can be told to the other host. */
const failures = target<{ code: number; message: string; hint: string | null; host: string }>({
  name: 'messages/failure',
  share: 8,
  input: fc.record({
    code: fc.nat(ERROR_CODES.length - 1),
    message: fc.oneof(
      nastyText,
      fc.nat(3_000).map((length) => 'm\u{1f433}'.repeat(length)),
    ),
    hint: fc.option(nastyText),
    host: nastyText,
  }),
  check: ({ code, message: said, hint, host }) => {
    const error = new ImgmvError(ERROR_CODES[code] ?? 'internal', said, hint === null ? {} : { hint });
    const told = decodeMessage(encodeMessage({ type: 'failed', item: 0, error: toWire(error) }).subarray(4));
    holds(told.type === 'failed', 'a failure is told');
    if (told.type !== 'failed') return;
    const { exit, message, hint: shown } = fromWire(told.error, host);
    holds(exit < 129, 'a signal of the other host is none here');
    holds(![0, 1, 2, 12, 15].includes(exit), 'how this side was called and its faults are its own');
    holds(
      [message, shown ?? `hint from ${host}: `].every((text) => text.includes(`${host}: `)),
      'whose words they are is said',
    );
  },
});

export const messageTargets = [honest, single, control, endless, lists, failures];
