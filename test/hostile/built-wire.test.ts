/** Two built programs with real engines, and somebody on the wire between them. PROTOCOL.md sections 2 to 5. */
import { readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deriveKey, parseCode } from '../../proto/code.ts';
import { expectEnd, holdings, type Receiver, type Scene, startScene } from '../e2e/scene.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import type { Imgmv } from '../rig/imgmv.ts';
import { randomBytes } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { clientFrame, rawPeer } from './strangers.ts';
import { type Frame, type Passing, tap } from './tap.ts';

/** Images that travel under watch, how often all of them do, and how many at once. */
const IMAGES = 25;
const SESSIONS = 4;
const AT_ONCE = 5;
const IMAGE_BYTES = 300_000;
/** A DATA record in the middle of the blob lane's, which is the second connection. */
const BLOB_LANE = 1;
const RECORD = 5;

type Alter = (passing: Passing, back: (payload: Buffer) => void) => readonly Frame[];

/** Alters what the sender says in the middle of the blobs. */
function atRecord(alter: (payload: Buffer, back: (payload: Buffer) => void) => readonly Buffer[]): Alter {
  return ({ connection, from, frame, payload }, back) =>
    connection === BLOB_LANE && from === 'dialler' && frame === RECORD
      ? alter(payload, back).map((one) => ({ payload: one }))
      : [{ payload }];
}

/** Holds one record back until the next has passed. */
function reordered(): Alter {
  let held: Buffer | undefined;
  return ({ connection, from, frame, payload }) => {
    if (connection !== BLOB_LANE || from !== 'dialler') return [{ payload }];
    if (frame === RECORD) {
      held = payload;
      return [];
    }
    return frame === RECORD + 1 && held ? [{ payload }, { payload: held }] : [{ payload }];
  };
}

/** Passes the last record of the control lane on in place of one of the blob lane. */
function moved(): Alter {
  let control: Buffer | undefined;
  return (passing) => {
    if (passing.connection === 0 && passing.from === 'dialler') control = passing.payload;
    const [payload = passing.payload] = atRecord(() => (control ? [control] : []))(passing, () => {}).map(
      (frame) => frame.payload,
    );
    return [{ payload }];
  };
}

const altered: readonly (readonly [string, () => Alter])[] = [
  [
    'a bit turned',
    () => atRecord((one) => [Buffer.from(one.map((byte, at) => (at === 99 ? byte ^ 1 : byte)))]),
  ],
  ['truncated', () => atRecord((one) => [one.subarray(0, -1)])],
  ['made longer', () => atRecord((one) => [Buffer.concat([one.subarray(0, 1_000), Buffer.alloc(1)])])],
  ['emptied', () => atRecord(() => [Buffer.alloc(0)])],
  ['left out', () => atRecord(() => [])],
  ['replayed', () => atRecord((one) => [one, one])],
  ['reordered', reordered],
  [
    'reflected to its writer',
    () =>
      atRecord((one, back) => {
        back(one);
        return [one];
      }),
  ],
  ['moved to another lane', moved],
];

/** What stops a connection below the records is a break, and nothing is lost by it. */
const broken: readonly (readonly [string, (payload: Buffer) => readonly Frame[]])[] = [
  ['a message of 65,536 bytes', () => [{ payload: Buffer.alloc(65_536) }]],
  ['a text message', () => [{ payload: Buffer.from('hello'), first: 0x81 }]],
  ['a flood of pings', () => Array<Frame>(1_000).fill({ payload: Buffer.alloc(125), first: 0x89 })],
  [
    'a flood of one-byte fragments',
    () => [
      { payload: Buffer.of(1), first: 0x02 },
      ...Array<Frame>(10_000).fill({ payload: Buffer.of(1), first: 0x00 }),
    ],
  ],
];

describeOn(
  'the built program, watched',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [{ data: { bytes: IMAGE_BYTES, seed: 1 } }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    /** Sends through a port of 127.0.0.1. */
    const sendBy = (port: number, receiver: Receiver, ...images: readonly string[]): Imgmv =>
      scene.send(receiver, [...images, '--json'], { to: `127.0.0.1:${port}` });

    it(`${IMAGES * SESSIONS} transfers are captured: no name, path, content, digest, host or code is on the wire`, async () => {
      const canary = async (number: number) => {
        const name = `canary-registry.example/canary-${number}/canary-name:canary-tag`;
        const config = { Env: [`CANARY_${number}=canary-value`], Labels: { canary: `label-${number}` } };
        const data = { bytes: 20_000, seed: 1_000 + number };
        const layers = [{ [`canary/path-${number}`]: `canary content ${number}`, data }];
        const image = await loadImage(scene.source, { name, layers, config });
        return { ...image, data: randomBytes(data) };
      };
      const images: Awaited<ReturnType<typeof canary>>[] = [];
      for (let number = 0; number < IMAGES; number += AT_ONCE)
        images.push(...(await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => canary(number + n)))));
      const wire: Buffer[] = [];
      const codes: string[] = [];
      const names = images.map(({ name }) => name);
      for (let session = 0; session < SESSIONS; session++) {
        await using receiver = await scene.receive();
        const code = (await readFile(receiver.codeFile, 'utf8')).trim();
        codes.push(code, ...code.split('-').filter((word) => word.length > 4));
        await using watched = await tap({ port: receiver.port });
        await using sender = sendBy(watched.port, receiver, ...names, '--jobs', String(AT_ONCE));
        await expectEnd(sender, 0, new RegExp(`"images":${IMAGES},"failed":0`));
        await expectEnd(receiver.imgmv, 0, /"done"/);
        wire.push(...watched.bytes);
        await scene.target.docker(['image', 'rm', ...names]);
      }
      const all = Buffer.concat(wire);
      expect(all.length).toBeGreaterThan(IMAGES * SESSIONS * 20_000);
      const digests = images
        .flatMap(({ id, diffIds }) => [id, ...diffIds])
        .map((one) => one.slice('sha256:'.length));
      const texts = ['canary', 'CANARY', 'sha256', 'amd64', 'overlay', '{"type"', hostname(), ...codes];
      const canaries = [
        ...[...texts, ...digests.map((digest) => digest.slice(0, 12))].map((text) => Buffer.from(text)),
        ...digests.map((digest) => Buffer.from(digest, 'hex').subarray(0, 12)),
        ...images.map(({ data }) => data.subarray(10_000, 10_012)),
      ].filter(({ length }) => length > 4);
      const found = canaries.filter((canary) => all.includes(canary));
      console.log(
        `${canaries.length} canaries, ${all.length} bytes of ${IMAGES * SESSIONS} transfers: ${found.length} hits`,
      );
      expect(found.map(String)).toEqual([]);
      // The search itself finds what is there in clear: on the wire, and in what docker saves.
      expect(all.includes('imgmv.2') && all.includes('IMGM')).toBe(true);
      const clear = await scene.source.docker(['image', 'inspect', ...names]);
      expect(digests.every((digest) => clear.includes(digest))).toBe(true);
      expect(clear).toContain('CANARY_24=canary-value');
    }, 300_000);

    it.each(altered)(
      'a record that is %s: 13 on both sides, and nothing is loaded',
      async (_title, alter) => {
        const before = await scene.look();
        await using receiver = await scene.receive();
        await using watched = await tap({ port: receiver.port, alter: alter() });
        await using sender = sendBy(watched.port, receiver, 'web:1.0');
        await expectEnd(sender, 13, /"code":"channel-corrupt"/);
        await expectEnd(receiver.imgmv, 13, /"code":"channel-corrupt"/);
        await scene.expectUnchanged(before, receiver);
      },
    );

    it.each(broken)('%s from the wire breaks a connection, which comes back', async (_title, frames) => {
      await using receiver = await scene.receive();
      const alter: Alter = ({ connection, from, frame, payload }) =>
        connection === BLOB_LANE && from === 'dialler' && frame === RECORD ? frames(payload) : [{ payload }];
      await using watched = await tap({ port: receiver.port, alter });
      await using sender = sendBy(watched.port, receiver, 'web:1.0');
      await expectEnd(sender, 0, /"reconnecting".*"loaded"/s);
      await expectEnd(receiver.imgmv, 0, /"loaded"/);
      await scene.target.docker(['image', 'rm', 'web:1.0']);
    });

    it('an offer of versions that is changed on the way: 12, and the receiver is told and waits on', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive();
      await using between = await tap({
        port: receiver.port,
        head: (head, from) =>
          from === 'dialler' ? head.replace(': imgmv.2\r\n', ': imgmv.9, imgmv.2\r\n') : head,
      });
      await using sender = sendBy(between.port, receiver, 'web:1.0');
      await expectEnd(sender, 12, /"code":"handshake-failed".*altered on the way.*older version/s);
      await receiver.imgmv.waitFor('warning');
      expect(receiver.imgmv.stdout).toMatch(/"warning".*127\.0\.0\.1 began to pair.*altered on the way/);
      expect(receiver.imgmv.stdout).not.toContain('"attempt"');
      await using honest = sendBy(receiver.port, receiver, 'web:1.0');
      await expectEnd(honest, 0, /"loaded"/);
      await expectEnd(receiver.imgmv, 0, /"loaded"/);
      await scene.target.docker(['image', 'rm', 'web:1.0']);
      await scene.expectUnchanged(before, receiver);
    });

    it('frames of another session: spliced into a lane, or replayed whole, they get nowhere', async () => {
      const before = await scene.look();
      await using first = await scene.receive();
      await using recorded = await tap({ port: first.port });
      await using honest = sendBy(recorded.port, first, 'web:1.0');
      await expectEnd(honest, 0, /"loaded"/);
      await expectEnd(first.imgmv, 0, /"loaded"/);
      await scene.target.docker(['image', 'rm', 'web:1.0']);
      const said = (connection: number) =>
        recorded.frames.filter((one) => one.connection === connection && one.from === 'dialler');

      await using second = await scene.receive();
      for (const [connection, code] of [
        [0, 4512],
        [BLOB_LANE, 4211],
      ] as const) {
        const peer = await rawPeer(second.port);
        for (const { payload } of said(connection)) peer.socket.write(clientFrame(payload));
        expect(await peer.closeCode()).toBe(code);
      }
      expect(second.imgmv.stdout).not.toContain('"attempt"');
      const record = said(BLOB_LANE)[RECORD]?.payload ?? Buffer.alloc(0);
      expect(record.length).toBeGreaterThan(1_000);
      await using spliced = await tap({ port: second.port, alter: atRecord(() => [record]) });
      await using sender = sendBy(spliced.port, second, 'web:1.0');
      await expectEnd(sender, 13, /"code":"channel-corrupt"/);
      await expectEnd(second.imgmv, 13, /"code":"channel-corrupt"/);
      await scene.expectUnchanged(before, second);
    });

    it('the blob lane of one session, led to the receiver of another: refused, and nothing is loaded', async () => {
      const before = await scene.look();
      await using own = await scene.receive();
      await using other = await scene.receive();
      await using crossed = await tap({ port: own.port, portOf: (n) => (n === 0 ? own.port : other.port) });
      await using sender = sendBy(crossed.port, own, 'web:1.0');
      await expectEnd(sender, 11, /"code":"session-unknown"/);
      expect((await own.imgmv.exit).code).not.toBe(0);
      other.imgmv.kill('SIGTERM');
      await expectEnd(other.imgmv, 143, /^(?!.*"(attempt|paired)").*stopped/s);
      await scene.expectUnchanged(before, own);
    });

    it('the code and its key are in no argument, environment, output or engine log of the whole machine', async () => {
      await using receiver = await scene.receive();
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      await using watched = await tap({ port: receiver.port });
      await using sender = sendBy(watched.port, receiver, 'web:1.0');
      let over = false;
      void Promise.all([sender.exit, receiver.imgmv.exit]).then(() => {
        over = true;
      });
      const seen = new Set<string>();
      while (!over) {
        for (const text of await argumentsAndEnvironments()) seen.add(text);
        await sleep(50);
      }
      await expectEnd(sender, 0, /"loaded"/);
      await expectEnd(receiver.imgmv, 0, /"loaded"/);
      await scene.target.docker(['image', 'rm', 'web:1.0']);
      const salt =
        watched.frames.find(({ from }) => from === 'listener')?.payload.subarray(32) ?? Buffer.alloc(0);
      const key = await deriveKey(parseCode(code), salt);
      const shown = [
        ...seen,
        ...[sender, receiver.imgmv].flatMap(({ stdout, stderr }) => [stdout, stderr]),
        ...(await Promise.all([scene.source.log(), scene.target.log()])),
      ];
      const secrets = [
        code,
        code.replaceAll('-', ' '),
        key.toString('hex'),
        key.toString('base64'),
        key.toString('latin1'),
      ];
      for (const secret of secrets) expect(shown.filter((text) => text.includes(secret))).toEqual([]);
      // The search itself sees both processes.
      for (const command of ['receive', 'send'])
        expect([...seen].some((text) => text.includes(`imgmv.js\0${command}\0`))).toBe(true);
      expect(await holdings(scene.target)).not.toContain(code);
    });
  },
  { required: true },
);

/** Of every process of this machine. */
async function argumentsAndEnvironments(): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const files = ids.flatMap((id) => [`/proc/${id}/cmdline`, `/proc/${id}/environ`]);
  return Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
}
