/** What only an engine in a moment of weakness shows. */
import { expect, it } from 'vitest';
import { fakeEngine } from './fake-engine.ts';

/** As 28 with a containerd store says it, of an image that is being removed. */
const STUMBLED = { message: 'NotFound: content digest sha256:002a: not found' };

async function listing(stumbles: number) {
  let asked = 0;
  const fake = await fakeEngine(
    () => {},
    (_request, response) => {
      if (asked++ >= stumbles) return void response.end('[]');
      response.statusCode = 404;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(STUMBLED));
    },
  );
  return { ...fake, asked: () => asked };
}

it('lists again where the engine stumbled over an image that was removed in the meantime', async () => {
  await using scene = await listing(2);
  expect(await scene.engine.list()).toEqual([]);
  expect(scene.asked()).toBe(3);
});

it('says what the engine says where it stumbles every time', async () => {
  await using scene = await listing(Number.POSITIVE_INFINITY);
  await expect(scene.engine.list()).rejects.toMatchObject({
    code: 'engine-refused',
    message: expect.stringMatching(/^the docker engine refused to list images: .*content digest sha256:002a/),
  });
});

it('names to podman in full what it is to push: podman would take a short name for another image, and its registry', async () => {
  const asked: (string | undefined)[] = [];
  await using scene = await fakeEngine(
    () => {},
    undefined,
    ({ url }, response) => {
      asked.push(url);
      response.end();
    },
    undefined,
    { Version: '4.3.1', Components: [{ Name: 'Podman Engine' }] },
  );
  const { signal } = new AbortController();
  for (const repository of ['team/web', 'r.example:5000/team/web'])
    (await scene.engine.push(repository, '1.0', { auth: undefined, platform: undefined, signal })).resume();
  expect(asked).toEqual([
    '/images/docker.io/team/web/push?tag=1.0',
    '/images/r.example:5000/team/web/push?tag=1.0',
  ]);
});
