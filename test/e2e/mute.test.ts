/** An engine that takes connections and says nothing: whoever is told to stop does not wait for it. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';

let scratch: ScratchDirectory;
let engine: Server;
let socket: string;
const sockets = new Set<Socket>();

beforeAll(async () => {
  scratch = await scratchDirectory();
  socket = join(scratch.path, 'docker.sock');
  engine = createServer((one) => sockets.add(one));
  engine.listen(socket);
  await once(engine, 'listening');
});
afterAll(async () => {
  for (const one of sockets) one.destroy();
  engine?.close();
  await scratch?.[Symbol.asyncDispose]();
});

it.each([
  ['ls'],
  ['clean'],
  ['plan', 'web:1', '--to', '127.0.0.1:1'],
  ['send', 'web:1', '--to', '127.0.0.1:1'],
  ['copy', 'docker-daemon:web:1', 'oci:layout'],
  ['receive', '--once', '--listen', '127.0.0.1:0', '--code-file', 'code'],
])('%s stops at once, with the status of the signal', async (...args) => {
  const asked = once(engine, 'connection');
  const options = { cwd: scratch.path };
  await using imgmv = runImgmv([...args, '--docker-host', `unix://${socket}`], options);
  await asked;
  const started = performance.now();
  imgmv.kill('SIGINT');
  expect([(await imgmv.exit).code, imgmv.stderr]).toEqual([
    130,
    expect.stringMatching(/(^|\n)imgmv: stopped by SIGINT\n$/),
  ]);
  // It would wait 15 s for an answer.
  expect(performance.now() - started).toBeLessThan(10_000);
});
