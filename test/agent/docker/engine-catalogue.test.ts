/** An engine's images in the order in which people see them. */
import { expect, it } from 'vitest';
import { EngineCatalogue } from '../../../agent/docker/engine-catalogue.ts';
import { fakeEngine } from './fake-engine.ts';

const idOf = (digit: number) => `sha256:${String(digit).repeat(64)}`;
const listed = (digit: number, Created: number, ...RepoTags: readonly string[]) => ({
  Id: idOf(digit),
  RepoTags,
  RepoDigests: null,
  Labels: null,
  Created,
  Size: 1,
});

it('lists the newest first, and those of one age by name, in whatever order the engine has them', async () => {
  const images = [
    listed(1, 200, 'web:1'),
    listed(2, 100),
    listed(3, 100, 'web:2'),
    listed(4, 100, 'db:16', 'web:3'),
    listed(5, 100),
    listed(6, 100, 'Z.example/db:1'),
  ];
  for (const order of [images, images.toReversed()]) {
    await using fake = await fakeEngine(
      () => {},
      (_request, response) => void response.end(JSON.stringify(order)),
    );
    const there = await new EngineCatalogue(fake.engine, () => {}).list();
    expect(there.map(({ id }) => id)).toEqual([1, 6, 4, 3, 2, 5].map(idOf));
  }
});
