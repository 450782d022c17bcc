import { describe, expect, it } from 'vitest';
import type { Image } from '../../../agent/model/image.ts';
import { NameClaims } from '../../../agent/model/name-claims.ts';
import { clashes, sharedFirst } from '../../../agent/model/plan.ts';
import type { Answer } from '../../../agent/model/sink.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';
import { MemorySink, testImage } from '../../memory.ts';
import type { LayerSpec } from '../../rig/layers.ts';

describe('names that two images would take', () => {
  const image = async (name: string, ...targets: readonly string[]) =>
    (await testImage({ name, names: targets.map((target) => ({ source: name, target })) })).image;

  const clashing = (images: readonly Image[]) => clashes(images).filter((one) => one !== undefined).length;

  it('are told of both, and of each the other', async () => {
    const [one, two, three] = [
      await image('a:1', 'x:1'),
      await image('b:1', 'y:1', 'x:1'),
      await image('c:1', 'z:1'),
    ];
    expect(clashes([one, two, three])).toEqual([
      `x:1 would also be the name of b:1 (${two.id})`,
      `x:1 would also be the name of a:1 (${one.id})`,
      undefined,
    ]);
  });

  it('are told of all that would take one', async () => {
    const all = [await image('a:1', 'x:1'), await image('b:1', 'x:1'), await image('c:1', 'x:1')];
    expect(clashing(all)).toBe(3);
  });

  it('are the same in whatever words', async () => {
    const all = [await image('a:1', 'x:1'), await image('b:1', 'docker.io/library/x:1')];
    expect(clashing(all)).toBe(2);
  });

  it('are not those that one image has twice', async () => {
    expect(clashing([await image('a:1', 'x:1', 'docker.io/x:1'), await image('b:1', 'x:2')])).toBe(0);
    const swapped = [await image('a:1', 'b:1'), await image('b:1', 'a:1')];
    expect(clashing(swapped)).toBe(0);
  });

  it('stay theirs where one of them is planned again without the other', async () => {
    const all = [await image('a:1', 'x:1'), await image('b:1', 'x:1'), await image('c:1', 'z:1')] as const;
    const claims = new NameClaims();
    const first = claims.clashes(all);
    expect(first[2]).toBeUndefined();
    for (const at of [0, 1, 2, 0] as const) expect(claims.clashes([all[at]])).toEqual([first[at]]);
    expect(claims.clashes([all[2], all[1]])).toEqual([undefined, first[1]]);
  });
});

/** What an empty sink answers to images of these layers, and the names in the order in which they are to go. */
async function order(images: Readonly<Record<string, readonly string[]>>): Promise<readonly string[]> {
  const made = await Promise.all(
    Object.entries(images).map(([name, layers]) =>
      testImage({ name, layers: layers.map((layer): LayerSpec => ({ [layer]: layer })) }),
    ),
  );
  return namesOf(sharedFirst(await new MemorySink().plan(made.map(({ image }) => image))));
}

const namesOf = (planned: readonly { readonly answer: Answer }[]) =>
  planned.map(({ answer }) => answer.image.names[0]?.source ?? '');

it('leaves images that share nothing as they are', async () => {
  expect(await order({ 'a:1': ['a'], 'b:1': ['b'], 'c:1': ['c'] })).toEqual(['a:1', 'b:1', 'c:1']);
});

it('begins with the one that brings what others share', async () => {
  const images = { 'alone:1': ['x'], 'base:1': ['base'], 'web:1': ['base', 'web'], 'db:1': ['base', 'db'] };
  expect(await order(images)).toEqual(['base:1', 'alone:1', 'web:1', 'db:1']);
});

it('puts each behind the one that it waits for, however long the line', async () => {
  const images = {
    'alone:1': ['x'],
    'one:1': ['1'],
    'two:1': ['1', '2'],
    'three:1': ['1', '2', '3'],
    'other:1': ['y'],
    'more:1': ['y', 'z'],
  };
  expect(await order(images)).toEqual(['one:1', 'two:1', 'other:1', 'alone:1', 'three:1', 'more:1']);
});

it('knows a layer by its diffID under whatever digest it is kept', async () => {
  const plain = (await testImage({ name: 'plain:1', layers: [{ base: 'base' }] })).image;
  const packed = (await testImage({ name: 'packed:1', layers: [{ base: 'base' }, { top: 'top' }] })).image;
  const alone = (await testImage({ name: 'alone:1', layers: [{ x: 'x' }] })).image;
  const layers = packed.layers?.map((layer) => ({
    ...layer,
    diffId: layer.digest,
    digest: digestOf(Buffer.from(layer.digest)),
  }));
  const top = layers?.at(-1)?.digest;
  const send = { action: 'send', refs: [] } as const;
  const answers: Answer[] = [
    { ...send, image: alone, missing: alone.diffIds },
    { ...send, image: plain, missing: plain.diffIds },
    { ...send, image: { ...packed, ...(layers && { layers }) }, missing: top ? [top] : [] },
  ];
  expect(namesOf(sharedFirst(answers.map((answer) => ({ answer }))))).toEqual([
    'plain:1',
    'alone:1',
    'packed:1',
  ]);
});
