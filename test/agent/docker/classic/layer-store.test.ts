/** Whose data are read: an engine says itself where they are. */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LayerStore } from '../../../../agent/docker/classic/direct/layer-store.ts';
import type { Engine } from '../../../../agent/docker/engine.ts';
import { type ScratchDirectory, scratchDirectory } from '../../../rig/scratch.ts';

const SOMEBODY = 12_345;

let scratch: ScratchDirectory;
const at = (...names: readonly string[]) => join(scratch.path, ...names);
beforeEach(async () => {
  scratch = await scratchDirectory();
  await mkdir(at('data/image/overlay2/layerdb'), { recursive: true });
  await mkdir(at('data/image/overlay2/imagedb/content/sha256'), { recursive: true });
  await writeFile(at('socket'), '');
});
afterEach(() => scratch[Symbol.asyncDispose]());

async function whyNot(dataRoot: string): Promise<string | undefined> {
  const engine = { endpoint: { address: `unix://${at('socket')}` }, info: { dataRoot, driver: 'overlay2' } };
  const store = LayerStore.of(engine as Engine);
  if (typeof store === 'string') throw new Error(store);
  await using _ = store;
  const why = await store.whyNot();
  return why;
}

describe('the data that an engine names', () => {
  it('are read if they are its own', async () => {
    expect(await whyNot(at('data'))).toBeUndefined();
  });

  // Only root can give a file to somebody else; CI is root.
  it.skipIf(process.geteuid?.() !== 0)('are not read if they belong to others', async () => {
    await chown(at('socket'), SOMEBODY, SOMEBODY);
    expect(await whyNot(at('data'))).toEqual(
      expect.stringMatching(/does not belong to the user who runs the engine$/),
    );
    await chown(at('data'), SOMEBODY, SOMEBODY);
    expect(await whyNot(at('data'))).toEqual(expect.stringMatching(/belongs to another user$/));
  });
});
