/** PROTOCOL.md section 6: framing in hex, the schemas from both sides of each bound, and lists in pieces. */
import { describe, expect, test } from 'vitest';
import { MESSAGE_LIST_BYTES, MESSAGE_MAX_BYTES } from '../../proto/limits.ts';
import {
  Control,
  decodeMessage,
  encodeMessage,
  type Message,
  type OfferedItem,
} from '../../proto/messages.ts';
import { codeOf, lanes, readAll } from './wire.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}` as const;
const WINDOW = 4 * 1024 * 1024;

const HELLO = {
  type: 'hello',
  role: 'sender',
  software: 'imgmv/0.1.0',
  name: 'host',
  engine: { kind: 'docker', version: '26.1.5', store: 'classic', os: 'linux', architecture: 'amd64' },
  capabilities: [],
  purpose: 'plan',
  asks: true,
  push: true,
};

const IMAGE = {
  item: 0,
  kind: 'image',
  id: DIGEST,
  root: { mediaType: 'application/vnd.oci.image.index.v1+json', digest: DIGEST, size: 1_000 },
  store: 'containerd',
  platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
  names: [{ source: 'web:1.0', wanted: 'team/web:2.0' }],
  diffIds: [DIGEST],
  config: DIGEST,
  layers: [{ digest: DIGEST, size: 7, diffId: DIGEST }],
  bytes: 123_456,
  withheld: 'no room',
};

const ANSWERED = {
  item: 0,
  action: 'send',
  reason: 'why',
  warning: 'of what',
  names: [{ wanted: 'team/web:2.0', target: 'web:2', replaces: '0123456789ab', push: true }],
  missing: [DIGEST],
};

const UNANSWERED = {
  item: 0,
  action: 'refuse',
  names: [],
  error: { code: 'engine-unavailable', message: 'm', hint: 'h' },
};

/** One of each, with every field. */
const MESSAGES: Readonly<Record<string, Record<string, unknown>>> = {
  hello: HELLO,
  offer: { type: 'offer', items: [IMAGE], last: true },
  answer: { type: 'answer', items: [ANSWERED, UNANSWERED], last: true },
  progress: {
    ...{ type: 'progress', item: 0, phase: 'push', bytes: 5, bytesTotal: 6, bottleneck: 'load' },
    limit: 1024,
  },
  again: { type: 'again', item: 0, missing: [DIGEST] },
  failed: { type: 'failed', item: 0, error: { code: 'integrity', message: 'm', hint: 'h' } },
  result: {
    type: 'result',
    item: 0,
    status: 'loaded',
    targetId: DIGEST,
    names: [{ wanted: 'team/web:2.0', target: 'web:2', replaces: '0123456789ab' }],
    error: { code: 'refused', message: 'm' },
    pushes: true,
  },
  pushed: {
    type: 'pushed',
    item: 0,
    pushed: [
      { target: 'team/web:2.0', digest: DIGEST, warning: 'w' },
      { target: 'team/web:3.0', problem: 'denied' },
    ],
  },
  retry: { type: 'retry', items: [0, 9_999], attempt: 20, waitMs: 60_000 },
  placed: { type: 'placed', error: { code: 'refused', message: 'm', hint: 'h' } },
  probe: { type: 'probe', padding: 'x' },
  proceed: { type: 'proceed' },
  finish: { type: 'finish' },
};

function decode(value: unknown): Message {
  return decodeMessage(Buffer.from(JSON.stringify(value)));
}

/** `value` with what stands at `path` changed; undefined takes it away. */
function changed(value: unknown, path: string, to: unknown): unknown {
  const copy = structuredClone(value) as Record<string, unknown>;
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let at = copy;
  for (const step of steps) at = at[step] as Record<string, unknown>;
  if (to === undefined) delete at[last];
  else at[last] = to;
  return copy;
}

describe('framing', () => {
  test('a big-endian length, then JSON', () => {
    expect(encodeMessage({ type: 'finish' }).toString('hex')).toBe(
      `00000011${Buffer.from('{"type":"finish"}').toString('hex')}`,
    );
  });

  test.each(Object.keys(MESSAGES))('%s makes the round trip', async (type) => {
    await using ends = await lanes(WINDOW);
    const message = decode(MESSAGES[type]);
    expect(message).toEqual(MESSAGES[type]);
    await new Control(ends.dialler).send(message);
    expect(await new Control(ends.listener).receive()).toEqual(message);
  });

  test('messages may come in any pieces, and several in one', async () => {
    await using ends = await lanes(WINDOW);
    const wire = Buffer.concat([encodeMessage({ type: 'finish' }), encodeMessage(decode(HELLO))]);
    for (const byte of wire) await ends.dialler.write(Buffer.of(byte));
    await ends.dialler.write(Buffer.concat([wire, wire]));
    await ends.dialler.end();
    const control = new Control(ends.listener);
    const types: (string | undefined)[] = [];
    for (let count = 0; count < 7; count++) types.push((await control.receive())?.type);
    expect(types).toEqual(['finish', 'hello', 'finish', 'hello', 'finish', 'hello', undefined]);
  });

  test.each<readonly [string, Buffer]>([
    ['a length over the limit', Buffer.from('00040001', 'hex')],
    ['the greatest length there is', Buffer.from('ffffffff', 'hex')],
    ['an end inside a length', Buffer.from('0000', 'hex')],
    ['an end inside a message', Buffer.from('00000011 7b22'.replace(' ', ''), 'hex')],
    ['no bytes', Buffer.from('00000000', 'hex')],
    ['invalid UTF-8', frame(Buffer.from('{"type":"finish","x":"\xff"}', 'latin1'))],
    ['a lone surrogate’s bytes', frame(Buffer.from('{"type":"finish","x":"\xed\xa0\x80"}', 'latin1'))],
    ['what is no JSON', frame(Buffer.from('{type:finish}'))],
    ['two JSON values', frame(Buffer.from('{"type":"finish"}{}'))],
  ])('%s is a violation', async (_name, bytes) => {
    await using ends = await lanes(WINDOW);
    await ends.dialler.write(bytes);
    await ends.dialler.end();
    expect(await codeOf(new Control(ends.listener).receive())).toBe('protocol-violation');
  });

  test('a length over the limit is refused before a byte of the message has come', async () => {
    await using ends = await lanes(WINDOW);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(MESSAGE_MAX_BYTES + 1, 0);
    await ends.dialler.write(length);
    expect(await codeOf(new Control(ends.listener).receive())).toBe('protocol-violation');
  });

  test('a message of exactly the limit is taken', async () => {
    await using ends = await lanes(WINDOW);
    const padding = ' '.repeat(MESSAGE_MAX_BYTES - '{"type":"finish"}'.length);
    await ends.dialler.write(frame(Buffer.from(`{"type":"finish"}${padding}`)));
    expect(await new Control(ends.listener).receive()).toEqual({ type: 'finish' });
  });
});

function frame(json: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length, 0);
  return Buffer.concat([length, json]);
}

describe('schemas', () => {
  test('unknown fields are dropped, wherever they stand', () => {
    const more = changed(changed(MESSAGES.offer, 'new', 1), 'items.0.platform.features', ['x']);
    expect(decode(more)).toEqual(MESSAGES.offer);
  });

  test.each([null, 1, 'finish', [], {}, { type: 'future' }, { type: '__proto__' }, { type: ['finish'] }])(
    '%j is no message',
    async (value) => {
      expect(await codeOf(() => decode(value))).toBe('protocol-violation');
    },
  );

  test.each<readonly [string, string, unknown]>([
    ['hello', 'role', 'both'],
    ['hello', 'name', ''],
    ['hello', 'name', 'x'.repeat(101)],
    ['hello', 'software', undefined],
    ['hello', 'engine.store', 'overlay2'],
    ['hello', 'capabilities', undefined],
    ['hello', 'capabilities', Array(65).fill('x')],
    ['retry', 'items', []],
    ['retry', 'items', [10_000]],
    ['retry', 'items', [0.5]],
    ['retry', 'attempt', 0],
    ['retry', 'attempt', 21],
    ['retry', 'waitMs', -1],
    ['retry', 'waitMs', 60_001],
    ['answer', 'items.1.error.code', 'fine'],
    ['offer', 'last', undefined],
    ['offer', 'items.0.item', -1],
    ['offer', 'items.0.item', 10_000],
    ['offer', 'items.0.item', 0.5],
    ['offer', 'items.0.item', '0'],
    ['offer', 'items.0.id', 'sha256:AB'],
    ['offer', 'items.0.id', `sha256:${'AB'.repeat(32)}`],
    ['offer', 'items.0.id', `${DIGEST}\n`],
    ['offer', 'items.0.id', `sha512:${'ab'.repeat(64)}`],
    ['offer', 'items.0.root.size', -1],
    ['offer', 'items.0.root.size', 2 ** 53],
    ['offer', 'items.0.bytes', 1024 ** 4 + 1],
    ['offer', 'items.0.bytes', null],
    ['offer', 'items.0.platform.os', 'x'.repeat(101)],
    ['offer', 'items.0.platform.os', undefined],
    ['offer', 'items.0.platform.variant', ''],
    ['offer', 'items.0.kind', 'volume'],
    ['offer', 'items.0.kind', undefined],
    ['answer', 'items.0.names.0.wanted', undefined],
    ['answer', 'items.0.names.0.target', ''],
    ['offer', 'items.0.names.0.wanted', ''],
    ['offer', 'items.0.names.0.wanted', 'a b'],
    ['offer', 'items.0.names.0.wanted', 'a\x1b[31m'],
    ['offer', 'items.0.names.0.wanted', 'ä'],
    ['offer', 'items.0.names.0.wanted', 'x'.repeat(385)],
    ['offer', 'items.0.names', Array(101).fill(IMAGE.names[0])],
    ['offer', 'items.0.diffIds', Array(1001).fill(DIGEST)],
    ['offer', 'items.0.diffIds.0', 'sha256:'],
    ['answer', 'items.0.action', 'maybe'],
    ['answer', 'items.0.reason', 'x'.repeat(1_001)],
    ['answer', 'items.0.missing', Array(1001).fill(DIGEST)],
    ['answer', 'items.0.names.0.replaces', 'x'],
    ['offer', 'items.0.config', 'x'],
    ['offer', 'items.0.layers', Array(1001).fill({ digest: DIGEST, size: 1 })],
    ['offer', 'items.0.layers.0.digest', 'x'],
    ['offer', 'items.0.layers.0.size', -1],
    ['offer', 'items.0.layers.0.diffId', 'x'],
    ['again', 'missing', Array(1001).fill(DIGEST)],
    ['again', 'missing.0', 'x'],
    ['probe', 'padding', 'x'.repeat(65_537)],
    ['hello', 'purpose', 'rest'],
    ['progress', 'phase', 'rest'],
    ['progress', 'bytes', Number.MAX_VALUE],
    ['failed', 'error.code', 'unheard-of'],
    ['failed', 'error.message', 'x'.repeat(1_001)],
    ['failed', 'error', undefined],
    ['result', 'status', 'done'],
    ['result', 'targetId', 'web:1.0'],
    ['result', 'names', undefined],
    ['hello', 'push', 'yes'],
    ['hello', 'asks', 'yes'],
    ['progress', 'bytesTotal', -1],
    ['result', 'pushes', false],
    ['offer', 'items.0.withheld', 'x'.repeat(1_001)],
    ['pushed', 'pushed', []],
    ['pushed', 'pushed', Array(101).fill({ target: 'web:1.0' })],
    ['pushed', 'pushed.0.target', 'a b'],
    ['pushed', 'pushed.0.digest', 'sha256:x'],
    ['pushed', 'pushed.0.warning', 'x'.repeat(1_001)],
    ['pushed', 'pushed.1.problem', 'unheard-of'],
    ['answer', 'items.0.names.0.replaces', DIGEST],
    ['answer', 'items.0.names.0.push', false],
    ['result', 'names.0.replaces', DIGEST],
  ])('%s with another %s is a violation (%j)', async (type, path, to) => {
    expect(decode(MESSAGES[type])).toBeDefined();
    expect(await codeOf(() => decode(changed(MESSAGES[type], path, to)))).toBe('protocol-violation');
  });

  test.each<readonly [string, string, unknown]>([
    ['hello', 'name', 'x'.repeat(100)],
    ['offer', 'items', []],
    ['offer', 'items.0.item', 9_999],
    ['offer', 'items.0.bytes', 1024 ** 4],
    ['offer', 'items.0.withheld', undefined],
    ['offer', 'items.0.platform.variant', undefined],
    ['offer', 'items.0.platform.os', ''],
    ['offer', 'items.0.platform.architecture', ''],
    ['answer', 'items.0.names.0.target', undefined],
    ['offer', 'items.0.names', []],
    ['offer', 'items.0.names.0.wanted', 'x'.repeat(384)],
    ['offer', 'items.0.diffIds', Array(500).fill(DIGEST)],
    ['answer', 'items.0.reason', undefined],
    ['answer', 'items.0.warning', 'x'.repeat(1_000)],
    ['answer', 'items.0.missing', undefined],
    ['progress', 'bottleneck', undefined],
    ['progress', 'limit', undefined],
    ['result', 'wireBytes', 2 ** 50],
    ['failed', 'error.hint', undefined],
    ['result', 'targetId', undefined],
    ['result', 'targetId', '0123456789ab'],
    ['result', 'error', undefined],
    ['result', 'pushes', undefined],
    ['pushed', 'pushed.0.warning', undefined],
  ])('%s with another %s is taken (%j)', (type, path, to) => {
    const value = changed(MESSAGES[type], path, to);
    expect(decode(value)).toEqual(value);
  });
});

describe('lists', () => {
  const offer = (count: number, layers: number): Message & { type: 'offer' } => ({
    type: 'offer',
    last: true,
    items: Array.from({ length: count }, (_, item) => ({
      ...(IMAGE as OfferedItem),
      item,
      diffIds: Array<typeof DIGEST>(layers).fill(DIGEST),
    })),
  });

  async function sentAs(value: ReturnType<typeof offer> | (Message & { type: 'answer' })) {
    await using ends = await lanes(WINDOW);
    const sending = new Control(ends.dialler).sendList(value).then(() => ends.dialler.end());
    const wire = await readAll(ends.listener);
    await sending;
    const messages: { length: number; message: Message }[] = [];
    for (let at = 0; at < wire.length; ) {
      const length = wire.readUInt32BE(at);
      messages.push({ length, message: decodeMessage(wire.subarray(at + 4, at + 4 + length)) });
      at += 4 + length;
    }
    return messages;
  }

  test('a thousand images of sixty layers go in messages of about 96 KiB, `last` on the last alone', async () => {
    const value = offer(1_000, 60);
    const messages = await sentAs(value);
    expect(messages.length).toBeGreaterThan(40);
    const items: unknown[] = [];
    for (const [at, { length, message }] of messages.entries()) {
      if (message.type !== 'offer') throw new Error('an offer was expected');
      expect(length).toBeLessThan(MESSAGE_LIST_BYTES + 2_000);
      expect(message.last).toBe(at === messages.length - 1);
      items.push(...message.items);
    }
    expect(items).toEqual(value.items);
  });

  test('an empty list is one message', async () => {
    expect(await sentAs(offer(0, 0))).toEqual([
      { length: 39, message: { type: 'offer', items: [], last: true } },
    ]);
  });

  test('bytes count, not characters', async () => {
    const reason = '大'.repeat(1_000);
    const items = Array.from({ length: 200 }, (_, item) => ({
      item,
      action: 'refuse' as const,
      reason,
      names: [],
    }));
    for (const { length } of await sentAs({ type: 'answer', items, last: true }))
      expect(length).toBeLessThan(MESSAGE_LIST_BYTES + 4_000);
  });
});
