/** In what company layers are committed, without an engine: from the bottom up on a classic store, in any order elsewhere. */
import { beforeEach, expect, it } from 'vitest';
import { LayerStack } from '../../../../agent/docker/classic/layer-stack.ts';
import { LayerSet } from '../../../../agent/docker/containerd/layer-set.ts';
import type { InspectedImage } from '../../../../agent/docker/engine.ts';
import type { Arrived, CommitOrder } from '../../../../agent/docker/incoming.ts';
import { Load } from '../../../../agent/docker/load.ts';
import type { Digest } from '../../../../agent/model/image.ts';
import { type MemoryImage, testImage } from '../../../memory.ts';

let image: MemoryImage['image'];

beforeEach(async () => {
  const layers = ['a', 'b', 'c', 'd'].map((name) => ({ [name]: name }));
  ({ image } = await testImage({ name: 'stacked:1', layers }));
});

const digest = (at: number) => image.diffIds[at] as Digest;
/** One with a load of its own, or one that waits in memory. */
const large = (at: number): Arrived => ({
  digest: digest(at),
  path: `${at}`,
  size: 1,
  in: Object.create(Load.prototype) as Load,
});
const small = (at: number): Arrived => ({ digest: digest(at), path: `${at}`, size: 1, in: Buffer.alloc(1) });
/** What is committed when these come, as positions. */
const commitsOf = (order: CommitOrder, ...layers: readonly Arrived[]) =>
  layers.map((layer) =>
    order.place(layer)?.map((commit) => [commit.layers.map(({ path }) => Number(path)), commit.upTo]),
  );
const made = (...diffIds: readonly Digest[]) =>
  ({ RootFS: { Layers: diffIds } }) as unknown as InspectedImage;

it('a stack waits for the layers below, and takes small ones along', () => {
  const stack = new LayerStack(image, 0);
  expect(commitsOf(stack, large(2), small(1), large(0), large(3))).toEqual([
    [],
    [],
    [
      [[0, 1], 2],
      [[2], 3],
    ],
    [[[3], 4]],
  ]);
  expect(stack.waiting()).toEqual([]);
});

it('a stack begins above what is here, wants no layer twice, and begins anew', () => {
  const stack = new LayerStack(image, 2);
  expect(commitsOf(stack, large(1), small(2), small(2))).toEqual([undefined, [], undefined]);
  expect(stack.waiting()).toHaveLength(1);
  stack.restart(1);
  expect(stack.waiting()).toEqual([]);
  expect(commitsOf(stack, large(1))).toEqual([[[[1], 2]]]);
  stack.rewind(0);
  expect(commitsOf(stack, large(0))).toEqual([[[[0], 1]]]);
});

it('a helper of a stack is one of exactly the lowest layers, and holds what those before it hold', () => {
  const stack = new LayerStack(image, 0);
  const [commit] = stack.place(large(0)) ?? [];
  if (!commit) throw new Error('nothing is committed');
  expect(stack.holds(made(digest(0)), commit)).toBe(true);
  expect(stack.holds(made(), commit)).toBe(false);
  expect(stack.holds(made(digest(1)), commit)).toBe(false);
  expect(stack.holds(made(digest(0), digest(1)), commit)).toBe(false);
  expect(stack.cumulative).toBe(true);
});

it('a set commits a large layer at once, with the small ones that wait, and holds nothing of others', () => {
  const set = new LayerSet(image);
  expect(commitsOf(set, large(3), small(1), small(0), large(2))).toEqual([
    [[[3], 0]],
    [],
    [],
    [[[1, 0, 2], 0]],
  ]);
  expect(set.cumulative).toBe(false);
  expect(commitsOf(set, small(1))).toEqual([[]]);
  set.restart();
  expect(set.waiting()).toEqual([]);
});
