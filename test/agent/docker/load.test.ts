/** What an engine answers to a load, and what becomes of it: docs/engines.md section 6. */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../agent/docker/engine.ts';
import { Load } from '../../../agent/docker/load.ts';
import { deferred } from '../../../proto/deferred.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { Stopwatch } from '../../../proto/stopwatch.ts';
import { failureOf } from '../../conformance/conformance.ts';
import { fakeEngine, type Script } from './fake-engine.ts';

const MIB = 2 ** 20;
const LOADED = '{"stream":"Loaded image: web:1.0\\n"}\r\n';
const small = Buffer.from('a layer');

async function* zeros(bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; at += MIB) yield Buffer.alloc(Math.min(MIB, bytes - at));
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Reads the whole tar, then answers. */
const answering =
  (answer: string, status = 200): Script =>
  async (request, response) => {
    await buffer(request);
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(answer);
  };

/** Loads one small file. */
async function loadOne(script: Script): Promise<readonly string[]> {
  await using fake = await fakeEngine(script);
  const load = new Load(fake.engine, new Stopwatch());
  try {
    await load.file('blobs/a', small.length, once(small));
    return await load.finish();
  } finally {
    await load.abort();
  }
}

describe('a load that succeeds', () => {
  it('gives each chunk back once it has gone out, and none twice', async () => {
    const bytes = Buffer.alloc(3 * MIB, 'x');
    const parts: Buffer[] = [];
    await using fake = await fakeEngine(async (request, response) => {
      for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(LOADED);
    });
    const load = new Load(fake.engine, new Stopwatch());
    const chunks = Array.from({ length: 24 }, (_, at) =>
      Buffer.from(bytes.subarray(at * (MIB / 8), (at + 1) * (MIB / 8))),
    );
    const released: Buffer[] = [];
    const body = async function* () {
      yield* chunks;
    };
    await load.file('blobs/a', bytes.length, body(), (chunk) => void released.push(chunk.fill('-')));
    await load.finish();
    expect(new Set(released)).toEqual(new Set(chunks));
    expect(released).toHaveLength(chunks.length);
    expect(Buffer.concat(parts).includes(bytes)).toBe(true);
    await load.abort();
  });

  it.each([
    ['by name', LOADED, ['web:1.0']],
    ['by id', `{"stream":"Loaded image ID: sha256:ab\\n"}\r\n`, ['sha256:ab']],
    ['twice', LOADED + LOADED, ['web:1.0', 'web:1.0']],
    ['without a line end', LOADED.trim(), ['web:1.0']],
    [
      'after its progress',
      `{"status":"Loading layer","progressDetail":{"current":1,"total":2},"id":"a"}\r\n${LOADED}`,
      ['web:1.0'],
    ],
    [
      'taking a name over',
      `{"stream":"The image web:1.0 already exists, renaming the old one\\n"}\r\n${LOADED}`,
      ['web:1.0'],
    ],
  ])('%s', async (_how, answer, loaded) => {
    expect(await loadOne(answering(answer))).toEqual(loaded);
  });

  it('in an answer cut at every byte', async () => {
    const cut: Script = async (request, response) => {
      await buffer(request);
      for (const byte of Buffer.from(LOADED)) response.write(Buffer.from([byte]));
      response.end();
    };
    expect(await loadOne(cut)).toEqual(['web:1.0']);
  });

  it('with a tar that holds just the files that were given', async () => {
    const names: Record<string, string> = {};
    await loadOne(async (request, response) => {
      const entries = extract();
      request.pipe(entries);
      for await (const entry of entries) names[entry.header.name] = (await buffer(entry)).toString();
      response.end(LOADED);
    });
    expect(names).toEqual({ 'blobs/a': 'a layer' });
  });
});

describe('a load that fails', () => {
  it.each([
    [
      'an error with status 200',
      answering('{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}\r\n'),
      /did not load the image: unexpected EOF$/,
    ],
    [
      'an error behind a success',
      answering(`${LOADED}{"error":"invalid diffID for layer 0"}`),
      /invalid diffID for layer 0/,
    ],
    [
      'an image that was not unpacked',
      answering(`${LOADED}{"stream":"Error unpacking image web:1.0: no such blob\\n"}`),
      /Error unpacking image web:1\.0: no such blob/,
    ],
    ['an empty answer', answering(''), /did not say that it was loaded/],
    ['null', answering(`${LOADED}null\r\n`), /did not load the image: null$/],
    [
      'an error that is no text',
      answering(`${LOADED}{"error":{}}`),
      /did not load the image: \{"error":\{\}\}$/,
    ],
    [
      'a progress that is no number',
      answering(`${LOADED}{"id":"a","progressDetail":{"current":"1"}}`),
      /did not load the image: \{"id"/,
    ],
    [
      'progress alone',
      answering('{"status":"Loading layer","progressDetail":{"current":1}}\r\n'),
      /did not say that it was loaded/,
    ],
    [
      'an answer cut short',
      answering('{"stream":"Loaded ima'),
      /did not load the image: \{"stream":"Loaded ima/,
    ],
    ['an answer that is no JSON', answering('<html>'), /did not load the image: <html>/],
    [
      'status 500, as podman has it',
      answering('{"cause":"x","message":"payload does not match","response":500}', 500),
      /payload does not match/,
    ],
    ['status 500 without a word', answering('', 500), /HTTP 500/],
    ['status 404, no engine at all', answering('not found', 404), /not found/],
  ] as const)('%s', async (_how, script, says) => {
    const failure = await failureOf(loadOne(script));
    expect([failure.code, failure.message]).toEqual(['engine-refused', expect.stringMatching(says)]);
  });

  it('a full disk, with what to do about it', async () => {
    const failure = await failureOf(loadOne(answering('{"error":"write: no space left on device"}')));
    expect(failure.hint).toMatch(/free some room/);
  });

  /** Sends until it fails; the engine need not read any of it. */
  async function sendMuch(script: Script): Promise<ImgmvError> {
    await using fake = await fakeEngine(script);
    const load = new Load(fake.engine, new Stopwatch());
    try {
      return await failureOf(load.file('blobs/big', 256 * MIB, zeros(256 * MIB)));
    } finally {
      await load.abort();
    }
  }

  it('an error while the upload still runs, and nobody reads it on', async () => {
    const failure = await sendMuch((_request, response) => {
      response.write('{"error":"no space left on device"}\r\n');
    });
    expect(failure).toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('no space left'),
    });
  });

  it('a success while the upload still runs', async () => {
    const failure = await sendMuch((_request, response) => void response.end(LOADED));
    expect(failure).toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('before all was sent'),
    });
  });

  it('an engine that dies in the upload', async () => {
    const failure = await sendMuch(async (request) => {
      await firstBytes(request);
      request.socket.destroy();
    });
    expect(failure).toMatchObject({ code: 'engine-unavailable', hint: expect.stringContaining('dockerd') });
  });

  it('an engine that dies before it answers', async () => {
    const failure = await failureOf(
      loadOne(async (request) => {
        await buffer(request);
        request.socket.destroy();
      }),
    );
    expect(failure.code).toBe('engine-unavailable');
  });

  it('an engine that dies within its answer', async () => {
    const failure = await failureOf(
      loadOne(async (request, response) => {
        await buffer(request);
        response.write('{"status":"Loading layer"}\r\n', () => request.socket.destroy());
      }),
    );
    expect(failure.code).toBe('engine-unavailable');
  });

  it('an engine that reads nothing, once it is given up', async () => {
    await using fake = await fakeEngine(() => {});
    const load = new Load(fake.engine, new Stopwatch());
    const stuck = failureOf(load.file('blobs/big', 256 * MIB, zeros(256 * MIB)));
    setTimeout(() => void load.abort(), 100);
    expect((await stuck).message).toBe('the load was given up');
  });

  it('one that is given up before its tar has ended: the connection breaks', async () => {
    const reached = deferred<Socket>();
    await using fake = await fakeEngine((request) => reached.resolve(request.resume().socket));
    const load = new Load(fake.engine, new Stopwatch());
    await load.file('blobs/a', small.length, once(small));
    const socket = await reached.promise;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await load.abort();
    await closed;
    expect((await failureOf(load.finish())).message).toBe('the load was given up');
  });

  it.each([
    ['the connection is lost: an engine that is slow to drop what came is waited for', 'peer-lost', true],
    ['somebody waits for the stop: it is not', 'sigint', false],
  ] as const)('one of a containerd store that is given up where %s', async (_what, code, waits) => {
    const slow = answeringAfter(waits);
    await using fake = await fakeEngine(slow.script);
    const { endpoint, transport } = fake.engine;
    const lost = fake.engine.lost.bind(fake.engine);
    const engine = { endpoint, info: { store: 'containerd' }, transport, lost } as unknown as Engine;
    const load = new Load(engine, new Stopwatch());
    await load.file('blobs/a', small.length, once(small));
    await load.abort(new ImgmvError(code, 'over'));
    expect(slow.answered).toBe(waits);
  });

  it.each([
    ['the connection is lost: an engine that has got all is waited for', 'peer-lost', true],
    ['somebody waits for the stop: it is not', 'sigint', false],
  ] as const)('one of a classic store that is given up where %s', async (_what, code, waits) => {
    const slow = answeringAfter(waits);
    await using fake = await fakeEngine(slow.script);
    const load = new Load(fake.engine, new Stopwatch());
    await load.file('blobs/a', small.length, once(small));
    const finished = failureOf(load.finish());
    await slow.read;
    await load.abort(new ImgmvError(code, 'over'));
    expect(slow.answered).toBe(waits);
    await finished;
  });

  it('a body that fails: its own error', async () => {
    await using fake = await fakeEngine(() => {});
    const load = new Load(fake.engine, new Stopwatch());
    const error = new ImgmvError('integrity', 'not what was sent');
    const body = (async function* () {
      yield small;
      throw error;
    })();
    expect(await failureOf(load.file('blobs/a', MIB, body))).toBe(error);
    await load.abort();
  });
});

/** An engine that takes its time: longer than a stop waits, and shorter than anything else does. */
function answeringAfter(waits: boolean) {
  const whole = deferred<void>();
  const slow = {
    answered: false,
    /** Resolves when it has got all. */
    read: whole.promise,
    script: (async (request, response) => {
      await buffer(request).catch(() => {});
      whole.resolve();
      await sleep(waits ? 3_000 : 15_000, undefined, { ref: false });
      slow.answered = true;
      response.end('{"error":"unexpected EOF"}');
    }) satisfies Script as Script,
  };
  return slow;
}

function firstBytes(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => request.once('data', () => resolve()));
}
