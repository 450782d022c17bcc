/** What an engine may answer to a short call, and what may come of its connection meanwhile. */
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ask, type Question, Refusal } from '../../../agent/engine/ask.ts';
import { Engine } from '../../../agent/engine/engine.ts';
import { transportTo } from '../../../agent/engine/transport.ts';
import { scratchDirectory } from '../../rig/scratch.ts';

const TIMEOUT_MS = 20_000;
const SHORT_MS = 200;

/** An engine that does with every request what a test wants. */
async function answering(listener: RequestListener) {
  const directory = await scratchDirectory();
  const server = createServer(listener);
  const address = `unix://${join(directory.path, 'docker.sock')}`;
  await new Promise<void>((resolve) => server.listen(address.slice('unix://'.length), resolve));
  const transport = transportTo({ address, foundBy: 'a test' });
  return {
    address,
    ask: (question: Question, timeoutMs = TIMEOUT_MS) => ask(transport, question, timeoutMs),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await directory[Symbol.asyncDispose]();
    },
  };
}

it('sends the query escaped, and gives what JSON says', async () => {
  await using engine = await answering(({ method, url }, response) =>
    response.end(JSON.stringify({ method, url })),
  );
  const question: Question = { method: 'POST', path: '/images/x/tag', query: { repo: 'a&b', tag: 'c' } };
  expect(await engine.ask(question)).toEqual({ method: 'POST', url: '/images/x/tag?repo=a%26b&tag=c' });
  expect(await engine.ask({ path: '/info' })).toEqual({ method: 'GET', url: '/info' });
});

it('takes an answer without a body', async () => {
  await using engine = await answering((_, response) => response.writeHead(201).end());
  expect(await engine.ask({ path: '/' })).toBeUndefined();
});

it.each([
  ['with a message', '{"message":"no such image"}', 'no such image (HTTP 404)'],
  ['with anything else', 'go away\n', 'go away (HTTP 404)'],
  ['with another object', '{"a":1}', '{"a":1} (HTTP 404)'],
])('gives a refusal %s as the engine puts it', async (_, body, message) => {
  await using engine = await answering((_request, response) => response.writeHead(404).end(body));
  const refusal = await engine.ask({ path: '/' }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refusal);
  expect(refusal).toMatchObject({ status: 404, message });
});

it('fails at once where the engine dies in the body of its answer', async () => {
  await using engine = await answering((_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"Id":', () => response.destroy());
  });
  await expect(engine.ask({ path: '/' })).rejects.toThrow(/aborted/);
});

it.each([
  ['says nothing', () => {}],
  ['falls silent in the body of its answer', (_, response) => void response.write('{"Id":')],
] as const satisfies readonly (readonly [string, RequestListener])[])(
  'gives up where the engine %s',
  async (_, listener) => {
    await using engine = await answering(listener);
    await expect(engine.ask({ path: '/' }, SHORT_MS)).rejects.toThrow('no answer within 0.2 s');
  },
);

it('gives up where the answer never ends', async () => {
  const block = Buffer.alloc(2 ** 20, ' ');
  let sent = 0;
  await using engine = await answering((_, response) => {
    const more = () => {
      while (!response.destroyed) {
        sent += block.length;
        if (!response.write(block)) return void response.once('drain', more);
      }
    };
    more();
  });
  await expect(engine.ask({ path: '/' })).rejects.toThrow('answered with more than 268435456 bytes');
  expect(sent).toBeLessThan(300e6);
});

it('says that something other than an engine answers', async () => {
  await using engine = await answering((_, response) => response.end('<html>It works!</html>'));
  await expect(Engine.connect({ dockerHost: engine.address, env: {} })).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringMatching(
      /^no docker engine answers at unix:.*: answered with something other than JSON/,
    ),
  });
});

it('says that what answers does not say what it is', async () => {
  await using engine = await answering((_, response) => response.end('{}'));
  await expect(Engine.connect({ dockerHost: engine.address, env: {} })).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringContaining('does not say which engine it is'),
  });
});
