/**
 * The control messages: JSON objects, each behind its length, checked against these schemas before anybody
 * looks at them. PROTOCOL.md section 6.
 */
import * as v from 'valibot';
import { counted } from './counted.ts';
import type { Digest } from './entry.ts';
import { ERROR_CODES, ImgmvError } from './errors.ts';
import type { Lane } from './lane.ts';
import {
  LAYER_MAX_BYTES,
  LAYERS_MAX,
  LAYERS_OFFERED_MAX,
  MESSAGE_LIST_BYTES,
  MESSAGE_MAX_BYTES,
  NAMES_PER_IMAGE_MAX,
  OFFER_IMAGES_MAX,
  PROBE_MAX_CHARACTERS,
  REFERENCE_MAX_BYTES,
  RETRIES_MAX,
  RETRY_PAUSE_MAX_MS,
  RUN_MAX_MS,
  TEXT_MAX_CHARACTERS,
} from './limits.ts';

/** Of one item, beside what else is in a message. */
const OFFERED_MAX_BYTES = MESSAGE_MAX_BYTES - 1_024;

const text = v.pipe(v.string(), v.maxLength(TEXT_MAX_CHARACTERS));
const word = v.pipe(v.string(), v.minLength(1), v.maxLength(100));
const digest = v.pipe(
  v.string(),
  v.regex(/^sha256:[0-9a-f]{64}$/),
  v.transform((text) => text as Digest),
);
/** 12 digits of an id that is the receiver's own affair. */
const shortId = v.pipe(v.string(), v.regex(/^[0-9a-f]{12}$/));
const byteCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(LAYER_MAX_BYTES));
const milliseconds = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(RUN_MAX_MS));
/** Of a session. */
const wireCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const itemNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(OFFER_IMAGES_MAX - 1));
const reference = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(REFERENCE_MAX_BYTES),
  v.regex(/^[\x21-\x7e]+$/),
);
const listOf = <const S extends v.GenericSchema>(item: S) =>
  v.pipe(v.array(item), v.maxLength(OFFER_IMAGES_MAX));

const failure = v.object({
  code: v.picklist(ERROR_CODES),
  message: text,
  hint: v.optional(text),
  /** A disk is full there. */
  noRoom: v.optional(v.literal(true)),
});
/** Docker takes images without. */
const label = v.pipe(v.string(), v.maxLength(100));
const platform = v.object({ os: label, architecture: label, variant: v.optional(word) });
const descriptor = v.object({ mediaType: word, digest, size: byteCount });
const store = v.picklist(['classic', 'containerd']);
/** A name that was offered, and the one given in place of it; absent: the same. */
const givenName = {
  wanted: reference,
  target: v.optional(reference),
  /** The image that has the name at the target, and loses it. */
  replaces: v.optional(shortId),
};
const names = <const S extends v.GenericSchema>(item: S) =>
  v.pipe(v.array(item), v.maxLength(NAMES_PER_IMAGE_MAX));

/** The kinds of things that move. A side names those that it takes among its capabilities. */
export const KINDS = ['image'] as const;
export type Kind = (typeof KINDS)[number];
/** A capability: what takes the images keeps their ids, of whatever store they are. */
export const KEEPS_IDS = 'keeps-ids';
/** A capability: a receiver's images are there all together after `finish`, which it tells by `placed`. */
export const PLACES = 'places';
/** A capability: of a receiver, that it pushes what is to be pushed; of a sender, that it reads what is told of that. */
export const PUSH = 'push';
/** A capability: of a receiver, that somebody there is asked before it answers an offer that is no plan. */
export const CONFIRMS = 'confirms';

/** Why a push failed, as far as that is told: what a registry said is for whoever pushes. */
export const PUSH_PROBLEMS = [
  'unreachable',
  'denied',
  'certificate',
  'not-a-registry',
  'no-registry-named',
  'not-allowed',
  'stopped',
  'failed',
] as const;
export type PushProblem = (typeof PUSH_PROBLEMS)[number];

const hello = v.object({
  type: v.literal('hello'),
  role: v.picklist(['sender', 'receiver']),
  /** Name and version of the program, for people. */
  software: word,
  /** Host name, for people. */
  name: word,
  engine: v.object({ kind: word, version: word, store, os: word, architecture: word }),
  capabilities: v.pipe(v.array(word), v.maxLength(64)),
  /** What a sender wants: with `plan` the session is over once the answer is there. */
  purpose: v.optional(v.picklist(['move', 'plan'])),
  /** From a sender: somebody there sees the answer first, and decides whether anything moves. */
  asks: v.optional(v.boolean()),
  /** From a sender: what was loaded is to be pushed to where its names say. */
  push: v.optional(v.boolean()),
});

const offered = v.object({
  item: itemNumber,
  kind: v.picklist(KINDS),
  id: digest,
  root: descriptor,
  store,
  platform,
  names: names(v.object({ source: reference, wanted: reference })),
  diffIds: v.pipe(v.array(digest), v.maxLength(LAYERS_MAX)),
  /** Config of the platform, where it is known ahead. */
  config: v.optional(digest),
  /** Layers of all present platforms, where they are known ahead. */
  layers: v.optional(
    v.pipe(
      v.array(v.object({ digest, size: byteCount, diffId: v.optional(digest) })),
      v.maxLength(LAYERS_OFFERED_MAX),
    ),
  ),
  bytes: byteCount,
  /** Why the sender cannot give it: the receiver refuses it, unless it has it. */
  withheld: v.optional(text),
});

const offer = v.object({ type: v.literal('offer'), items: listOf(offered), last: v.boolean() });

const missing = v.pipe(v.array(digest), v.maxLength(LAYERS_OFFERED_MAX));

const answer = v.object({
  type: v.literal('answer'),
  items: listOf(
    v.object({
      item: itemNumber,
      action: v.picklist(['send', 'present', 'refuse']),
      reason: v.optional(text),
      warning: v.optional(text),
      /** For each offered name the one that it is to have, or several; `push`: it will be pushed. */
      names: names(v.object({ ...givenName, push: v.optional(v.literal(true)) })),
      /** Digests of the offered layers that are missing; absent: all are wanted. */
      missing: v.optional(missing),
      /** With `refuse`: the receiver could not look, and may another time. */
      error: v.optional(failure),
    }),
  ),
  last: v.boolean(),
});

const progress = v.object({
  type: v.literal('progress'),
  item: itemNumber,
  phase: v.picklist(['transfer', 'load', 'push']),
  bytes: byteCount,
  /** With `push`: bytes that are to be pushed, as far as is known yet. */
  bytesTotal: v.optional(byteCount),
  /** From a receiver: bytes of layers that would stay, whatever happens. */
  kept: v.optional(byteCount),
  /** What holds the writer of this message back now. */
  bottleneck: v.optional(v.picklist(['save', 'compress', 'network', 'load'])),
  /** With `network`: bytes a second of the writer's own limit, which is what holds it back. */
  limit: v.optional(v.pipe(byteCount, v.minValue(1))),
});

/**
 * As the receiver measured them. Milliseconds: of the image, from its turn on, and of the run, from the plan on. Bytes:
 * of the session on the wire, both ways.
 */
const measured = {
  imageMs: v.optional(milliseconds),
  runMs: v.optional(milliseconds),
  wireBytes: v.optional(wireCount),
};

/** Layers that were thought to be there and are not: they and the metadata are to come again. */
const again = v.object({ type: v.literal('again'), item: itemNumber, missing });

const failed = v.object({ type: v.literal('failed'), item: itemNumber, error: failure });

const result = v.object({
  type: v.literal('result'),
  item: itemNumber,
  status: v.picklist(['loaded', 'present', 'refused', 'failed', 'skipped']),
  targetId: v.optional(v.union([digest, shortId])),
  names: names(v.object(givenName)),
  error: v.optional(failure),
  /** With `failed`: bytes of layers that stay for the next run. */
  kept: v.optional(byteCount),
  /** It is pushed on: word of that comes as `pushed`. */
  pushes: v.optional(v.literal(true)),
  ...measured,
});

/** Of names, or of `targetId` where there is none, what became of its push. Behind the `result` that announced it. */
const pushed = v.object({
  type: v.literal('pushed'),
  item: itemNumber,
  pushed: v.pipe(
    names(
      v.object({
        target: reference,
        digest: v.optional(digest),
        warning: v.optional(text),
        problem: v.optional(v.picklist(PUSH_PROBLEMS)),
      }),
    ),
    v.minLength(1),
  ),
  ...measured,
});

/** Images that failed are wanted once more: after the pause another answer is due, for these alone. */
const retry = v.object({
  type: v.literal('retry'),
  items: v.pipe(listOf(itemNumber), v.minLength(1)),
  attempt: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(RETRIES_MAX)),
  waitMs: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(RETRY_PAUSE_MAX_MS)),
});

/** The images of all results are where they belong; with `error` none of them is. */
const placed = v.object({
  type: v.literal('placed'),
  error: v.optional(failure),
  runMs: v.optional(milliseconds),
  wireBytes: v.optional(wireCount),
});

/** Takes up room on the link, so that a sender can see how fast it is. */
const probe = v.object({
  type: v.literal('probe'),
  padding: v.pipe(v.string(), v.maxLength(PROBE_MAX_CHARACTERS)),
});

/** Whoever was asked at the sender said yes: another answer is due, and all goes on as in a move. */
const proceed = v.object({ type: v.literal('proceed') });

const finish = v.object({ type: v.literal('finish') });

const message = v.variant('type', [
  hello,
  offer,
  answer,
  progress,
  again,
  failed,
  result,
  pushed,
  retry,
  probe,
  proceed,
  finish,
  placed,
]);

export type Message = v.InferOutput<typeof message>;
export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;
export type Hello = MessageOf<'hello'>;
export type OfferedItem = MessageOf<'offer'>['items'][number];
export type AnsweredItem = MessageOf<'answer'>['items'][number];
export type Result = MessageOf<'result'>;
export type WireFailure = v.InferOutput<typeof failure>;

/** Where an item breaks the schema of an offer, as `platform.os`; undefined where it does not. Its bytes as JSON are bounded, too. */
export function offerFault(item: OfferedItem): string | undefined {
  const { success, issues = [] } = v.safeParse(offered, item);
  if (!success) return (issues[0] && v.getDotPath(issues[0])) ?? 'the whole';
  const bytes = Buffer.byteLength(JSON.stringify(item));
  return bytes > OFFERED_MAX_BYTES ? `the whole, which has ${bytes} bytes` : undefined;
}

/** A 32-bit big-endian length, then that many bytes of UTF-8 JSON. */
export function encodeMessage(value: Message): Buffer {
  const json = Buffer.from(JSON.stringify(value), 'utf8');
  if (json.length > MESSAGE_MAX_BYTES)
    throw new ImgmvError('internal', `a message of ${counted(json.length, 'byte')} is too long`);
  const bytes = Buffer.allocUnsafe(4 + json.length);
  bytes.writeUInt32BE(json.length, 0);
  json.copy(bytes, 4);
  return bytes;
}

/** Throws protocol-violation for all that no schema allows; unknown fields are dropped. */
export function decodeMessage(json: Buffer): Message {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new ImgmvError('protocol-violation', 'the other side sent a message that is not JSON', { cause });
  }
  const parsed = v.safeParse(message, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const where = v.getDotPath(issue) ?? 'the whole';
  throw new ImgmvError(
    'protocol-violation',
    `the other side sent a message that breaks the schema at ${where}`,
  );
}

export class Control {
  readonly lane: Lane;
  #buffered: Buffer = Buffer.alloc(0);

  constructor(lane: Lane) {
    this.lane = lane;
  }

  send(value: Message): Promise<void> {
    return this.lane.write(encodeMessage(value));
  }

  /** Sends a list in as many messages as it takes; `last` is set on the final one, an empty list is one message. */
  async sendList(value: MessageOf<'offer'> | MessageOf<'answer'>): Promise<void> {
    let part: unknown[] = [];
    let bytes = 0;
    const flush = (last: boolean) => {
      const items = part;
      part = [];
      bytes = 0;
      return this.send({ type: value.type, items, last } as Message);
    };
    for (const item of value.items) {
      const size = Buffer.byteLength(JSON.stringify(item));
      if (part.length > 0 && bytes + size > MESSAGE_LIST_BYTES) await flush(false);
      part.push(item);
      bytes += size;
    }
    await flush(true);
  }

  /** The next message; undefined after the other side's END. */
  async receive(): Promise<Message | undefined> {
    if (!(await this.#fill(4))) return undefined;
    const length = this.#buffered.readUInt32BE(0);
    if (length > MESSAGE_MAX_BYTES)
      throw new ImgmvError(
        'protocol-violation',
        `the other side announced a message of ${counted(length, 'byte')}`,
      );
    if (!(await this.#fill(4 + length)))
      throw new ImgmvError('protocol-violation', 'the other side ended the control lane inside a message');
    const json = this.#buffered.subarray(4, 4 + length);
    this.#buffered = this.#buffered.subarray(4 + length);
    return decodeMessage(json);
  }

  async #fill(bytes: number): Promise<boolean> {
    const parts = [this.#buffered];
    let have = this.#buffered.length;
    while (have < bytes) {
      const more = await this.lane.read();
      if (!more) {
        if (have > 0) throw new ImgmvError('protocol-violation', 'the control lane ended inside a message');
        return false;
      }
      parts.push(Buffer.from(more));
      have += more.length;
    }
    if (parts.length > 1) this.#buffered = Buffer.concat(parts);
    return true;
  }
}
