/**
 * What plain TCP makes of a link, as the yardstick for imgmv there. Run by itself this file is one end of the
 * connection: `listen ADDRESS` or `send ADDRESS BYTES`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { run, tied } from '../rig/command.ts';
import type { Host } from '../rig/hosts.ts';

const PORT = 5001;
const CHUNK_BYTES = 64 * 1024;
const THIS_FILE = fileURLToPath(import.meta.url);

/** Sends so many bytes from one host to the other and waits until all were read there. */
export async function sendPlain(from: Host, to: Host, bytes: number): Promise<void> {
  const end = (...args: string[]) => [
    process.execPath,
    '--import',
    import.meta.resolve('tsx'),
    THIS_FILE,
    ...args,
  ];
  const [command = '', ...args] = tied(to.argv(end('listen', to.address)));
  const listener = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(listener, 'exit');
  await once(listener.stdout, 'data');
  await run(from.argv(end('send', to.address, String(bytes))));
  await exited;
}

async function listen(address: string): Promise<void> {
  const server = createServer((socket) => {
    socket.resume().once('close', () => server.close());
  });
  server.listen(PORT, address, () => process.stdout.write('listening\n'));
  await once(server, 'close');
}

async function send(address: string, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const chunks = Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, () => chunk);
  await pipeline(Readable.from(chunks), connect(PORT, address));
}

if (process.argv[1] === THIS_FILE) {
  const [role, address = '', bytes] = process.argv.slice(2);
  await (role === 'listen' ? listen(address) : send(address, Number(bytes)));
}
