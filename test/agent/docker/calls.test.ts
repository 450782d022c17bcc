/** Calls of an engine that does not answer: what is given up is over at the engine as well. */
import { getEventListeners, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Calls } from '../../../agent/docker/calls.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const TAG_LATE = 'no answer within 1 s (tag x), and the engine may still do it';

let scratch: ScratchDirectory;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

/** An engine that is silent, but for requests of `DELETE`. */
async function mute(stop?: AbortSignal) {
  const socketPath = join(scratch.path, `${++tests}.sock`);
  const server = createServer((request, response) => {
    if (request.method === 'DELETE') response.end('{"done":true}');
  });
  server.listen(socketPath);
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  /** Resolves when the client has left the next request. */
  const left = once(server, 'request').then(async ([request]: IncomingMessage[]) => {
    await once(request?.socket ?? server, 'close');
    return `${request?.method} ${request?.url}`;
  });
  return {
    calls: new Calls(new Docker({ socketPath }).modem, stop),
    left,
    asked: () => once(server, 'request'),
  };
}

it('a deadline ends the request, and says what may come of it all the same', async () => {
  const { calls, left, asked } = await mute();
  const asking = asked();
  const tagging = calls.answer({ what: 'tag x', method: 'POST', path: '/images/x/tag?', timeoutMs: 1_000 });
  await Promise.all([asking, expect(tagging).rejects.toThrow(TAG_LATE)]);
  expect(await left).toBe('POST /images/x/tag');
});

it('nothing comes of a question that is given up, and nothing else is said', async () => {
  const { calls, left } = await mute();
  const asking = calls.answer({ what: 'list', method: 'GET', path: '/images/json', timeoutMs: 1_000 });
  await expect(asking).rejects.toThrow(/^no answer within 1 s \(list\)$/);
  expect(await left).toBe('GET /images/json');
});

it('a stop ends what only asks', async () => {
  const stop = new AbortController();
  const { calls, left, asked } = await mute(stop.signal);
  const asking = asked();
  const answer = calls.answer({ what: 'list', method: 'GET', path: '/images/json?', options: { all: true } });
  await asking;
  const reason = new ImgmvError('sigint', 'stopped by SIGINT');
  stop.abort(reason);
  await expect(answer).rejects.toBe(reason);
  expect(await left).toBe('GET /images/json?all=true');
});

it('a stop gives what changes something a moment, and then ends it', async () => {
  const stop = new AbortController();
  const { calls, left, asked } = await mute(stop.signal);
  const asking = asked();
  const answer = calls.answer({ what: 'tag', method: 'POST', path: '/images/x/tag?' });
  await asking;
  const reason = new ImgmvError('sigterm', 'stopped by SIGTERM');
  stop.abort(reason);
  await expect(answer).rejects.toBe(reason);
  expect(await left).toBe('POST /images/x/tag');
});

it('what is undone after a stop is', async () => {
  const { calls } = await mute(AbortSignal.abort(new ImgmvError('sigint', 'stopped by SIGINT')));
  const path = '/images/x?';
  const answer = calls.answer({ what: 'remove x', method: 'DELETE', path, options: { noprune: 1 } });
  expect(await answer).toEqual({ done: true });
});

it('however many calls are under way, a stop has one listener, and none once it is closed', async () => {
  const stop = new AbortController();
  const { calls } = await mute(stop.signal);
  const answers = Array.from({ length: 20 }, (_, at) =>
    calls
      .answer({ what: `${at}`, method: 'GET', path: `/images/${at}/json` })
      .catch((error: unknown) => error),
  );
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
  const reason = new ImgmvError('sigint', 'stopped by SIGINT');
  stop.abort(reason);
  expect(new Set(await Promise.all(answers))).toEqual(new Set([reason]));
  const other = new AbortController();
  new Calls(new Docker({ socketPath: '/nowhere' }).modem, other.signal).close();
  expect(getEventListeners(other.signal, 'abort')).toEqual([]);
});
