/** The built receiver against strangers in numbers: held sockets, guesses, pings, fragments. PROTOCOL.md section 10. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deriveKey, generateCode } from '../../proto/code.ts';
import { CODE_WRONG_TRIES_MAX, SALT_BYTES } from '../../proto/limits.ts';
import { cpuTimeMs } from '../cpu-time.ts';
import { until } from '../proto/wire.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { type BuiltReceiver, cpuMs, cpuMsAtRest, type Program, peakMib, program } from './built.ts';
import { clientFrame, greet, guess, rawPeer, STAGES, type Stage, strangers } from './strangers.ts';

const SOCKETS = 2_000;
/** Of the whole command on a machine that does little else; what it took is printed. */
const PAIR_MAX_MS = 15_000;
/** A machine that is busy may keep a sender from taking its next step in time: it is started again. */
const TRIES_MAX = 10;
const GUESSES = 1_000;
/** Fewer than are answered before the first of them may be thrown out. */
const PROOFS_AT_ONCE = 10;
/** Of a machine that is busy otherwise. */
const GUESSES_TIMEOUT_MS = 120_000;
const PREAMBLES = 300;
const FRAMES = 100_000;
/** Far above what an idle receiver has, far below what thousands of connections would cost. */
const PEAK_MAX_MIB = 250;
const WRONG_CODE = 4012;
/** The exit status of a sender whose connection was lost. */
const LOST = 11;
const CODE_BURNT = 4312;

/** Addresses that strangers come from. */
const CROWDS = {
  '500 addresses of two networks': (n) => `127.0.${1 + ((n >> 8) & 1)}.${1 + (n & 249)}`,
  '2,000 networks': (n) => `127.${1 + (n % 250)}.${Math.floor(n / 250)}.9`,
  'eight addresses beside the honest one': (n) => `127.0.0.${2 + (n % 8)}`,
} satisfies Record<string, (number: number) => string>;

const TWO_NETWORKS = '500 addresses of two networks';
const scenes: readonly (readonly [string, keyof typeof CROWDS, (number: number) => Stage])[] = [
  ['at every stage', TWO_NETWORKS, (n) => STAGES[n % STAGES.length] ?? 'TCP'],
  ...STAGES.map((stage) => [`after ${stage}`, TWO_NETWORKS, () => stage] as const),
  ['after Noise message 1', '2,000 networks', () => 'Noise message 1'],
  ['after Noise message 1', 'eight addresses beside the honest one', () => 'Noise message 1'],
];

describeOn(
  'the built receiver',
  [await engineSupport('20')],
  () => {
    let engine: Engine;
    let built: Program;

    beforeAll(async () => {
      engine = await startEngine({ flavour: '20' });
      built = await program(engine);
      await loadImage(engine, { name: 'web:1.0', layers: [{ 'srv/v': '1' }] });
    });
    afterAll(async () => {
      await built?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
    });

    /** `send` pairs, and both sides end well; gives how often it was started, and how long it took then to pair. */
    async function honest(receiver: BuiltReceiver): Promise<{ tries: number; ms: number }> {
      for (let tries = 1; ; tries++) {
        const started = performance.now();
        // On a busy machine it takes longer than the 10 s that a sender has by itself.
        await using sender = built.send(['web:1.0', '--connect-timeout', '5m'], receiver);
        const paired = await sender.waitFor('paired').catch((error: unknown) => error);
        if (paired instanceof Error) {
          if (tries === TRIES_MAX || (await sender.exit).code !== LOST) throw paired;
          continue;
        }
        const ms = performance.now() - started;
        expect([(await sender.exit).code, (await receiver.imgmv.exit).code]).toEqual([0, 0]);
        return { tries, ms };
      }
    }

    describe(`${SOCKETS} sockets are held, and dial again when they are thrown out`, () => {
      it.each(scenes)('stuck %s, from %s: an honest sender is in within 5 s', async (_stage, from, stage) => {
        const busy = await isBusy();
        await using receiver = await built.receive();
        const { port } = receiver;
        await using crowd = strangers({
          port,
          count: SOCKETS,
          stage,
          from: CROWDS[from],
          againAfterMs: 2_000,
        });
        await until(() => crowd.dialled >= SOCKETS * 1.1);
        const peak = await peakMib(receiver.imgmv);
        const { tries, ms } = await honest(receiver);
        console.log(
          `paired after ${ms.toFixed(0)} ms, try ${tries}, beside ${crowd.dialled} strangers, ${peak} MiB at most`,
        );
        if (!busy) expect([tries, ms < PAIR_MAX_MS]).toEqual([1, true]);
        expect(peak).toBeLessThan(PEAK_MAX_MIB);
      });
    });

    it(`${GUESSES} guesses at once, each from an address of its own: five are tried, and the code is dead`, {
      timeout: GUESSES_TIMEOUT_MS,
    }, async () => {
      await using receiver = await built.receive();
      let over = false;
      void receiver.imgmv.exit.then(() => {
        over = true;
      });
      // Proofs that are there at once, where they come one by one there is no race to win.
      let waiting: (() => void)[] = [];
      const together = () =>
        new Promise<void>((resolve) => {
          waiting.push(resolve);
          if (waiting.length < PROOFS_AT_ONCE && !over) return;
          for (const go of waiting) go();
          waiting = [];
        });
      void receiver.imgmv.exit.then(() => {
        for (const go of waiting) go();
      });
      const told = await Promise.all(
        Array.from({ length: GUESSES }, async (_, n) => {
          const from = CROWDS['2,000 networks'](n);
          let code = 0;
          // One that was thrown out before it could try comes again, until there is nobody to ask.
          while (code === 0 && !over) {
            code = await guess(receiver.port, from, together);
            if (code === 0) await sleep(1_000);
          }
          return code;
        }),
      );
      expect((await receiver.imgmv.exit).code).toBe(12);
      const wrong = told.filter((code) => code === WRONG_CODE).length;
      const attempts = receiver.imgmv.stdout.match(/"event":"attempt"/g) ?? [];
      console.log(`${wrong} of ${GUESSES} were told that they are wrong, ${attempts.length} were counted`);
      expect(attempts).toHaveLength(CODE_WRONG_TRIES_MAX);
      expect(wrong).toBeLessThanOrEqual(CODE_WRONG_TRIES_MAX);
      expect(receiver.imgmv.stdout).toContain('"code":"code-burnt"');
    });

    it('codes that strangers burn one after the other come ever more slowly', async () => {
      await using receiver = await built.receive(['--json']);
      const events = () =>
        receiver.imgmv.stdout
          .split('\n')
          .filter((line) => line.startsWith('{'))
          .map((line) => JSON.parse(line) as { event: string; code?: string; time: string });
      const times = (match: (event: { event: string; code?: string }) => boolean) =>
        events()
          .filter(match)
          .map(({ time }) => Date.parse(time));
      const listening = () => times(({ event }) => event === 'listening');
      const burnt = () => times(({ code }) => code === 'code-burnt');
      for (let codes = 1; codes <= 2; codes++) {
        for (let n = 0; burnt().length < codes; n++)
          await guess(receiver.port, CROWDS['2,000 networks'](100 * codes + n), async () => {});
        // Nobody is asked to prove a code while there is none.
        expect(await guess(receiver.port, '127.9.9.9', async () => {})).toBe(CODE_BURNT);
        await until(() => listening().length > codes, 30_000);
        const pauseMs = (listening()[codes] ?? 0) - (burnt()[codes - 1] ?? 0);
        // A timer counts from when its turn of the event loop began.
        expect(pauseMs).toBeGreaterThan(1_000 * codes - 50);
      }
      expect(receiver.imgmv.stdout).toContain('the next pairing code comes in 2 s');
    });

    it(`${PREAMBLES} strangers are answered with the salt: it is one salt, and nothing is stretched for them`, async () => {
      await using receiver = await built.receive();
      const code = generateCode();
      const stretchMs = await cpuTimeMs(() => deriveKey(code, Buffer.alloc(SALT_BYTES)));
      const salts = new Set<string>();
      const startedAt = await cpuMs(receiver.imgmv);
      for (let n = 0; n < PREAMBLES; n++) {
        const peer = await rawPeer(receiver.port, CROWDS[TWO_NETWORKS](n));
        salts.add((await greet(peer))?.subarray(32).toString('hex') ?? 'none');
        peer.socket.destroy();
      }
      const spentMs = (await cpuMsAtRest(receiver.imgmv)) - startedAt;
      console.log(
        `${spentMs} ms for ${PREAMBLES} strangers; one code is stretched in ${stretchMs.toFixed(0)} ms`,
      );
      expect(salts.size).toBe(1);
      expect(spentMs).toBeLessThan((PREAMBLES * stretchMs) / 4);
      await honest(receiver);
    });

    it.each<readonly [string, Buffer, Buffer, number]>([
      ['pings', Buffer.alloc(0), clientFrame(Buffer.from('x'), 0x89), 0],
      ['pings of 125 bytes', Buffer.alloc(0), clientFrame(Buffer.alloc(125), 0x89), 0],
      ['one-byte fragments', clientFrame(Buffer.of(1), 0x02), clientFrame(Buffer.of(1), 0x00), 1008],
      ['empty fragments', clientFrame(Buffer.of(1), 0x02), clientFrame(Buffer.alloc(0), 0x00), 1008],
      ['one-byte messages', Buffer.alloc(0), clientFrame(Buffer.of(1)), 0],
      ['pongs', Buffer.alloc(0), clientFrame(Buffer.from('x'), 0x8a), 0],
    ])(`${FRAMES} %s of a stranger end its connection and nothing else`, async (_what, first, each, code) => {
      await using receiver = await built.receive();
      const silent = await rawPeer(receiver.port, '127.0.8.8');
      const peer = await rawPeer(receiver.port, '127.0.9.9');
      const startedAt = await cpuMs(receiver.imgmv);
      peer.socket.write(first);
      peer.socket.write(Buffer.concat(Array<Buffer>(FRAMES).fill(each)));
      expect(await peer.closeCode()).toBe(code);
      // It is not just the handshake's deadline that ends it: that one comes first to who was here first.
      expect(silent.socket.destroyed).toBe(false);
      silent.socket.destroy();
      const spentMs = (await cpuMs(receiver.imgmv)) - startedAt;
      const peak = await peakMib(receiver.imgmv);
      console.log(`${spentMs} ms of processor time, ${peak} MiB at most`);
      expect(peak).toBeLessThan(PEAK_MAX_MIB);
      await honest(receiver);
    });
  },
  { required: true },
);

/** Whether other programs take so much of the processors that work lasts half as long again. */
async function isBusy(): Promise<boolean> {
  const started = performance.now();
  const ms = await cpuTimeMs(() => deriveKey(generateCode(), Buffer.alloc(SALT_BYTES)));
  return performance.now() - started > 1.5 * ms;
}
