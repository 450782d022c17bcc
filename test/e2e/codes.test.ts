/** The pairing code on its way between two programs, and what people are shown with it. No engine is needed. */
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { classicTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { type Imgmv, type ImgmvOptions, runImgmv, toldBy } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';

let scratch: ScratchDirectory;
let archive: string;

beforeAll(async () => {
  scratch = await scratchDirectory();
  archive = join(scratch.path, 'image.tar');
  await writeFile(archive, classicTar(await testImage()));
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

let count = 0;
const fresh = (name: string) => join(scratch.path, `${name}-${count++}`);

describe('a stop while the code is waited for', () => {
  const send = (codeFile: string, options: ImgmvOptions = {}) =>
    runImgmv(
      ['send', '--from', `docker-archive:${archive}`, '--to', '127.0.0.1:1', '--code-file', codeFile],
      options,
    );

  async function expectStops(sender: Imgmv): Promise<void> {
    // It has read the archive, and waits.
    await expect.poll(() => sender.stderr).toMatch(/Reading /);
    await expect.poll(() => asleep(sender.pid)).toBe(true);
    sender.kill('SIGINT');
    expect([(await sender.exit).code, sender.stderr]).toEqual([
      130,
      expect.stringMatching(/\nimgmv: stopped by SIGINT\n$/),
    ]);
    expect(sender.stderr).not.toContain('undone');
  }

  it('from a fifo that nobody writes to', async () => {
    const fifo = fresh('fifo');
    await run(['mkfifo', fifo]);
    await using sender = send(fifo);
    await expectStops(sender);
  });

  it('from a standard input that says nothing', async () => {
    const fifo = fresh('stdin');
    await run(['mkfifo', fifo]);
    // Open for reading and writing it has a writer, and no end.
    const host = {
      argv: (command: readonly string[]) => ['sh', '-c', `exec "$@" <>${fifo}`, 'sh', ...command],
    };
    await using sender = send('-', { host });
    await expectStops(sender);
  });
});

it('send and doctor say the same of a port that takes the connection and says nothing', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.resume()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const there = ['--to', `127.0.0.1:${port}`, '--connect-timeout', '1s'];
  const input = generateCode().reveal();
  await using sender = runImgmv(
    ['send', '--from', `docker-archive:${archive}`, '--code-file', '-', ...there, '--json'],
    { input },
  );
  await using doctor = runImgmv(['doctor', '--docker-host', 'unix:///nowhere.sock', ...there, '--json']);
  expect((await sender.exit).code).toBe(11);
  const { message, hint, code } = await sender.waitFor('error');
  await doctor.exit;
  for (const socket of sockets) socket.destroy();
  server.close();
  const checks = (await toldBy(doctor)).filter(({ name }) => name === 'host');
  expect(checks).toMatchObject([{ message, hint, code }]);
  expect(message).toBe(`127.0.0.1:${port} takes the connection, but says nothing for 1 s`);
});

describe('a receiver', () => {
  const receive = (codeFile: string, args: readonly string[], options: ImgmvOptions = {}) =>
    runImgmv(
      [
        'receive',
        '--once',
        '--into',
        `oci:${fresh('layout')}`,
        '--listen',
        '127.0.0.1:0',
        '--code-file',
        codeFile,
        ...args,
      ],
      options,
    );

  it('writes its code where a file system has no hard links', async () => {
    const codeFile = fresh('code');
    const inject = ['-e', 'trace=link,linkat', '-e', 'inject=link,linkat:error=EPERM'];
    const host = {
      argv: (command: readonly string[]) => ['strace', '-D', '-f', '-o', fresh('log'), ...inject, ...command],
    };
    await using receiver = receive(codeFile, ['--json'], { host });
    await receiver.waitFor('listening');
    expect(await readFile(codeFile, 'utf8')).toMatch(/^([a-z]+-){5}[a-z]+\n$/);
    expect(((await stat(codeFile)).mode & 0o777).toString(8)).toBe('600');
  });

  it('shows its port with the address that it is told to show, and the day with a time that is not of today', async () => {
    const codeFile = fresh('code');
    await using receiver = receive(codeFile, ['--advertise', 'host-b', '--ttl', '7d']);
    await expect.poll(() => receiver.stderr).toContain('with the pairing code in');
    const [, port] =
      /^Listening on 127\.0\.0\.1:(\d+), until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, /m.exec(receiver.stderr) ?? [];
    expect(receiver.stderr).toContain(`imgmv send IMAGE --to host-b:${port}\n`);
  });

  it('shows a time of today without its day', async () => {
    await using receiver = receive(fresh('code'), ['--advertise', 'host-b:7400', '--ttl', '10s']);
    await expect.poll(() => receiver.stderr).toContain('--to host-b:7400\n');
    const late = new Date(Date.now() + 10_000).getDate() !== new Date().getDate();
    if (!late) expect(receiver.stderr).toMatch(/, until \d\d:\d\d:\d\d, /);
  });
});

/** Whether all its threads wait. */
async function asleep(pid: number): Promise<boolean> {
  const states = await run(['sh', '-c', `cat /proc/${pid}/task/*/stat | sed 's/.*) //' | cut -c1`]);
  return /^(S\n)+$/.test(states);
}
