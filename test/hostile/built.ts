/** The built program as one of the two sides, and what the system knows of its process. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCode } from '../../proto/code.ts';
import type { Secret } from '../../proto/secret.ts';
import type { Engine } from '../rig/engine.ts';
import { type Imgmv, type ImgmvOptions, runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';

const MIB = 2 ** 20;
/** USER_HZ, of /proc: the same on every Linux that Node runs on. */
const TICKS_PER_S = 100;

/** `imgmv receive` from the moment it listens. Disposing of it kills it. */
export interface BuiltReceiver extends AsyncDisposable {
  readonly imgmv: Imgmv;
  readonly port: number;
  readonly codeFile: string;
  readonly code: Secret;
}

export interface Program extends AsyncDisposable {
  /** For the test's own files. */
  readonly directory: string;
  /** Starts `receive` on the engine: with `--once` and `--json` when `args` is left out. */
  receive(args?: readonly string[], options?: ImgmvOptions): Promise<BuiltReceiver>;
  /** Starts `send --json`. */
  send(args: readonly string[], to: { readonly port: number; readonly codeFile: string }): Imgmv;
}

/** The program with this engine on whichever side it plays. */
export async function program(engine: Engine): Promise<Program> {
  const directory: ScratchDirectory = await scratchDirectory();
  let codeFiles = 0;
  const onEngine = ['--docker-host', engine.dockerHost];
  return {
    directory: directory.path,
    async receive(args = ['--once', '--json'], options = {}) {
      const codeFile = join(directory.path, `code-${++codeFiles}`);
      const where = ['--listen', '127.0.0.1:0', '--code-file', codeFile, ...onEngine];
      const imgmv = runImgmv(['receive', ...where, ...args], options);
      const port = await listensOn(imgmv, args.includes('--json'));
      const code = parseCode(await readFile(codeFile, 'utf8'));
      return { imgmv, port, codeFile, code, [Symbol.asyncDispose]: () => imgmv[Symbol.asyncDispose]() };
    },
    send(args, { port, codeFile }) {
      const to = ['--to', `127.0.0.1:${port}`, '--code-file', codeFile, ...onEngine];
      return runImgmv(['send', '--json', ...args, ...to]);
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

async function listensOn(imgmv: Imgmv, json: boolean): Promise<number> {
  if (json) return Number((await imgmv.waitFor('listening')).port);
  for (;;) {
    const port = /^Listening on \S+:(\d+).*in \S+\.$/ms.exec(imgmv.stdout + imgmv.stderr)?.[1];
    if (port !== undefined) return Number(port);
    const ended = await Promise.race([imgmv.exit, new Promise<void>((resolve) => setTimeout(resolve, 20))]);
    if (ended) throw new Error(`it ended before it listened: ${imgmv.stderr}`);
  }
}

/** The most memory that a process has had so far, in MiB. */
export async function peakMib({ pid }: Imgmv): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round((Number(kilobytes) * 1024) / MIB);
}

/** Processor time of all threads of a process so far, in milliseconds. */
export async function cpuMs({ pid }: Imgmv): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // proc(5): behind the name in brackets, utime and stime are the 12th and 13th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
}

/** The same, once the process has nothing left to do: what it has begun may go on behind the last answer. */
export async function cpuMsAtRest(imgmv: Imgmv): Promise<number> {
  for (let before = await cpuMs(imgmv); ; ) {
    await sleep(500);
    const now = await cpuMs(imgmv);
    // Pings and timers take a little.
    if (now - before <= 50) return now;
    before = now;
  }
}
