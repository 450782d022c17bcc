/** --limit on either side: a move takes at least as long as its bytes take at that rate, and both sides say why. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, type Receiver, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const BYTES = 6 * MIB;
const LIMIT = 2 * MIB;
/** What may go before the first byte has had its time: a step, and of who takes it what its window holds. */
const AHEAD_SECONDS = { send: 0.2, receive: 1.2 };

describeOn(
  'a limit',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [{ a: { bytes: BYTES, seed: 1 } }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    const forget = () => scene.target.docker(['image', 'rm', '--force', 'web:1.0']).catch(() => ''); // if it is there

    /** Seconds of travelling, and of the bytes on the wire at the limit. */
    async function moved(receiver: Receiver, args: readonly string[], env = {}) {
      await forget();
      await using sender = scene.send(receiver, ['web:1.0', '--json', ...args], { env });
      await expectEnd(sender, 0, /"done"/);
      const { phases, wireBytes } = await sender.waitFor('image');
      await receiver.imgmv.exit;
      expect(wireBytes).toBeGreaterThan(BYTES * 0.95);
      const { transfer, load } = phases as { transfer: number; load: number };
      const limits = [];
      for (const run of [sender, receiver.imgmv]) limits.push(limitsIn(await toldBy(run)));
      return { took: transfer + load, wanted: Number(wireBytes) / LIMIT, limits };
    }

    it.each([
      { title: 'of the sender', args: ['--limit', '2M'], env: {} },
      { title: 'as rsync has it', args: ['--bwlimit', '2048'], env: {} },
      { title: 'that is configured', args: [], env: { IMGMV_LIMIT: '2MiB/s' } },
    ])('$title', async ({ args, env }) => {
      await using receiver = await scene.receive();
      const { took, wanted, limits } = await moved(receiver, args, env);
      expect(took).toBeGreaterThan(wanted - AHEAD_SECONDS.send);
      const limit = { rate: LIMIT, by: 'sender' };
      expect(limits).toEqual([[limit], [limit]]);
    });

    it('of the receiver', async () => {
      await using receiver = await scene.receive({ args: ['--once', '--limit', '2M'] });
      const { took, wanted, limits } = await moved(receiver, ['--limit', '0']);
      expect(took).toBeGreaterThan(wanted - AHEAD_SECONDS.receive);
      const limit = { rate: LIMIT, by: 'receiver' };
      expect(limits).toEqual([[limit], [limit]]);
    });

    it('is no hindrance to a stop', async () => {
      await forget();
      await using receiver = await scene.receive({ args: ['--once', '--limit', '1k'] });
      await using sender = scene.send(receiver, ['web:1.0', '--json', '--limit', '1k']);
      await sender.waitFor('progress');
      sender.kill('SIGINT');
      await expectEnd(sender, 130, /stopped by SIGINT/);
      await expectEnd(receiver.imgmv, 11, /the other host stopped/);
    });
  },
  { required: true },
);

/** Those that held an image up, each once. */
function limitsIn(events: readonly JsonEvent[]): readonly unknown[] {
  const all = events.flatMap(({ event, limit }) =>
    event === 'progress' && limit ? [JSON.stringify(limit)] : [],
  );
  return [...new Set(all)].map((limit) => JSON.parse(limit));
}

describe('a limit that is none', () => {
  it.each([
    [['--limit', '10Mbit'], /argument '10Mbit' is invalid\. Expected a rate such as/],
    [
      ['--limit', '10M', '--bwlimit', '10M'],
      /^imgmv: --limit and --bwlimit are the same\n {2}give one of them\n$/,
    ],
  ])('%j: 2', async (args, says) => {
    await using sending = runImgmv(['send', 'a', '--to', '127.0.0.1:9', ...args]);
    await expectEnd(sending, 2, says);
    const codeFile = join('/nowhere', 'code');
    await using receiving = runImgmv(['receive', '--code-file', codeFile, '--each', '/nowhere', ...args]);
    await expectEnd(receiving, 2, says);
  });
});
