/** The listener against strangers: guesses, age, races, floods, silence, replays. PROTOCOL.md sections 2 and 3. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { errorEvent } from '../../agent/model/events.ts';
import { ListenerProbe } from '../../agent/peer/dialler.ts';
import { withHints } from '../../cli/hints.ts';
import { acceptChannel, type Channel, dialChannel, encodePreamble } from '../../proto/channel.ts';
import { deriveKey } from '../../proto/code.ts';
import { ImgmvError } from '../../proto/errors.ts';
import {
  ANSWERS_MAX_PER_100_MS,
  ANSWERS_PER_ADDRESS_MAX_PER_S,
  CODE_WRONG_TRIES_MAX,
  UNAUTHENTICATED_GRACE_MS,
} from '../../proto/limits.ts';
import { generateKeyPair, HandshakeState } from '../../proto/noise.ts';
import { dial } from '../../proto/websocket.ts';
import { MemorySink, MemorySource, testImage } from '../memory.ts';
import { codeOf, NEGOTIATED, pause, sockets, until } from '../proto/wire.ts';
import {
  type HeldSocket,
  heldTcp,
  listeningHost,
  pairPreamble,
  pairWith,
  receiver,
  ScriptedSender,
  sender,
  statuses,
} from './hosts.ts';
import { clientFrame, greet, messageOne, rawPeer, upgradeRequest } from './strangers.ts';
import { tap } from './tap.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

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

/** As a sender does it: who is thrown out before the proof dials again. */
async function pairInTheEnd(port: number, psk: Buffer): Promise<Channel> {
  for (const late = performance.now() + 20_000; ; await pause(25)) {
    try {
      return (await pairWith(port, psk)).channel;
    } catch (error) {
      if (performance.now() > late || !(error instanceof ImgmvError)) throw error;
    }
  }
}

describe('guesses', () => {
  test('five wrong codes burn it, and the sixth is told so even if it is right', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
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
    const pairing = host.newPairing();
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

  test('a connection that only looks whether somebody listens is none, tells nobody, and holds no place', async () => {
    await using host = await listeningHost();
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    // More than five tries, and than the places of one address.
    const probe = new ListenerProbe({ url: `ws://127.0.0.1:${host.port}`, connectTimeoutMs: 30_000 });
    for (let probes = 0; probes < 12; probes++) await probe.look();
    expect([pairing.triesLeft, pairing.death, host.events]).toEqual([CODE_WRONG_TRIES_MAX, undefined, []]);
    const { channel } = await pairWith(host.port, await pairing.psk);
    channel.close();
  });

  test('who gives the code before this one hears that it was used, which is no try and is told once', async () => {
    await using host = await listeningHost();
    const before = host.newPairing();
    before.admit();
    const pairing = host.newPairing(before);
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    const usedPsk = await deriveKey(before.code, pairing.salt);
    await pairing.psk;
    for (let tries = 0; tries < 3; tries++) expect((await told(host.port, usedPsk)).code).toBe('code-used');
    expect(pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX);
    expect(host.events).toEqual([
      {
        event: 'warning',
        message: expect.stringMatching(/^127\.0\.0\.1 gave the pairing code that was shown before/),
      },
    ]);
    expect((await told(host.port, WRONG)).code).toBe('wrong-code');
    expect(pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX - 1);
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
        prologue: Buffer.concat([NEGOTIATED, ours, theirs]),
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

describe('what is no try', () => {
  /** Runs the handshake with a wrong code, and sends what `change` makes of message 3; gives the close code. */
  async function proof(port: number, change: (message: Buffer) => Buffer): Promise<number> {
    const socket = await dial(`ws://127.0.0.1:${port}`, { timeoutMs: 5_000 });
    const ours = encodePreamble(pairPreamble());
    socket.send(ours);
    const theirs = (await socket.next()) ?? Buffer.alloc(0);
    const prologue = Buffer.concat([NEGOTIATED, ours, theirs]);
    const s = generateKeyPair();
    const handshake = new HandshakeState({ pattern: 'XXpsk3', initiator: true, prologue, s, psk: WRONG });
    socket.send(handshake.writeMessage(Buffer.alloc(0)));
    handshake.readMessage((await socket.next()) ?? Buffer.alloc(0));
    socket.send(change(handshake.writeMessage(Buffer.alloc(0))));
    return (await socket.closed).code;
  }
  const turned = (at: number) => (message: Buffer) =>
    Buffer.from(message.map((byte, index) => (index === at ? byte ^ 1 : byte)));

  test.each([
    ['of random bytes', () => randomBytes(64)],
    ['with a bit of its key turned', turned(31)],
    ['with a bit of its key’s tag turned', turned(47)],
    ['that is cut in its key', (message: Buffer) => message.subarray(0, 40)],
    ['that is empty', () => Buffer.alloc(0)],
  ])('a message 3 %s burns nothing, and is told once', async (_name, change) => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    for (let tries = 0; tries <= CODE_WRONG_TRIES_MAX; tries++) {
      expect(await proof(host.port, change)).toBe(4512);
      at.monotonic += 1_000;
    }
    expect(pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX);
    expect(host.events).toEqual([
      { event: 'warning', message: expect.stringMatching(/^127\.0\.0\.1 began to pair, .* altered/) },
    ]);
    // And no penalty: the honest sender may have the same address.
    const { channel } = await pairWith(host.port, await pairing.psk);
    await until(() => channel.socket.open);
    channel.close();
  });

  test('a message 3 whose key decrypts is one, whatever stands behind the key', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    for (const [index, change] of [
      turned(48),
      turned(63),
      (message: Buffer) => message.subarray(0, 48),
    ].entries()) {
      expect(await proof(host.port, change)).toBe(4012);
      expect(pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX - 1 - index);
      at.monotonic += 60_000;
    }
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
    const pairing = host.newPairing();
    const accepting = codeOf(host.listener.accept(pairing, new AbortController().signal));
    at.wall += jump.wall;
    at.monotonic += jump.monotonic;
    expect((await told(host.port, await pairing.psk)).code).toBe('code-expired');
    expect(await accepting).toBe('code-expired');
  });

  test('it lives to its last millisecond, and when the wall clock is set back', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
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
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    for (let race = 0; race < 20; race++) {
      // No more answers in a second than one address gets.
      at.monotonic += 1_000;
      const pairing = host.newPairing();
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
    request('imgmv.2'),
    request('imgmv.2') + frame(preamble),
    // Refused: message 1 proves that it has seen our preamble. flood.test.ts has those who get further.
    request('imgmv.2') + frame(preamble) + frame(Buffer.from(generateKeyPair().publicKey)),
  ];

  test('200 sockets held open, at every stage and from 50 addresses: an honest sender gets in', async () => {
    await using host = await listeningHost();
    const pairing = host.newPairing();
    const accepting = host.listener.accept(pairing, new AbortController().signal);
    accepting.catch(() => {});
    const held: HeldSocket[] = [];
    for (let at = 0; at < 200; at++)
      held.push(heldTcp(host.port, `127.0.0.${2 + (at % 50)}`, STAGES[at % STAGES.length] ?? ''));
    await pause(300);
    const channel = await pairInTheEnd(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    for (const socket of held) socket.destroy();
    channel.socket.destroy();
  });

  test('200 of the honest sender’s own address do not keep it out either', async () => {
    await using host = await listeningHost();
    const pairing = host.newPairing();
    host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    const held = Array.from({ length: 200 }, (_, at) =>
      heldTcp(host.port, '127.0.0.1', STAGES[at % 5] ?? ''),
    );
    await pause(300);
    const channel = await pairInTheEnd(host.port, await pairing.psk);
    await pause(50);
    expect(channel.socket.open).toBe(true);
    for (const socket of held) socket.destroy();
    channel.socket.destroy();
  });

  test('who is silent or drips is closed: headers after 5 s, an upgraded socket after 10 s', async () => {
    await using host = await listeningHost();
    const pairing = host.newPairing();
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
    // Nor is it as late as for another deadline.
    expect(Math.max(...late)).toBeLessThan(45_000);
  });

  test.each([
    ['a browser’s', 'Origin: https://page.example\r\n'],
    ['a sandboxed page’s', 'Origin: null\r\n'],
    ['an empty', 'origin: \r\n'],
  ])('an upgrade with %s origin is refused, whatever else it says', async (_name, header) => {
    await using host = await listeningHost();
    const asked = request('imgmv.2').replace('Host: x\r\n', `Host: x\r\n${header}`);
    expect((await refused(host.port, asked)).startsWith('HTTP/1.1 400')).toBe(true);
  });

  /** What a client is answered that never ends its half; resolves once the listener has closed both. */
  async function refused(port: number, bytes: string): Promise<string> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.write(bytes, 'latin1');
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    // Bytes for a connection that is closed are answered with a reset, and for one that is half open with nothing.
    const knock = setInterval(() => socket.write('x'), 50);
    try {
      await Promise.race([
        closed,
        pause(15_000).then(() => {
          throw new Error(`it is still open after ${JSON.stringify(answer.slice(0, 40))}`);
        }),
      ]);
    } finally {
      clearInterval(knock);
      socket.destroy();
    }
    return answer;
  }

  test.each([
    ['no upgrade', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP/1.1 426'],
    ['another version', request('imgmv.9'), 'HTTP/1.1 426'],
    ['another protocol', request('chat'), 'HTTP/1.1 400'],
    ['no key', request('imgmv.2').replace(/Sec-WebSocket-Key.*\r\n/, ''), 'HTTP/1.1 400'],
    ['a body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx', 'HTTP/1.1 426'],
    ['an expectation', 'GET / HTTP/1.1\r\nHost: x\r\nExpect: much\r\n\r\n', 'HTTP/1.1 426'],
    ['a continuation', 'PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n', 'HTTP/1.1 426'],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n', ''],
    ['headers of 9 kB', `GET / HTTP/1.1\r\nHost: ${'x'.repeat(9_000)}\r\n\r\n`, 'HTTP/1.1 431'],
    ['no HTTP', 'SSH-2.0-x\r\n\r\n', 'HTTP/1.1 400'],
  ])('%s is answered and closed, though the client never ends its half', async (_name, bytes, want) => {
    await using host = await listeningHost();
    const answer = await refused(host.port, bytes);
    expect(answer.startsWith(want)).toBe(true);
    if (want.endsWith('426')) expect(answer).toContain('Sec-WebSocket-Protocol: imgmv.2\r\n');
  });
});

describe('versions', () => {
  const offering = (port: number, ...offered: readonly string[]) =>
    dial(`ws://127.0.0.1:${port}`, { timeoutMs: 30_000, offered });

  test.each([
    ['imgmv.9', 'imgmv.2'],
    ['imgmv.2', 'imgmv.9', 'imgmv.1'],
  ])('the highest that both speak is taken, of %s, %s', async (...offered) => {
    await using host = await listeningHost();
    const socket = await offering(host.port, ...offered);
    expect(socket.negotiation).toEqual({ offered, selected: 'imgmv.2' });
    socket.destroy();
  });

  test('a dialler that shares none is told what is spoken here', async () => {
    await using host = await listeningHost();
    await expect(offering(host.port, 'imgmv.9')).rejects.toMatchObject({
      code: 'version-mismatch',
      message: `ws://127.0.0.1:${host.port} speaks "imgmv.2", this imgmv imgmv.9`,
    });
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

describe('answers', () => {
  const SILENCE_MS = 300;

  /** Sends a message 1 and gives message 2, or undefined while there is none. */
  async function asks(port: number, from: string) {
    const peer = await rawPeer(port, from);
    const theirs = (await greet(peer)) ?? Buffer.alloc(0);
    peer.socket.write(clientFrame(messageOne(theirs)));
    const answer = peer.next();
    return { peer, answer, soon: () => Promise.race([answer, pause(SILENCE_MS)]) };
  }

  test('to five pairings of an address a second: the sixth waits, and one from elsewhere does not', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    for (let n = 0; n < ANSWERS_PER_ADDRESS_MAX_PER_S; n++) {
      const { peer, answer } = await asks(host.port, '127.0.0.2');
      expect((await answer)?.length).toBe(96);
      peer.socket.destroy();
    }
    // Past the bound for all.
    at.monotonic += 100;
    const sixth = await asks(host.port, '127.0.0.2');
    expect(await sixth.soon()).toBeUndefined();
    const { channel } = await pairWith(host.port, await pairing.psk);
    await until(() => channel.socket.open);
    expect(await sixth.soon()).toBeUndefined();
    at.monotonic += 1_000;
    expect((await sixth.answer)?.length).toBe(96);
    sixth.peer.socket.destroy();
    channel.close();
  });

  test('to five in all in a tenth of a second', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    for (let n = 0; n < ANSWERS_MAX_PER_100_MS; n++) {
      const { peer, answer } = await asks(host.port, `127.0.${n}.2`);
      expect((await answer)?.length).toBe(96);
      peer.socket.destroy();
    }
    const next = await asks(host.port, '127.0.77.2');
    expect(await next.soon()).toBeUndefined();
    at.monotonic += 100;
    expect((await next.answer)?.length).toBe(96);
    next.peer.socket.destroy();
  });

  test('are waited for by an address that is crowded: who waits is not thrown out for standing still', async () => {
    const { at, clock } = stillClock();
    await using host = await listeningHost(clock);
    const pairing = host.newPairing();
    void host.listener.accept(pairing, new AbortController().signal).catch(() => {});
    const from = '127.0.0.2';
    for (let n = 0; n < ANSWERS_PER_ADDRESS_MAX_PER_S; n++) {
      const { peer, answer } = await asks(host.port, from);
      expect((await answer)?.length).toBe(96);
      peer.socket.destroy();
    }
    at.monotonic += 100;
    const waiting = await asks(host.port, from);
    expect(await waiting.soon()).toBeUndefined();
    const silent = [
      await rawPeer(host.port, from),
      await rawPeer(host.port, from),
      await rawPeer(host.port, from),
    ];
    at.monotonic += UNAUTHENTICATED_GRACE_MS;
    // The fifth of the address: one of the others has to go.
    silent.push(await rawPeer(host.port, from));
    at.monotonic += 1_000;
    expect((await waiting.answer)?.length).toBe(96);
    for (const { socket } of [...silent, waiting.peer]) socket.destroy();
  });

  test('to pairings, lanes and reconnects alike, and a lane that waits is not lost', async () => {
    const { at, clock } = stillClock();
    await using host = await receiver(new MemorySink(), clock);
    const evil = await ScriptedSender.pair(host);
    const stranger = () => generateKeyPair();
    // With the pairing five; none of them by somebody who has the key of the session.
    for (const change of [
      {},
      {},
      { kind: 'reconnect', lane: 0, generation: 1 },
      { kind: 'reconnect', lane: 0, generation: 2 },
    ] as const)
      expect((await (await evil.connect(change, stranger())).ended()).code).toBe('handshake-failed');
    at.monotonic += 100;
    let opened = false;
    const lane = evil.lane().then((open) => {
      opened = true;
      return open;
    });
    await pause(SILENCE_MS);
    expect(opened).toBe(false);
    at.monotonic += 1_000;
    await lane;
  });
});

describe('an offer of versions that is changed on the way', () => {
  test.each([
    ['a newer one is added', 'imgmv.9, imgmv.2'],
    ['another protocol is added', 'imgmv.2, chat'],
  ])('%s: neither side takes the other, both are told, and nothing is used up', async (_name, offered) => {
    await using host = await receiver(new MemorySink());
    await using between = await tap({
      port: host.port,
      head: (head, from) => (from === 'dialler' ? head.replace(': imgmv.2\r\n', `: ${offered}\r\n`) : head),
    });
    const image = await testImage({ name: 'web:1.0' });
    const { error } = await sender(between.port, host.code, new MemorySource([image]));
    expect(withHints(errorEvent(error as ImgmvError), 'send')).toMatchObject({
      code: 'handshake-failed',
      exit: 12,
      message: expect.stringContaining('altered on the way'),
      hint: expect.stringContaining('older version'),
    });
    await until(() => host.events.length > 0);
    expect(host.events).toEqual([
      { event: 'warning', message: expect.stringMatching(/began to pair.*altered on the way/) },
    ]);
    expect(host.pairing.triesLeft).toBe(CODE_WRONG_TRIES_MAX);
    expect(statuses(await sender(host.port, host.code, new MemorySource([image])))).toEqual(['loaded']);
  });
});
