/** An engine says 200 to most failures of a load: an image has its names only once the engine shows that it is the one offered. */
import { expect, it } from 'vitest';
import { EngineSink } from '../../../agent/docker/engine-sink.ts';
import type { Image } from '../../../agent/model/image.ts';
import { type MemoryBlob, testImage } from '../../memory.ts';
import { fakeEngine } from './fake-engine.ts';

const OTHER = `sha256:${'0'.repeat(64)}`;

/** What an engine shows of the image that it has loaded: fields in place of the true ones, or nothing. */
type Shown = object | undefined;

/** Moves an image into an engine that shows `shown` of it; `calls` are what it was asked for. */
async function moved(shown: Shown): Promise<{ calls: readonly string[]; end: unknown }> {
  const { image, blobs } = await testImage();
  const calls: string[] = [];
  await using fake = await fakeEngine(
    async (request, response) => {
      for await (const _ of request);
      calls.push('load');
      response.end('{"stream":"Loaded image: imgmv-incoming:x\\n"}\n');
    },
    (_request, response) => void response.end('[]'),
    undefined,
    (request, response) => {
      const url = decodeURIComponent(request.url ?? '');
      if (url.includes('/tag?')) {
        calls.push(`tag ${/repo=([^&]*)/.exec(url)?.[1]}`);
        return void response.writeHead(201).end();
      }
      if (!url.includes('/imgmv-incoming:') || request.method !== 'GET' || shown === undefined)
        return void response.writeHead(404).end('{"message":"no such image"}');
      calls.push('inspect');
      response.end(JSON.stringify({ ...truth(image), ...shown }));
    },
  );
  await using sink = await EngineSink.open(fake.engine, { noReplace: false, ignoreSpace: true });
  const [planned] = await sink.plan([image]);
  if (planned?.answer.action !== 'send') throw new Error('it is not to be sent');
  const writer = await planned.open(new AbortController().signal);
  for (const { kind, digest, bytes } of blobs)
    await writer.write({ kind, digest, size: bytes.length, body: once({ kind, digest, bytes }) });
  const end = await writer.commit().catch((error: unknown) => error);
  await writer.abort(new Error('over') as never);
  return { calls, end };
}

function truth({ id, diffIds }: Image): object {
  return { Id: id, RepoTags: [], RootFS: { Layers: diffIds }, Os: 'linux', Architecture: 'amd64', Size: 1 };
}

async function* once({ bytes }: MemoryBlob): AsyncGenerator<Buffer> {
  yield bytes;
}

it('names an image last, when the engine shows what was offered', async () => {
  const { calls, end } = await moved({});
  expect(end).toMatchObject({ refs: [{ target: 'web:1.0' }] });
  const named = calls.indexOf('tag web');
  expect(calls[0]).toBe('load');
  expect(named).toBeGreaterThan(calls.indexOf('inspect'));
  expect(calls.slice(0, named)).toContain('inspect');
});

it.each<readonly [string, Shown, string]>([
  ['nothing', undefined, 'engine-refused'],
  ['another image', { Id: OTHER }, 'integrity'],
  ['other layers', { RootFS: { Layers: [OTHER] } }, 'integrity'],
  ['no layers', { RootFS: {} }, 'integrity'],
  ['another operating system', { Os: 'windows' }, 'integrity'],
  [
    'a part that is missing',
    { Manifests: [{ ID: 'of the image', Available: false, Kind: 'image' }] },
    'integrity',
  ],
])('names nothing where it shows %s', async (_what, shown, code) => {
  const { image } = await testImage();
  // A containerd store lists the manifests of an image; for a classic image that is its config.
  const text = JSON.stringify(shown)?.replace('of the image', image.id);
  const { calls, end } = await moved(text === undefined ? undefined : (JSON.parse(text) as object));
  expect(end).toMatchObject({ code });
  expect(calls[0]).toBe('load');
  expect(calls.filter((call) => call.startsWith('tag'))).toEqual([]);
});

it('refuses a layer that the engine could not unpack, however little of it comes first', async () => {
  const { image, blobs } = await testImage();
  await using fake = await fakeEngine(
    async (request, response) => {
      for await (const _ of request);
      response.end();
    },
    (_request, response) => void response.end('[]'),
  );
  Object.assign(fake.engine.info, { version: '20.10.24' });
  await using sink = await EngineSink.open(fake.engine, { noReplace: false, ignoreSpace: true });
  const [planned] = await sink.plan([image]);
  if (planned?.answer.action !== 'send') throw new Error('it is not to be sent');
  const writer = await planned.open(new AbortController().signal);
  const layer = blobs.find(({ kind }) => kind === 'layer') as MemoryBlob;
  const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0]);
  const body = async function* () {
    yield zstd.subarray(0, 1);
    yield zstd.subarray(1);
  };
  const writing = writer.write({ kind: 'layer', digest: layer.digest, size: zstd.length, body: body() });
  await expect(writing).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringMatching(/cannot load layers/),
  });
  await writer.abort(new Error('over') as never);
});
