/** The listener against strangers: guesses, age, races, floods, silence, replays. PROTOCOL.md sections 2 and 3. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { acceptChannel, type Channel, dialChannel, encodePreamble } from '../../proto/channel.ts';
import {
  CODE_WRONG_TRIES_MAX,
  UNAUTHENTICATED_GRACE_MS,
  UNAUTHENTICATED_MAX_SOCKETS,
  UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS,
} from '../../proto/limits.ts';
import { generateKeyPair, HandshakeState } from '../../proto/noise.ts';
import { dial } from '../../proto/websocket.ts';
import { MemorySink } from '../memory.ts';
import { codeOf, pause, sockets, until } from '../proto/wire.ts';
import { type HeldSocket, heldTcp, listeningHost, pairPreamble, pairWith, receiver } from './hosts.ts';
import { clientFrame, upgradeRequest } from './strangers.ts';

const WRONG = Buffer.alloc(32, 9);
const TTL_MS = 600_000;

/** A clock that stands still until it is moved. */
function stillClock() {
  const at = { wall: 1_700_000_000_000, monotonic: 5_000 };
  return { at, clock: { wall: () => at.wall, monotonic: () => at.monotonic } };
}

/** What a dialler of a pairing is told. */
async function told(port: number, psk: Buffer): Promise<{ code: string; hint?: string | undefined }> {
  try {
    const { channel } = await pairWith(port, psk);
    return await channel.ended();
  } catch (error) {
    return error as { code: string; hint?: string };
  }
}

describe('guesses', () => {
  test('five wrong codes burn it, and the sixth is told so even if it is right', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.listener.newPairing(TTL_MS);
    const accepting = codeOf(host.listener.accept(pairing, new AbortController().signal));
    for (let tries = 1; tries <= CODE_WRONG_TRIES_MAX; tries++) {
      expect(pairing.death).toBeUndefined();
      expect((await told(host.port, WRONG)).code).toBe('wrong-code');
      expect(pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX - tries);
      // Past the penalty of this address: 15, 30, 60, 120 and 240 s, within the life of the code.
      at.monotonic += 15_000 * 2 ** (tries - 1);
    }
    expect((await told(host.port, await pairing.psk)).code).toBe('code-burnt');
    expect(await accepting).toBe('code-burnt');
    expect(host.events.filter(({ event }) => event === 'attempt')).toHaveLength(CODE_WRONG_TRIES_MAX);
  });

  test('an address that guessed wrong waits 15 s, then 30, and is told how long', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.listener.newPairing(TTL_MS);
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    for (const seconds of [15, 30, 60]) {
      expect((await told(host.port, WRONG)).code).toBe('wrong-code');
      expect(await told(host.port, await pairing.psk)).toMatchObject({
        code: 'try-later',
        hint: `wait ${seconds} s, then try again`,
      });
      at.monotonic += seconds * 1_000 - 1;
      expect((await told(host.port, WRONG)).code).toBe('try-later');
      at.monotonic += 1;
    }
    const { channel } = await pairWith(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    channel.close();
  });

  test('a right guess that was on its way when the code died does not get in', async () => {
    await using host = await receiver(new MemorySink());
    // Four of one address at most: each message 3 is held back until all are ready.
    const release: (() => void)[] = [];
    const attempt = async (psk: Buffer) => {
      const socket = await dial(`ws://127.0.0.1:${host.port}`, { timeoutMs: 30_000 });
      const ours = encodePreamble(pairPreamble());
      socket.send(ours);
      const theirs = (await socket.next()) ?? Buffer.alloc(0);
      const handshake = new HandshakeState({
        pattern: 'XXpsk3',
        initiator: true,
        prologue: Buffer.concat([Buffer.from('imgmv.1'), ours, theirs]),
        s: generateKeyPair(),
        psk,
      });
      socket.send(handshake.writeMessage(Buffer.alloc(0)));
      handshake.readMessage((await socket.next()) ?? Buffer.alloc(0));
      await new Promise<void>((resolve) => release.push(resolve));
      socket.send(handshake.writeMessage(Buffer.alloc(0)));
      return (await socket.closed).code;
    };
    const right = attempt(await host.pairing.psk);
    await until(() => release.length === 1);
    for (let tries = 0; tries < CODE_WRONG_TRIES_MAX; tries++) host.pairing.wrongTry();
    release[0]?.();
    expect(await right).toBe(4312);
    expect((await host.run).error?.code).toBe('code-burnt');
  });
});

describe('age', () => {
  test.each([
    ['the wall clock jumps a day ahead', { wall: 86_400_000, monotonic: 0 }],
    [
      'the monotonic clock goes on while the wall clock is set back',
      { wall: -86_400_000, monotonic: TTL_MS },
    ],
    ['both reach the end', { wall: TTL_MS, monotonic: TTL_MS }],
  ])('the code dies when %s', async (_name, jump) => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.listener.newPairing(TTL_MS);
    const accepting = codeOf(host.listener.accept(pairing, new AbortController().signal));
    at.wall += jump.wall;
    at.monotonic += jump.monotonic;
    expect((await told(host.port, await pairing.psk)).code).toBe('code-expired');
    expect(await accepting).toBe('code-expired');
  });

  test('it lives to its last millisecond, and when the wall clock is set back', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.listener.newPairing(TTL_MS);
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    at.wall += TTL_MS - 1;
    at.monotonic += TTL_MS - 1;
    expect(pairing.death).toBeUndefined();
    at.wall -= 86_400_000;
    expect(pairing.death).toBeUndefined();
    const { channel } = await pairWith(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    channel.close();
  });
});

describe('races', () => {
  test('two senders at once, twenty times: exactly one is in, the other is told that the code is used', async () => {
    await using host = await listeningHost();
    for (let race = 0; race < 20; race++) {
      const pairing = host.listener.newPairing(TTL_MS);
      const accepting = host.listener.accept(pairing, new AbortController().signal);
      accepting.catch(() => {});
      const both = await Promise.all(
        [0, 1].map(async () => pairWith(host.port, await pairing.psk).catch((e: { code: string }) => e)),
      );
      const ended = both.map(async (one) => ('channel' in one ? (await one.channel.ended()).code : one.code));
      const over: string[] = [];
      for (const end of ended) void end.then((code) => over.push(code));
      await until(() => over.length > 0);
      await pause(50);
      expect(over).toEqual(['code-used']);
      for (const one of both) if ('channel' in one) one.channel.socket.destroy();
      expect(await codeOf(accepting)).toBe('peer-lost');
    }
  });

  test('who proves the code and goes before hello is no session, and no hang', async () => {
    await using host = await receiver(new MemorySink());
    const { channel } = await pairWith(host.port, await host.pairing.psk);
    channel.socket.destroy();
    expect((await host.run).error?.code).toBe('peer-lost');
  });
});

describe('floods', () => {
  const request = upgradeRequest;
  const frame = (payload: Buffer) => clientFrame(payload).toString('latin1');
  const preamble = encodePreamble(pairPreamble());
  const STAGES = [
    '',
    'GET / HTTP/1.1\r\nHost: ',
    request('imgmv.1'),
    request('imgmv.1') + frame(preamble),
    // Refused: message 1 proves that it has seen our preamble. flood.test.ts has those who get further.
    request('imgmv.1') + frame(preamble) + frame(Buffer.from(generateKeyPair().publicKey)),
  ];

  /** Until no more of them than `most` are left, and those are past the moment for which they cannot be moved. */
  async function settled(held: readonly HeldSocket[], most: number): Promise<void> {
    let closed = 0;
    const count = () => void closed++;
    for (const socket of held) void socket.closed.then(count);
    await until(() => closed >= held.length - most);
    await pause(UNAUTHENTICATED_GRACE_MS + 50);
  }

  test('200 sockets held open, at every stage and from 50 addresses: an honest sender gets in', async () => {
    await using host = await listeningHost();
    const pairing = host.listener.newPairing(TTL_MS);
    const accepting = host.listener.accept(pairing, new AbortController().signal);
    accepting.catch(() => {});
    const held: HeldSocket[] = [];
    for (let at = 0; at < 200; at++)
      held.push(heldTcp(host.port, `127.0.0.${2 + (at % 50)}`, STAGES[at % STAGES.length] ?? ''));
    await settled(held, UNAUTHENTICATED_MAX_SOCKETS);
    const { channel } = await pairWith(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    for (const socket of held) socket.destroy();
    channel.socket.destroy();
  });

  test('200 of the honest sender’s own address do not keep it out either', async () => {
    await using host = await listeningHost();
    const pairing = host.listener.newPairing(TTL_MS);
    host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    const held = Array.from({ length: 200 }, (_, at) =>
      heldTcp(host.port, '127.0.0.1', STAGES[at % 5] ?? ''),
    );
    await settled(held, UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS);
    const { channel } = await pairWith(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    for (const socket of held) socket.destroy();
    channel.socket.destroy();
  });

  test('who is silent or drips is closed: headers after 5 s, an upgraded socket after 10 s', async () => {
    await using host = await listeningHost();
    const pairing = host.listener.newPairing(TTL_MS);
    host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    const started = performance.now();
    const life = async (bytes: string, drip = '') => {
      const socket = heldTcp(host.port, drip === '' ? '127.0.0.1' : '127.0.0.2', bytes);
      const timer = setInterval(() => drip !== '' && socket.write(drip), 700);
      await socket.closed;
      clearInterval(timer);
      return performance.now() - started;
    };
    const [, header = '', upgraded = '', greeted = ''] = STAGES;
    // Bytes that drip win no time: a character of a header, a ping, a fragment of one byte.
    const ping = clientFrame(Buffer.of(1), 0x89).toString('latin1');
    const fragment = clientFrame(Buffer.of(1), 0x00).toString('latin1');
    const begun = clientFrame(Buffer.of(1), 0x02).toString('latin1');
    const headers = Promise.all([life(header), life(header, 'x')]);
    const others = [life(upgraded), life(greeted), life(upgraded, ping), life(upgraded + begun, fragment)];
    const [early, late] = [await headers, await Promise.all(others)];
    for (const ms of early) expect(ms).toBeGreaterThan(4_500);
    for (const ms of late) expect(ms).toBeGreaterThan(9_500);
    // A machine that is busy is late with all of them, and does not change their order.
    expect(Math.max(...early)).toBeLessThan(Math.min(...late));
  });

  test.each([
    ['no upgrade', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP/1.1 426'],
    ['another version', request('imgmv.2'), 'HTTP/1.1 426'],
    ['another protocol', request('chat'), 'HTTP/1.1 400'],
    ['headers of 9 kB', `GET / HTTP/1.1\r\nHost: ${'x'.repeat(9_000)}\r\n\r\n`, 'HTTP/1.1 431'],
    ['no HTTP', 'SSH-2.0-x\r\n\r\n', 'HTTP/1.1 400'],
  ])('%s is answered and closed', async (_name, bytes, want) => {
    await using host = await listeningHost();
    const socket = connect(host.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.write(bytes);
    await once(socket, 'close');
    expect(answer.startsWith(want)).toBe(true);
    if (want.endsWith('426')) expect(answer).toContain('Sec-WebSocket-Protocol: imgmv.1\r\n');
  });
});

describe('replays', () => {
  test('a pairing that was recorded opens nothing', async () => {
    await using host = await receiver(new MemorySink());
    // The recording: an honest dialler against a listener with the same code and salt.
    await using ends = await sockets();
    const recorded: Buffer[] = [];
    const send = ends.dialler.send.bind(ends.dialler);
    ends.dialler.send = (message) => {
      recorded.push(Buffer.from(message));
      send(message);
    };
    const { salt } = host.pairing;
    const psk = await host.pairing.psk;
    const open = await Promise.all([
      dialChannel(ends.dialler, {
        preamble: pairPreamble(),
        credentials: async () => ({ s: generateKeyPair(), psk }),
      }),
      acceptChannel(ends.listener, {
        admit: (dialler) => ({
          preamble: { ...dialler, role: 'receiver', salt },
          credentials: { s: generateKeyPair(), psk },
        }),
      }),
    ]);
    expect(open.map((channel: Channel) => channel.socket.open)).toEqual([true, true]);
    expect(recorded.map(({ length }) => length)).toEqual([48, 48, 64]);

    const socket = await dial(`ws://127.0.0.1:${host.port}`, { timeoutMs: 30_000 });
    for (const message of recorded) socket.send(message);
    expect((await socket.closed).code).toBe(4512);
    expect(host.pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX);
  });
});
