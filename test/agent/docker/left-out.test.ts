/** Images that an engine lists and cannot describe, or not any more: they are left out, and the others are not. */
import { describe, expect, it } from 'vitest';
import { EngineSource } from '../../../agent/docker/engine-source.ts';
import type { Digest } from '../../../agent/model/image.ts';
import { deferred } from '../../../proto/deferred.ts';
import { fakeEngine, type Script } from './fake-engine.ts';

const digest = (n: number): Digest => `sha256:${String(n).repeat(64)}`;
const GOOD = digest(1);
const ODD = digest(2);

/** What a containerd store says of what has no platform. */
const UNSAID = { Id: ODD, RepoTags: [], RootFS: {}, Os: '', Architecture: '', Size: 9 };

/** What the engine answers of the odd image. */
const ODDITIES: readonly (readonly [string, number, object, RegExp])[] = [
  [
    'has gone',
    404,
    { message: 'no such image' },
    /^odd:1 is left out: the image sha256:2+ is no longer on this host$/,
  ],
  [
    'it cannot describe',
    500,
    { message: 'broken' },
    /^odd:1 is left out: .*refused to inspect sha256:2+: .*broken/,
  ],
  [
    'is an artifact',
    200,
    { ...UNSAID, Manifests: [{ ID: ODD, Kind: 'unknown', Available: true }] },
    /^odd:1 is left out: sha256:2+ is an artifact.*image that can run$/,
  ],
  [
    // As 28c tells of an image whose index, manifest, config or layers did not come along.
    'is incomplete',
    200,
    { ...UNSAID, Manifests: [{ ID: ODD, Kind: 'image', Available: false }] },
    /^odd:1 is left out: sha256:2+ is incomplete: the engine lacks a part of the image$/,
  ],
];

async function engineWith(status: number, answer: object) {
  const image: Script = (request, response) => {
    const odd = request.url?.includes(ODD) ?? false;
    if (request.url?.includes('/history')) return void response.end('[]');
    response.statusCode = odd ? status : 200;
    const good = {
      Id: GOOD,
      RepoTags: [],
      RootFS: { Layers: [digest(3)] },
      Os: 'linux',
      Architecture: 'amd64',
      Size: 9,
    };
    response.end(JSON.stringify(odd ? answer : good));
  };
  return fakeEngine(() => {}, undefined, undefined, image);
}

const meant = (id: Digest, name: string) => ({ id, names: [{ source: name, target: name }] });

describe.each(ODDITIES)('an image that %s', (_what, status, answer, why) => {
  it('is left out, with a warning, and the others are not', async () => {
    await using fake = await engineWith(status, answer);
    const told: string[] = [];
    const leftOut = (message: string) => void told.push(message);
    const both = [meant(ODD, 'odd:1'), meant(GOOD, 'good:1')];
    const source = new EngineSource(fake.engine, { meant: both, ignoreSpace: true, direct: true, leftOut });
    expect((await source.images()).map(({ image }) => image.id)).toEqual([GOOD]);
    expect(told).toEqual([expect.stringMatching(why)]);
  });

  it('is an error where it is all', async () => {
    await using fake = await engineWith(status, answer);
    const leftOut = () => expect.unreachable();
    const source = new EngineSource(fake.engine, {
      meant: [meant(ODD, 'odd:1')],
      ignoreSpace: true,
      direct: true,
      leftOut,
    });
    await expect(source.images()).rejects.toThrow(new RegExp(why.source.replace('^odd:1 is left out: ', '')));
  });

  it('does not end a list, which names it', async () => {
    await using fake = await engineWith(status, answer);
    const told: string[] = [];
    const leftOut = (message: string) => void told.push(message);
    const source = new EngineSource(fake.engine, { meant: [], ignoreSpace: true, direct: true, leftOut });
    expect(await source.describeOrLeaveOut({ id: ODD, names: ['odd:1'] })).toBeUndefined();
    expect((await source.describeOrLeaveOut({ id: GOOD, names: [] }))?.id).toBe(GOOD);
    // What has gone since it was listed is no news.
    expect(told).toEqual(status === 404 ? [] : [expect.stringMatching(why)]);
  });
});

it('an image that has no layer and says no platform is one all the same', async () => {
  const answer = { ...UNSAID, Manifests: [{ ID: ODD, Kind: 'image', Available: true }] };
  await using fake = await engineWith(200, answer);
  const source = new EngineSource(fake.engine, {
    meant: [],
    ignoreSpace: true,
    direct: true,
    leftOut: () => {},
  });
  expect((await source.describeOrLeaveOut({ id: ODD, names: [] }))?.id).toBe(ODD);
});

it.each([
  ['the source', (source: EngineSource) => source[Symbol.asyncDispose]()],
  ['the round', async (source: EngineSource) => source.expect()],
])('a save that was begun ahead ends with %s', async (_what, end) => {
  const saving = deferred<string>();
  const over = deferred<void>();
  await using fake = await fakeEngine(
    () => {},
    undefined,
    undefined,
    (request, response) => {
      if (request.url?.includes('/history')) return void response.end('[]');
      const good = { Id: GOOD, Os: 'linux', Architecture: 'amd64', Size: 1, RootFS: { Layers: [digest(3)] } };
      if (!request.url?.endsWith('/get')) return void response.end(JSON.stringify(good));
      response.on('close', () => over.resolve());
      response.write('a tar that goes on');
      saving.resolve(request.url);
    },
  );
  const meant = [{ id: GOOD, names: [] }];
  const source = new EngineSource(fake.engine, { meant, ignoreSpace: true, direct: true, leftOut: () => {} });
  const [from] = await source.images();
  from?.prepare(undefined, new AbortController().signal);
  expect(await saving.promise).toBe(`/images/${GOOD}/get`);
  await end(source);
  await over.promise;
});
