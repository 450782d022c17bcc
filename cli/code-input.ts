/** Where the pairing code comes from on the sending host: a terminal, without echo, or a file. */
import { openSync } from 'node:fs';
import { Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { readFrom, untilAborted } from '../agent/streams/fifo.ts';
import { readAll } from '../agent/streams/read-all.ts';
import { parseCode } from '../proto/code.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { Secret } from '../proto/secret.ts';
import { askLine } from './ask-line.ts';

const TYPED_TRIES_MAX = 3;
const FILE_MAX_BYTES = 4096;

/** `-` is standard input. A typo is told here and costs no try at the other host. Throws the reason of `signal`. */
export async function readCodeFile(file: string, signal: AbortSignal): Promise<Secret> {
  const isStdin = file === '-';
  const chunks = isStdin ? untilAborted(process.stdin, signal) : readFrom(file, signal);
  const what = isStdin ? 'standard input' : file;
  const tooLong = () => new ImgmvError('usage', `${what} holds more than a pairing code`);
  try {
    return parseCode((await readAll(chunks, FILE_MAX_BYTES, tooLong)).toString('utf8'));
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    const { message } = cause as Error;
    throw new ImgmvError('usage', `cannot read the code file ${file}: ${message}`, { cause });
  }
}

/**
 * Asks on the terminal without echo, up to three times for typos. `stdinTaken`: standard input is something else,
 * and the terminal is asked for by its own name. Throws the reason of `signal`.
 */
export async function promptForCode(host: string, signal: AbortSignal, stdinTaken = false): Promise<Secret> {
  const terminal = stdinTaken ? openTerminal() : process.stdin;
  if (!terminal?.isTTY)
    throw new ImgmvError('usage', 'there is no terminal to ask for the pairing code on', {
      hint: 'give it with --code-file FILE, or --code-file - for standard input',
    });
  for (let tries = 1; ; tries++) {
    try {
      const code = parseCode(
        await askHidden(terminal, `Pairing code that \`imgmv receive\` shows on ${host} (hidden): `, signal),
      );
      if (stdinTaken) terminal.destroy();
      return code;
    } catch (error) {
      if (!(error instanceof ImgmvError) || error.code !== 'bad-code' || tries === TYPED_TRIES_MAX)
        throw error;
      process.stderr.write(`imgmv: ${error.message}: try again\n`);
    }
  }
}

/** Undefined where this process has no terminal. */
function openTerminal(): ReadStream | undefined {
  try {
    return new ReadStream(openSync('/dev/tty', 'r'));
  } catch {
    return undefined;
  }
}

async function askHidden(input: NodeJS.ReadStream, question: string, signal: AbortSignal): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = await askLine({ input, output, signal }, () => process.stderr.write(question));
  if (line !== undefined || signal.aborted) process.stderr.write('\n');
  signal.throwIfAborted();
  if (line === undefined) throw new ImgmvError('usage', 'no pairing code was given');
  return line;
}
