/** Whose data are read: an engine says itself where they are. */
import { createHash } from 'node:crypto';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LayerStore } from '../../../../agent/docker/classic/direct/layer-store.ts';
import type { Engine } from '../../../../agent/docker/engine.ts';
import type { Digest } from '../../../../agent/model/image.ts';
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

function storeAt(dataRoot: string, driver = 'overlay2'): LayerStore {
  const endpoint = { address: `unix://${at('socket')}` };
  const engine = { endpoint, info: { kind: 'docker', dataRoot, driver } };
  const store = LayerStore.of(engine as Engine);
  if (typeof store === 'string') throw new Error(store);
  return store;
}

async function whyNot(dataRoot: string): Promise<string | undefined> {
  await using store = storeAt(dataRoot);
  const why = await store.whyNot();
  return why;
}

describe('the layers of an engine', () => {
  it('are not looked at where fuse-overlayfs keeps them', async () => {
    await mkdir(at('data/image/fuse-overlayfs/layerdb'), { recursive: true });
    const config = '{}';
    const id: Digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
    for (const driver of ['overlay2', 'fuse-overlayfs']) {
      const configs = at(`data/image/${driver}/imagedb/content/sha256`);
      await mkdir(configs, { recursive: true });
      await writeFile(join(configs, id.slice('sha256:'.length)), config);
    }
    await using usual = storeAt(at('data'));
    await using fuse = storeAt(at('data'), 'fuse-overlayfs');
    expect([await usual.oddFile(id, [], 0), await usual.whyUnseen()]).toEqual([undefined, undefined]);
    expect(await fuse.oddFile(id, [], 0)).toBe('unseen');
    expect(await fuse.whyUnseen()).toMatch(/fuse-overlayfs, which finds files by rules of its own$/);
    expect(await fuse.whyNot()).toBeUndefined();
  });
});

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
