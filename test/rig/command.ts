import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Bytes whole, or as a stream of them; tar-stream does not type its chunks. */
export type Input = string | Uint8Array | AsyncIterable<unknown>;

export interface RunOptions {
  /** What the command reads on its standard input; nothing when left out. */
  readonly input?: Input;
  /** The whole environment; the caller's own when left out. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** How much of a failed command's standard error its error message repeats. */
const SHOWN_STDERR_CHARS = 2_000;

/**
 * Runs one command to its end and gives its standard output. Anything but exit status 0 is an error that
 * repeats the end of what the command wrote to standard error.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, {
    env: options.env,
    cwd: options.cwd,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  const complaint: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => complaint.push(chunk));
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
  });

  let inputError: unknown;
  if (child.stdin && options.input !== undefined) {
    const { input } = options;
    const whole = typeof input === 'string' || input instanceof Uint8Array;
    // A command that stops reading early says why by its status and standard error: those are looked at first.
    await pipeline(whole ? Readable.from([input]) : input, child.stdin).catch((error: unknown) => {
      inputError = error;
    });
  }
  const end = await ended;
  if (end !== 'status 0') {
    const said = Buffer.concat(complaint).toString().trim().slice(-SHOWN_STDERR_CHARS);
    throw new Error(`${argv.join(' ')}: ended with ${end}: ${said}`);
  }
  if (inputError) throw new Error(`${argv.join(' ')}: input failed`, { cause: inputError });
  return Buffer.concat(output).toString();
}

/**
 * The same command, but killed by the kernel when the process that started it dies, however that one dies.
 * Linux only. The command keeps the process id that `spawn` reports.
 */
export function tied(argv: readonly string[]): string[] {
  return ['setpriv', '--pdeathsig', 'KILL', ...argv];
}
