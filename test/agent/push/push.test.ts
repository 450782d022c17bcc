/** One push by an engine that says what a test wants. test/e2e/push.test.ts has true engines and registries. */

import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { type PushLimits, type PushRun, pushBy } from '../../../agent/push/push.ts';
import { retryPauseMs } from '../../../agent/streams/retry-pause.ts';
import type { ImgmvError } from '../../../proto/errors.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';
import { fakeEngine } from '../docker/fake-engine.ts';
import { writeDockerConfig, writeHelper } from './docker-directory.ts';

vi.mock(import('../../../agent/streams/retry-pause.ts'), () => ({ retryPauseMs: vi.fn(() => 1) }));

/** What a test does while a push waits for another try. */
let inPause: () => void;
beforeEach(() => {
  inPause = () => {};
  vi.mocked(retryPauseMs).mockReset();
});

const DIGEST = `sha256:${'12'.repeat(32)}`;
const NAME = 'r.example:5000/team/web:1.0';
const PASSWORD = 'right~horse?battery';

interface Asked {
  readonly url: string | undefined;
  /** As Go reads it: base64 in its URL alphabet, with padding. */
  readonly auth: unknown;
}

async function scene(answer: (response: ServerResponse, asked: number) => void, limits?: PushLimits) {
  const asked: Asked[] = [];
  const directory: ScratchDirectory = await scratchDirectory();
  const fake = await fakeEngine(
    () => {},
    undefined,
    ({ url, headers }: IncomingMessage, response) => {
      const header = String(headers['x-registry-auth']);
      const strict = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/.test(header);
      asked.push({ url, auth: strict ? JSON.parse(Buffer.from(header, 'base64url').toString()) : header });
      answer(response, asked.length);
    },
  );
  const env = { DOCKER_CONFIG: directory.path, PATH: `${directory.path}:${process.env.PATH}` };
  const retries: ImgmvError[] = [];
  const run = (signal = new AbortController().signal, platform?: PushRun['platform']): PushRun => ({
    signal,
    platform: platform ?? (async () => undefined),
    onProgress: () => {},
    onRetry: (error) => {
      retries.push(error);
      inPause();
    },
  });
  return {
    asked,
    retries,
    directory: directory.path,
    push: (signal?: AbortSignal, platform?: PushRun['platform']) =>
      pushBy(fake.engine, env, limits)(NAME, run(signal, platform)),
    /** Of several names, one after another. */
    pusher: () => {
      const push = pushBy(fake.engine, env, limits);
      return (name: string) => push(name, run());
    },
    async [Symbol.asyncDispose]() {
      await fake[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

const lines = (...all: readonly object[]) => all.map((line) => `${JSON.stringify(line)}\r\n`).join('');
const done = lines({ progressDetail: {}, aux: { Tag: '1.0', Digest: DIGEST, Size: 3 } });
const error = (message: string) => lines({ errorDetail: { message }, error: message });

it('asks the engine for the name, with an empty AuthConfig where there are no credentials', async () => {
  await using at = await scene((response) => response.end(done));
  expect(await at.push()).toEqual({ digest: DIGEST });
  expect(at.asked).toEqual([{ url: '/images/r.example%3A5000/team/web/push?tag=1.0', auth: {} }].map(asUrl));
});

/** The colon of a port may stand in a path as it is. */
function asUrl(asked: Asked): Asked {
  return { ...asked, url: asked.url?.replace('%3A', ':') };
}

it('asks for one platform where only that may be pushed, and warns', async () => {
  await using at = await scene((response) => response.end(done));
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7' };
  expect(await at.push(undefined, async () => platform)).toEqual({
    digest: DIGEST,
    warning: expect.stringContaining('not the index of all'),
  });
  const [asked] = at.asked;
  const { searchParams } = new URL(asked?.url ?? '', 'http://engine');
  expect(Object.fromEntries(searchParams)).toEqual({ tag: '1.0', platform: JSON.stringify(platform) });
});

it('asks what may be pushed before each try', async () => {
  await using at = await scene((response) => response.end(error('connection refused')));
  const looks = vi.fn<PushRun['platform']>();
  looks.mockResolvedValueOnce(undefined).mockRejectedValueOnce(new Error('it holds what did not come'));
  await expect(at.push(undefined, looks)).rejects.toThrow('it holds what did not come');
  expect([at.asked.length, at.retries.length]).toEqual([1, 1]);
});

it('gives it the credentials in the form that engines decode', async () => {
  await using at = await scene((response) => response.end(done));
  await writeDockerConfig(at.directory, {
    auths: { 'r.example:5000': { auth: Buffer.from(`üser:${PASSWORD}`).toString('base64') } },
  });
  await at.push();
  const auth = { username: 'üser', password: PASSWORD, serveraddress: 'r.example:5000' };
  // And there alone.
  expect(at.asked).toEqual([{ url: '/images/r.example%3A5000/team/web/push?tag=1.0', auth }].map(asUrl));
});

it('tries again what may pass, by itself and after a lost engine', async () => {
  await using at = await scene((response, asked) => {
    if (asked === 1)
      return void response.end(
        error('Get "https://r.example:5000/v2/": dial tcp: connect: connection refused'),
      );
    if (asked === 2) return void response.socket?.destroy();
    response.end(done);
  });
  expect(await at.push()).toEqual({ digest: DIGEST });
  expect(at.retries.map(({ code }) => code)).toEqual(['push-failed', 'push-failed']);
  expect(at.retries[1]?.message).toMatch(/failed, 2 times: lost the docker engine/);
});

it('waits for a registry that is away once, not for each name in it', async () => {
  let away = true;
  await using at = await scene((response) => response.end(away ? error('connection refused') : done));
  const push = at.pusher();
  const failure = (name: string) => push(name).catch(({ message }: ImgmvError) => message);
  expect(await failure('r.example/a:1.0')).toMatch(/a:1\.0 failed, 4 times: connection refused/);
  expect(await failure('r.example/b:1.0')).toMatch(/b:1\.0 failed: connection refused/);
  expect([at.asked.length, at.retries.length]).toEqual([5, 3]);
  away = false;
  expect(await push('r.example/c:1.0')).toEqual({ digest: DIGEST });
  away = true;
  inPause = () => {
    away = false;
  };
  expect(await push('r.example/b:1.0')).toEqual({ digest: DIGEST });
  expect(at.retries).toHaveLength(4);
});

const pushing = (current: number) =>
  lines({ id: 'a', status: 'Pushing', progressDetail: { current, total: 9 } });

it('gives up an engine that says nothing, or nothing new, and tries again', async () => {
  await using at = await scene(
    (response, asked) => {
      if (asked === 1) return;
      if (asked === 3) return void response.end(done);
      response.write(pushing(3));
      // As one with a containerd store does, ten times a second.
      const again = setInterval(() => response.write(pushing(3)), 50);
      response.once('close', () => clearInterval(again));
    },
    { silenceMs: 400 },
  );
  expect(await at.push()).toEqual({ digest: DIGEST });
  expect(at.retries.map(({ message, hint }) => [message, hint])).toEqual([
    [
      `the push of ${NAME} failed: timed out: nothing new from the engine for 0.4 s`,
      'is r.example:5000 up, and can the engine reach it?',
    ],
    [
      `the push of ${NAME} failed, 2 times: timed out: nothing new from the engine for 0.4 s`,
      'is r.example:5000 up, and can the engine reach it?',
    ],
  ]);
});

it('waits for an engine that is slow and says that it moves', async () => {
  await using at = await scene(
    (response) => {
      let current = 0;
      const again = setInterval(() => {
        response.write(pushing(++current));
        if (current < 8) return;
        clearInterval(again);
        response.end(done);
      }, 350);
    },
    { silenceMs: 2_500 },
  );
  expect(await at.push()).toEqual({ digest: DIGEST });
  expect(at.asked).toHaveLength(1);
});

it('waits once for a helper that hangs, not for each name in the registry', async () => {
  await using at = await scene((response) => response.end(done), { helperMs: 2_000 });
  await writeHelper(
    at.directory,
    'hangs',
    `read host; echo "$host" >> '${at.directory}/asked'; exec sleep 30`,
  );
  await writeDockerConfig(at.directory, { credsStore: 'hangs' });
  const push = at.pusher();
  const failure = (name: string) => push(name).catch(({ message }: ImgmvError) => message);
  const late = expect.stringMatching(/docker-credential-hangs .* did not answer within 2 s$/);
  expect(await failure('r.example/a:1')).toEqual(late);
  expect(await failure('r.example/b:1')).toEqual(late);
  expect(await failure('other.example/a:1')).toEqual(late);
  const hosts = (await readFile(join(at.directory, 'asked'), 'utf8')).trim().split('\n');
  expect(hosts).toEqual(['r.example', 'other.example']);
});

it('knows what an engine says from what the image is called', async () => {
  await using at = await scene((response, asked) => {
    if (asked === 1) return void response.end(error('unauthorized: authentication required'));
    if (asked === 2) return void response.end(error('Get "https://r.example/v2/d/": connection refused'));
    response.end(done);
  });
  const push = at.pusher();
  await expect(push('r.example/auth:1')).rejects.toMatchObject({
    hint: expect.stringMatching(/docker login/),
  });
  expect(await push('r.example/d:1.0')).toEqual({ digest: DIGEST });
});

it.each([
  [
    'unauthorized: authentication required',
    /no credentials for r\.example:5000: `docker login r\.example:5000`/,
  ],
  ['no basic auth credentials', /docker login/],
  ['unexpected status from POST request to https://r.example:5000/v2/: 401 Unauthorized', /docker login/],
  ['denied: requested access to the resource is denied', /docker login/],
  ['failed to authorize: failed to fetch oauth token: i/o timeout', /docker login/],
  [
    'Get "https://r.example:5000/v2/": x509: certificate signed by unknown authority',
    /certs\.d\/r\.example:5000\/ca\.crt/,
  ],
  [
    'Get "https://r.example:5000/v2/": http: server gave HTTP response to HTTPS client',
    /insecure-registries/,
  ],
  ['name invalid: invalid repository name', undefined],
  ['An image does not exist locally with the tag: r.example:5000/team/web', undefined],
])('tries once: %s', async (message, hint) => {
  await using at = await scene((response) => response.end(error(message)));
  const failure = await at.push().catch((thrown: ImgmvError) => thrown);
  expect(failure).toMatchObject({
    code: 'push-failed',
    message: `the push of ${NAME} failed: ${message}`,
    hint: hint && expect.stringMatching(hint),
  });
  expect(at.asked).toHaveLength(1);
});

it('says where credentials came from that were not good, and repeats none of them', async () => {
  const basic = Buffer.from(`mover:${PASSWORD}`).toString('base64');
  await using at = await scene((response) =>
    response.end(error(`unauthorized: not with ${PASSWORD}, nor with ${basic}`)),
  );
  await writeDockerConfig(at.directory, { auths: { 'r.example:5000': { auth: basic } } });
  const failure = (await at.push().catch((thrown: unknown) => thrown)) as ImgmvError;
  expect(failure.message).toBe(
    `the push of ${NAME} failed: unauthorized: not with [secret], nor with [secret]`,
  );
  expect(failure.hint).toContain(`from ${at.directory}/config.json; \`docker login r.example:5000\``);
});

it('is not pushed where the engine did not say so', async () => {
  await using silent = await scene((response) => response.end(lines({ status: 'Pushed', id: 'a' })));
  await expect(silent.push()).rejects.toMatchObject({
    code: 'push-failed',
    message: expect.stringContaining('without saying that it was pushed'),
  });
  await using refusing = await scene((response) => {
    response.statusCode = 500;
    response.end(JSON.stringify({ message: 'no such thing' }));
  });
  await expect(refusing.push()).rejects.toMatchObject({
    code: 'push-failed',
    message: `the push of ${NAME} failed: no such thing (HTTP 500)`,
  });
});

it.each(['before the answer', 'in the answer', 'in a pause'])('stops %s', async (when) => {
  const stop = new AbortController();
  // Nothing but the stop would end the pause, or the answer.
  vi.mocked(retryPauseMs).mockReturnValueOnce(3_600_000);
  await using at = await scene((response) => {
    if (when === 'in a pause') response.end(error('connection refused'));
    if (when === 'in the answer') response.write(lines({ status: 'The push refers to repository' }));
    setTimeout(() => stop.abort(new Error('stopped')), 100);
  });
  await expect(at.push(stop.signal)).rejects.toThrow('stopped');
});

it('tries a login that was refused no more, and one without rights for each name', async () => {
  const said: Record<string, string> = {
    a: 'denied: requested access to the resource is denied',
    b: 'unauthorized: authentication required',
    d: 'unauthorized: authentication required',
  };
  await using at = await scene((response, asked) => {
    const name = ['a', 'b', 'd'][asked - 1] ?? '';
    response.end(error(said[name] ?? 'asked too often'));
  });
  await writeDockerConfig(at.directory, {
    auths: { 'r.example': { auth: Buffer.from(`user:${PASSWORD}`).toString('base64') } },
  });
  const push = at.pusher();
  const failures: string[] = [];
  for (const name of ['r.example/a:1', 'r.example/b:1', 'r.example/c:1', 'other.example/d:1'])
    await push(name).catch((failure: ImgmvError) => failures.push(failure.message));
  expect(failures).toEqual([
    expect.stringMatching(/r\.example\/a:1 failed: denied/),
    expect.stringMatching(/r\.example\/b:1 failed: unauthorized/),
    'the push of r.example/c:1 was not tried: r.example has refused these credentials',
    expect.stringMatching(/other\.example\/d:1 failed: unauthorized/),
  ]);
  expect(at.asked.length).toBe(3);
});
