/** What an engine as a source does not give, and says so before anything is offered. */
import { expect, it } from 'vitest';
import { EngineSource } from '../../../agent/docker/engine-source.ts';
import { fakeEngine } from './fake-engine.ts';

const ID = `sha256:${'12'.repeat(32)}` as const;

/** Of an image of the classic store of an engine, with these layers. */
async function withheld(layers: readonly string[]): Promise<string | undefined> {
  await using fake = await fakeEngine(
    () => {},
    undefined,
    undefined,
    (request, response) => {
      const isHistory = request.url?.includes('/history');
      const image = { Id: ID, Os: 'linux', Architecture: 'amd64', Size: 1, RootFS: { Layers: layers } };
      response.end(JSON.stringify(isHistory ? [] : image));
    },
  );
  const meant = [{ id: ID, names: [] }];
  await using source = new EngineSource(fake.engine, {
    meant,
    ignoreSpace: true,
    direct: true,
    leftOut: () => {},
  });
  return (await source.images())[0]?.image.withheld;
}

it('withholds an image without layers of a classic store, which no engine saves', async () => {
  expect(await withheld([])).toMatch(/^it has no layers/);
  expect(await withheld([`sha256:${'ab'.repeat(32)}`])).toBeUndefined();
});
