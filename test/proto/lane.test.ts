/** PROTOCOL.md section 5: records in hex against a scripted peer, then two lanes against each other. */
import { describe, expect, test } from 'vitest';
import { ImgmvError } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import {
  CREDIT_SHARE,
  DATA_MAX_BYTES,
  NOISE_MESSAGE_MAX_BYTES,
  SENT_BYTES_MAX,
  SOCKET_BACKLOG_MAX_BYTES,
} from '../../proto/limits.ts';
import { channels, codeOf, lanes, pause, readAll, Script, scriptedLane, until } from './wire.ts';

const MIB = 1024 * 1024;

/** A number as records carry it. */
function u64(value: number): string {
  return value.toString(16).padStart(16, '0');
}

function data(offset: number, bytes: string | Buffer): string {
  return `01${u64(offset)}${Buffer.from(bytes).toString('hex')}`;
}

const credit = (consumed: number, limit: number) => `02${u64(consumed)}${u64(limit)}`;
const resume = (offset: number, limit: number) => `03${u64(offset)}${u64(limit)}`;
const end = (offset: number) => `04${u64(offset)}`;
const ping = (id: number) => `05${u64(id)}`;
const pong = (id: number) => `06${u64(id)}`;

describe('records', () => {
  test('a lane from its first byte to its last', async () => {
    await using ends = await scriptedLane(4096);
    const { lane, peer } = ends;
    expect(await peer.next()).toBe('0300000000000000000000000000001000');
    peer.send('03 0000000000000000 0000000000000005');
    await lane.ready;
    const written = lane.write(Buffer.from('hello world'));
    expect(await peer.next()).toBe('01000000000000000068656c6c6f');
    peer.send('02 0000000000000005 0000000000000064');
    expect(await peer.next()).toBe('010000000000000005 20776f726c64'.replace(' ', ''));
    await written;
    await lane.end();
    expect(await peer.next()).toBe('04000000000000000b');
    peer.send('01 0000000000000000 6869', '04 0000000000000002');
    expect((await lane.read())?.toString()).toBe('hi');
    expect(await lane.read()).toBeUndefined();
    peer.send('05 0000000000000007');
    expect(await peer.next()).toBe('060000000000000007');
    peer.channel.close();
    expect(await lane.closed).toBeUndefined();
    expect([lane.bytesSent, lane.bytesReceived]).toEqual([11, 2]);
  });

  test('numbers are 64 bits, and those above 2^53 are refused', async () => {
    await using ends = await scriptedLane(16);
    ends.peer.send('03 0000000000000000 001fffffffffffff');
    await ends.lane.ready;
    ends.peer.send('02 0000000000000000 0020000000000000');
    expect(await ends.peer.closed()).toBe('4213 protocol-violation');
  });

  test('the longest DATA record carries 65,510 bytes', async () => {
    await using ends = await scriptedLane(16);
    await ends.peer.next();
    ends.peer.send(resume(0, MIB));
    await ends.lane.ready;
    await ends.lane.write(Buffer.alloc(DATA_MAX_BYTES + 1));
    expect((await ends.peer.next()).length).toBe(2 * (9 + 65_510));
    expect(await ends.peer.next()).toBe(data(65_510, Buffer.alloc(1)));
  });

  test('nothing is written before the other side’s RESUME', async () => {
    await using ends = await scriptedLane(16);
    void ends.lane.write(Buffer.from('x')).catch(() => {});
    expect(await ends.peer.next()).toBe(resume(0, 16));
    await pause(50);
    expect(ends.peer.received).toHaveLength(1);
    ends.peer.send(resume(0, 1));
    expect(await ends.peer.next()).toBe(data(0, 'x'));
  });

  test('credit is told as soon as the reader took its share of the window, and not before', async () => {
    const window = 16 * CREDIT_SHARE;
    await using ends = await scriptedLane(window);
    const { lane, peer } = ends;
    expect(await peer.next()).toBe(resume(0, window));
    peer.send(resume(0, 0), data(0, 'a'), data(1, 'bcdefghijklmno'));
    await until(() => lane.bytesReceived === 15);
    expect((await lane.read())?.toString()).toBe('abcdefghijklmno');
    await pause(20);
    expect(peer.received).toHaveLength(1);
    peer.send(data(15, 'p'));
    expect((await lane.read())?.toString()).toBe('p');
    expect(await peer.next()).toBe(credit(16, 16 + window));
  });

  test('who dials waits for the listener’s RESUME: until then not one record', async () => {
    await using ends = await channels();
    const listener = new Script(ends.listener);
    new Lane(ends.dialler, { windowBytes: 16, dialled: true });
    await pause(50);
    expect(listener.received).toEqual([]);
    listener.send(resume(0, 16));
    expect(await listener.next()).toBe(resume(0, 16));
  });
});

describe('violations close with 4213', () => {
  const begun = resume(0, 100);
  test.each<readonly [string, readonly string[]]>([
    ['DATA before RESUME', [data(0, 'x')]],
    ['PING before RESUME', [ping(1)]],
    ['END before RESUME', [end(0)]],
    ['an empty record', ['']],
    ['a second RESUME', [begun, begun]],
    ['a RESUME at another offset', [resume(1, 100)]],
    ['a RESUME of 16 bytes', ['0300000000000000000000000000000064'.slice(0, 32)]],
    ['an unknown type', [begun, '07']],
    ['type 0', [begun, '00']],
    ['DATA with a gap', [begun, data(1, 'x')]],
    ['DATA that comes again', [begun, data(0, 'x'), data(0, 'x')]],
    ['DATA without bytes', [begun, data(0, '')]],
    ['DATA with half an offset', [begun, '0100000000']],
    ['one byte more than the window', [begun, data(0, 'x'.repeat(17))]],
    ['DATA after END', [begun, end(0), data(0, 'x')]],
    ['a second END', [begun, end(0), end(0)]],
    ['END at another offset', [begun, data(0, 'x'), end(2)]],
    ['CREDIT for bytes that were never sent', [begun, credit(1, 100)]],
    ['CREDIT that takes back', [begun, credit(0, 99)]],
    ['CREDIT of 9 bytes', [begun, '020000000000000000']],
    ['PING of 17 bytes', [begun, resume(0, 100).replace('03', '05')]],
    ['PONG of 8 bytes', [begun, '0600000000000000']],
  ])('%s', async (_name, records) => {
    await using ends = await scriptedLane(16);
    ends.peer.send(...records);
    expect(await ends.peer.closed()).toBe('4213 protocol-violation');
    expect((await ends.lane.closed)?.code).toBe('protocol-violation');
    // What came before the fault may still be read; then the reader hears of it, and so does the writer.
    expect(await codeOf(readAll(ends.lane))).toBe('protocol-violation');
    expect(await codeOf(ends.lane.write(Buffer.from('x')))).toBe('protocol-violation');
  });

  test('a PONG that nobody asked for is no fault', async () => {
    await using ends = await scriptedLane(16);
    ends.peer.send(begun, pong(99), ping(3));
    await ends.peer.next();
    expect(await ends.peer.next()).toBe(pong(3));
  });

  test('PINGs whose answers are not read', async () => {
    await using ends = await scriptedLane(16);
    ends.peer.send(begun);
    await ends.lane.ready;
    // The kernel takes nothing any more, as when the other side stops reading.
    const { socket } = ends.lane.channel;
    Object.defineProperty(socket, 'backlog', { get: () => 2 * SOCKET_BACKLOG_MAX_BYTES + 1 });
    ends.peer.send(ping(1));
    expect(await ends.peer.closed()).toBe('4213 protocol-violation');
  });
});

describe('two lanes', () => {
  test('carry both ways at once, what was written in any pieces', async () => {
    await using ends = await lanes(64 * 1024);
    const sent = Buffer.alloc(3 * MIB, 'imgmv lane ');
    const write = async (lane: Lane) => {
      let at = 0;
      for (let length = 1; at < sent.length; length = Math.min(length * 3, 300_000)) {
        await lane.write(sent.subarray(at, at + length));
        at += length;
      }
      await lane.end();
    };
    const [there, back] = await Promise.all([
      readAll(ends.listener),
      readAll(ends.dialler),
      write(ends.dialler),
      write(ends.listener),
    ]);
    expect(there.equals(sent)).toBe(true);
    expect(back.equals(sent)).toBe(true);
  });

  test('writes keep the order of their calls', async () => {
    await using ends = await lanes(16);
    const words = Array.from({ length: 200 }, (_, at) => `word ${at};`);
    const writing = Promise.all(words.map((word) => ends.dialler.write(Buffer.from(word))));
    void writing.then(() => ends.dialler.end());
    expect((await readAll(ends.listener)).toString()).toBe(words.join(''));
  });

  test('a reader that does not read gets one window and not a byte more, and still answers pings', async () => {
    await using ends = await lanes(MIB);
    const { dialler, listener } = ends;
    const writing = dialler.write(Buffer.alloc(4 * MIB));
    await until(() => listener.bytesReceived === MIB);
    for (let round = 0; round < 3; round++) expect(await dialler.ping()).toBeGreaterThanOrEqual(0);
    await pause(100);
    expect(dialler.bytesSent).toBe(MIB);
    expect(dialler.channel.socket.backlog).toBe(0);
    let taken = 0;
    while (taken < MIB / 4) taken += (await listener.read())?.length ?? 0;
    await until(() => dialler.bytesSent > MIB + taken - MIB / CREDIT_SHARE);
    await pause(50);
    expect(dialler.bytesSent).toBeLessThanOrEqual(MIB + taken);
    while (taken < 4 * MIB) taken += (await listener.read())?.length ?? 0;
    await writing;
    expect(dialler.waits.creditMs).toBeGreaterThan(100);
  });

  test('a connection that takes nothing holds the writer back, at a bounded backlog', async () => {
    await using ends = await lanes(64 * MIB);
    const { dialler, listener } = ends;
    const writing = dialler.write(Buffer.alloc(64 * MIB));
    let highest = 0;
    const watch = setInterval(() => {
      highest = Math.max(highest, dialler.channel.socket.backlog);
    }, 1);
    let taken = 0;
    while (taken < 64 * MIB) taken += (await listener.read())?.length ?? 0;
    await writing;
    clearInterval(watch);
    // The writer looks before each record.
    expect(highest).toBeLessThanOrEqual(SOCKET_BACKLOG_MAX_BYTES + NOISE_MESSAGE_MAX_BYTES);
    expect(dialler.waits.socketMs).toBeGreaterThan(0);
  });

  test('END closes one direction; the other goes on', async () => {
    await using ends = await lanes(1024);
    await ends.dialler.end();
    await ends.listener.peerEnded;
    expect(await ends.listener.read()).toBeUndefined();
    await ends.listener.write(Buffer.from('still here'));
    expect((await ends.dialler.read())?.toString()).toBe('still here');
    await ends.listener.end();
    expect(await ends.dialler.read()).toBeUndefined();
    ends.dialler.channel.close();
    expect(await ends.dialler.closed).toBeUndefined();
    expect(await ends.listener.closed).toBeUndefined();
    expect(await codeOf(ends.dialler.write(Buffer.from('x')))).toBe('internal');
  });

  test('a close without both ENDs is a break, told to reader and writer', async () => {
    await using ends = await lanes(8);
    await ends.dialler.write(Buffer.from('12345678'));
    const writing = codeOf(ends.dialler.write(Buffer.from('9')));
    await ends.listener.end();
    await until(() => ends.listener.bytesReceived === 8);
    ends.listener.channel.socket.destroy();
    expect(await writing).toBe('peer-lost');
    expect((await ends.dialler.closed)?.code).toBe('peer-lost');
    // What had come may still be read; then the break shows, not an end.
    expect((await ends.listener.read())?.toString()).toBe('12345678');
    expect(await codeOf(ends.listener.read())).toBe('peer-lost');
  });

  test('what comes in single bytes is held in a few pieces', async () => {
    const count = 20_000;
    await using ends = await scriptedLane(count);
    const { lane, peer } = ends;
    peer.send(resume(0, 0));
    for (let offset = 0; offset < count; offset++) peer.send(data(offset, Buffer.of(offset & 0xff)));
    await until(() => lane.bytesReceived === count);
    const first = await lane.read();
    expect(first?.length).toBe(count);
    expect(first?.every((byte, at) => byte === (at & 0xff))).toBe(true);
  });
});

describe('a lane whose channel breaks', () => {
  /** Breaks are counted, and the lanes wait for another channel. */
  async function breakable(windowBytes: number) {
    const breaks: string[] = [];
    const onBreak = (error: { code: string }) => void breaks.push(error.code);
    const first = await channels();
    const open = [first];
    const dialler = new Lane(first.dialler, { windowBytes, dialled: true, onBreak });
    const listener = new Lane(first.listener, { windowBytes, dialled: false, onBreak });
    await Promise.all([dialler.ready, listener.ready]);
    return {
      dialler,
      listener,
      breaks,
      /** The listener's half first, as it comes about. */
      async reconnect() {
        const next = await channels();
        open.push(next);
        listener.replace(next.listener);
        dialler.replace(next.dialler);
      },
      async [Symbol.asyncDispose]() {
        for (const ends of open) await ends[Symbol.asyncDispose]();
      },
    };
  }

  test('tells who waits for the answer to a ping that none will come', async () => {
    await using ends = await breakable(MIB);
    const { dialler, listener, breaks } = ends;
    // Before the break is seen, after it, and over the next connection.
    const asked = dialler.ping();
    listener.channel.socket.destroy();
    expect(await asked).toBeUndefined();
    await until(() => breaks.length === 2);
    expect(await dialler.ping()).toBeUndefined();
    await ends.reconnect();
    await until(() => dialler.resumed);
    expect(await dialler.ping()).toBeGreaterThanOrEqual(0);
    dialler.fail(new ImgmvError('internal', 'over'));
    expect(await dialler.ping()).toBeUndefined();
  });

  test('goes on where it was, both ways, however often', async () => {
    await using ends = await breakable(MIB);
    const { dialler, listener, breaks } = ends;
    const sent = Buffer.alloc(6 * MIB, 'a long run of bytes ');
    const writing = Promise.all([dialler, listener].map((lane) => lane.write(sent).then(() => lane.end())));
    const reading = Promise.all([readAll(dialler), readAll(listener)]);
    for (let cut = 1; cut <= 20; cut++) {
      await until(() => listener.bytesReceived >= (cut * sent.length) / 25);
      const side = cut % 2 ? dialler : listener;
      side.channel.socket.destroy();
      await until(() => !dialler.connected && !listener.connected);
      await ends.reconnect();
    }
    await writing;
    for (const got of await reading) expect(got.equals(sent)).toBe(true);
    expect(breaks).toHaveLength(40);
    expect(new Set(breaks)).toEqual(new Set(['peer-lost']));
    await Promise.all([dialler.peerEnded, listener.peerEnded]);
    dialler.channel.close();
    expect([await dialler.closed, await listener.closed]).toEqual([undefined, undefined]);
  });

  test('sends again from the offset that the other side names, and its END', async () => {
    const breaks: string[] = [];
    const first = await channels();
    const second = await channels();
    await using _first = first;
    await using _second = second;
    const lane = new Lane(first.dialler, {
      windowBytes: 64,
      dialled: true,
      onBreak: ({ code }) => void breaks.push(code),
    });
    const before = new Script(first.listener);
    before.send(resume(0, 100));
    await lane.ready;
    await lane.write(Buffer.from('hello '));
    await lane.write(Buffer.from('world'));
    await lane.end();
    await until(() => before.received.length === 4);
    before.send(credit(3, 103));
    await until(() => lane.bytesKept === 3);
    first.listener.socket.destroy();
    await until(() => breaks.length === 1);
    const after = new Script(second.listener);
    lane.replace(second.dialler);
    await pause(50);
    expect(after.received).toEqual([]);
    after.send(resume(5, 120));
    expect(await after.next()).toBe(resume(0, 64));
    expect(await after.next()).toBe(data(5, ' world'));
    expect(await after.next()).toBe(end(11));
  });

  test.each<readonly [string, (lane: Lane) => unknown]>([
    ['PING', (lane) => void lane.ping()],
    ['CREDIT', (lane) => lane.read()],
    ['END', (lane) => lane.end()],
    ['DATA', (lane) => lane.write(Buffer.from('x'))],
  ])('of the dialler sends no %s before its RESUME', async (_what, act) => {
    const first = await channels();
    const second = await channels();
    await using _first = first;
    await using _second = second;
    const lane = new Lane(first.dialler, { windowBytes: 2, dialled: true, onBreak: () => {} });
    const before = new Script(first.listener);
    before.send(resume(0, 100), data(0, 'hi'));
    await until(() => lane.bytesReceived === 2);
    const after = new Script(second.listener);
    lane.replace(second.dialler);
    await act(lane);
    await pause(20);
    expect(after.received).toEqual([]);
    after.send(resume(0, 100));
    expect(await after.next()).toMatch(/^03/);
  });

  test('is given what has to go again as fast as the kernel takes it', async () => {
    await using ends = await breakable(2 * SENT_BYTES_MAX);
    const { dialler, listener } = ends;
    void dialler.write(Buffer.alloc(SENT_BYTES_MAX)).catch(() => {});
    await until(() => dialler.bytesSent === SENT_BYTES_MAX);
    const next = await channels();
    await using _next = next;
    const { socket } = next.dialler;
    let highest = 0;
    const send = socket.send.bind(socket);
    socket.send = (message) => {
      send(message);
      highest = Math.max(highest, socket.backlog);
    };
    listener.channel.socket.destroy();
    dialler.replace(next.dialler);
    const script = new Script(next.listener);
    script.send(resume(0, 2 * SENT_BYTES_MAX));
    await until(() => script.received.length > SENT_BYTES_MAX / DATA_MAX_BYTES);
    expect(highest).toBeGreaterThan(SOCKET_BACKLOG_MAX_BYTES / 2);
    expect(highest).toBeLessThanOrEqual(SOCKET_BACKLOG_MAX_BYTES + NOISE_MESSAGE_MAX_BYTES);
  });

  test.each([
    ['before what was taken', 2],
    ['behind what was sent', 7],
  ])('refuses to go on %s', async (_where, offset) => {
    const first = await channels();
    const second = await channels();
    await using _first = first;
    await using _second = second;
    const lane = new Lane(first.dialler, { windowBytes: 64, dialled: true, onBreak: () => {} });
    const before = new Script(first.listener);
    before.send(resume(0, 100));
    await lane.ready;
    await lane.write(Buffer.from('sender'));
    before.send(credit(3, 103));
    await until(() => lane.bytesKept === 3);
    const after = new Script(second.listener);
    lane.replace(second.dialler);
    after.send(resume(offset, 120));
    expect(await after.closed()).toBe('4213 protocol-violation');
    expect((await lane.closed)?.code).toBe('protocol-violation');
  });

  test('keeps no more than its own limit, whatever window it is given', async () => {
    await using ends = await scriptedLane(16);
    const { lane, peer } = ends;
    peer.send(resume(0, 2 ** 40));
    await lane.ready;
    const written = lane.write(Buffer.alloc(SENT_BYTES_MAX + 1));
    await until(() => lane.bytesSent === SENT_BYTES_MAX);
    await pause(50);
    expect(lane.bytesSent).toBe(SENT_BYTES_MAX);
    peer.send(credit(1, 2 ** 40));
    await written;
    expect(lane.bytesSent).toBe(SENT_BYTES_MAX + 1);
  });

  test('goes on though every credit of the channel before was lost', async () => {
    await using ends = await breakable(2 * SENT_BYTES_MAX);
    const { dialler, listener } = ends;
    const sent = Buffer.alloc(2 * SENT_BYTES_MAX, 'credit ');
    // The reader takes nothing, so no credit comes: the writer stands at the limit of what it keeps.
    const writing = dialler.write(sent).then(() => dialler.end());
    await until(() => listener.bytesReceived === SENT_BYTES_MAX);
    listener.channel.socket.destroy();
    await until(() => ends.breaks.length === 2);
    const reading = readAll(listener);
    await ends.reconnect();
    await writing;
    expect((await reading).equals(sent)).toBe(true);
  });

  test('is over when a close code says why', async () => {
    await using ends = await breakable(64);
    ends.listener.fail(new ImgmvError('sigint', 'stopped'));
    expect((await ends.dialler.closed)?.code).toBe('peer-stopped');
    expect(ends.breaks).toEqual([]);
  });

  test('gives its error to all who wait when it is given up', async () => {
    await using ends = await breakable(4);
    const { dialler } = ends;
    const waiting = [codeOf(dialler.read()), codeOf(dialler.write(Buffer.alloc(100)))];
    dialler.channel.socket.destroy();
    await until(() => ends.breaks.length === 2);
    dialler.fail(new ImgmvError('peer-lost', 'gone for good'));
    expect(await Promise.all(waiting)).toEqual(['peer-lost', 'peer-lost']);
    expect((await dialler.closed)?.message).toBe('gone for good');
  });
});
