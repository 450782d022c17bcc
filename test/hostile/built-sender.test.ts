/** The built sender and its real engine, against receivers that are none and receivers that lie. */
import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acceptChannel } from '../../proto/channel.ts';
import { generateCode } from '../../proto/code.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import type { Secret } from '../../proto/secret.ts';
import type { Socket } from '../../proto/websocket.ts';
import { expectEnd } from '../e2e/scene.ts';
import { type WebSocketServer, webSocketServer } from '../proto/wire.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Imgmv, runImgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { ScriptedReceiver } from './hosts.ts';
import { type Tap, tap } from './tap.ts';

const NAME = 'canary-registry.example/canary-team/canary:1.0';
/** Preamble, message 1, message 3: PROTOCOL.md section 3.2. */
const HANDSHAKE = [48, 48, 64];
const IMAGE_BYTES = 4_000_000;
const OTHER = `sha256:${'ab'.repeat(32)}`;

/** Goes through the handshake as far as one can who does not know the code, then does `after`. */
async function pretend(socket: Socket, after: (socket: Socket) => void): Promise<void> {
  const close = socket.close.bind(socket);
  // It need not tell that message 3 was wrong.
  socket.close = () => {
    socket.close = close;
    after(socket);
  };
  await acceptChannel(socket, {
    admit: (dialler) => ({
      preamble: { ...dialler, role: 'receiver' },
      credentials: { s: generateKeyPair(), psk: Buffer.alloc(32) },
    }),
  }).catch(() => {});
}

interface Fake {
  readonly title: string;
  readonly play: (server: WebSocketServer) => Promise<void>;
  readonly exit: number;
  readonly code: string;
  /** Messages that one connection may see. */
  readonly sees: readonly number[];
}

const answers = (after: (socket: Socket) => void) => async (server: WebSocketServer) =>
  pretend(await server.next(), after);

const fakes: readonly Fake[] = [
  {
    title: 'says that the code is wrong',
    play: answers((socket) => socket.close(4012, 'wrong-code')),
    exit: 12,
    code: 'wrong-code',
    sees: HANDSHAKE,
  },
  {
    title: 'goes on with a record of its own',
    play: answers((socket) => socket.send(Buffer.alloc(33, 1))),
    exit: 13,
    code: 'channel-corrupt',
    sees: HANDSHAKE,
  },
  {
    title: 'goes on with a record of one byte',
    play: answers((socket) => socket.send(Buffer.alloc(1))),
    exit: 13,
    code: 'channel-corrupt',
    sees: HANDSHAKE,
  },
  {
    title: 'breaks off after message 3',
    play: answers((socket) => socket.destroy()),
    exit: 11,
    code: 'peer-lost',
    sees: HANDSHAKE,
  },
  {
    title: 'breaks off before message 2, each time',
    play: async (server) => {
      for (;;) {
        const socket = await server.next();
        const preamble = await socket.next();
        if (preamble) socket.send(Buffer.from(preamble.with(5, 2)));
        await socket.next();
        socket.destroy();
      }
    },
    exit: 11,
    code: 'peer-lost',
    sees: HANDSHAKE.slice(0, 2),
  },
  {
    title: 'sends its handshake back to it',
    play: async (server) => {
      const socket = await server.next();
      for (let message = await socket.next(); message; message = await socket.next()) socket.send(message);
    },
    exit: 15,
    code: 'role-mismatch',
    sees: HANDSHAKE.slice(0, 1),
  },
];

describeOn(
  'the built sender',
  [await engineSupport('20')],
  () => {
    let engine: Engine;
    let image: LoadedImage;

    beforeAll(async () => {
      engine = await startEngine({ flavour: '20' });
      const layers = [
        { 'canary/path': 'canary', data: { bytes: IMAGE_BYTES, seed: 1 } },
        { 'canary/two': '2' },
      ];
      image = await loadImage(engine, { name: NAME, layers });
      await loadImage(engine, { name: 'canary-second:2', layers: [{ 'canary/second': '2' }] });
    });
    afterAll(() => engine?.[Symbol.asyncDispose]());

    const send = (port: number, code: Secret, ...images: readonly string[]): Imgmv => {
      const to = ['--to', `127.0.0.1:${port}`, '--code-file', '-', '--connect-timeout', '5s'];
      const args = ['send', '--json', ...images, ...to, '--docker-host', engine.dockerHost];
      return runImgmv(args, { input: code.reveal() });
    };

    /** What somebody saw who is to see the handshake alone. */
    function expectNothing({ bytes }: Tap, code: Secret): void {
      const all = Buffer.concat(bytes);
      const secrets = [
        ...['canary', 'sha256', '20.10', 'amd64', hostname(), code.reveal(), ...code.reveal().split('-')],
        ...[image.id, ...image.diffIds].map((digest) =>
          digest.slice('sha256:'.length, 'sha256:'.length + 12),
        ),
      ].filter(({ length }) => length > 3);
      expect(all.length).toBeGreaterThan(48);
      expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
    }

    describe('before one that pretends to be the receiver and does not know the code', () => {
      it.each(fakes.map((fake) => [fake.title, fake] as const))(
        'and %s: it gives the handshake and not one byte more',
        async (_title, fake) => {
          const code = generateCode();
          await using server = await webSocketServer();
          await using watched = await tap({ port: server.port });
          void fake.play(server);
          await using sender = send(watched.port, code, NAME);
          const { code: exit } = await sender.exit;
          expect([exit, sender.stdout]).toEqual([
            fake.exit,
            expect.stringContaining(`"code":"${fake.code}"`),
          ]);
          const connections = new Map<number, number[]>();
          for (const { connection, from, payload } of watched.frames)
            if (from === 'dialler')
              connections.set(connection, [...(connections.get(connection) ?? []), payload.length]);
          expect(connections.size).toBeGreaterThan(0);
          for (const sizes of connections.values()) expect(sizes).toEqual(fake.sees);
          expectNothing(watched, code);
        },
      );
    });

    describe('before a receiver that knows the code and lies', () => {
      const names = [{ wanted: NAME }];
      const good = { item: 0, action: 'send', names };
      const second = {
        item: 1,
        action: 'send',
        names: [{ wanted: 'canary-second:2' }],
      };

      it.each<readonly [string, readonly object[]]>([
        ['for another name', [{ ...good, names: [{ wanted: 'alpine:latest' }] }, second]],
        ['for a name more', [{ ...good, names: [...names, { wanted: 'alpine:latest' }] }, second]],
        ['for an image more', [good, second, { ...good, item: 2 }]],
        ['for an image less', [good]],
        ['in another order', [second, good]],
        ['for a layer that was not offered', [{ ...good, missing: [OTHER] }, second]],
        ['for the layers of the other image', [good, { ...second, missing: 'of the first' }]],
      ])('that asks %s: not a byte of an image is sent, and nothing runs', async (_title, images) => {
        const code = generateCode();
        await using server = await webSocketServer();
        await using sender = send(server.port, code, NAME, 'canary-second:2');
        const evil = await ScriptedReceiver.pair(server, code);
        await evil.hear('offer');
        const asked = images.map((one) =>
          'missing' in one && one.missing === 'of the first'
            ? { ...one, missing: image.diffIds.slice(0, 1) }
            : one,
        );
        await evil.say({ type: 'answer', items: asked, last: true });
        expect(await evil.closed()).toBe('4213 protocol-violation');
        expect([(await sender.exit).code, sender.stdout]).toEqual([
          13,
          expect.stringContaining('"code":"protocol-violation"'),
        ]);
        expect(evil.control.lane.bytesReceived).toBeLessThan(10_000);
        expect((await engine.docker(['ps', '--all', '--quiet'])).trim()).toBe('');
      });

      it('that wants a layer alone: it gets that one and the metadata, and no more when it asks for ever', async () => {
        const code = generateCode();
        await using server = await webSocketServer();
        await using sender = send(server.port, code, NAME, '--retries', '0');
        const evil = await ScriptedReceiver.pair(server, code);
        await evil.hear('offer');
        const missing = image.diffIds.slice(1);
        await evil.say({ type: 'answer', items: [{ ...good, missing }], last: true });
        const { lane, entries } = await evil.lane();
        for (let round = 0; round < 4; round++) {
          const kinds: string[] = [];
          for (let item = await entries.next(); item && !('type' in item); item = await entries.next()) {
            kinds.push(item.kind);
            for await (const _ of item.body);
          }
          expect(kinds.toSorted()).toEqual(['config', 'layer']);
          await evil.say({ type: 'again', item: 0, missing });
        }
        expect(await entries.next()).toMatchObject({ type: 'end', complete: false });
        await evil.hear('finish');
        await Promise.all([evil.end(), lane.end()]);
        await expectEnd(sender, 14, /"status":"failed".*vanish from the target as fast as they arrive/);
        expect(lane.bytesReceived).toBeLessThan(IMAGE_BYTES / 4);
      });
    });
  },
  { required: true },
);
