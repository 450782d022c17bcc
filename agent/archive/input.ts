/** The file that an archive is in: one that can be read again, or one that is kept while it comes. */
import { constants, openSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { ImgmvError } from '../../proto/errors.ts';
import { fileBytes } from './file-bytes.ts';
import { orAborted } from './or-aborted.ts';
import { Spool } from './spool.ts';

export interface Input extends AsyncDisposable {
  /** All of it, once, before anything else is read. */
  first(): AsyncGenerator<Buffer>;
  /** Its bytes from `start` to `end`, which may be infinite. */
  read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer>;
}

/** `path` of `-` is `stdin`. Throws image-not-found where there is no such file, usage for what cannot be read. */
export async function openInput(
  path: string,
  stdin: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<Input> {
  if (path === '-') return spooled('standard input', stdin, signal, async () => {});
  const fifo = await openFifo(path);
  if (fifo) return spooled(path, fifo, signal, async () => void fifo.destroy());
  const file = await openFile(path);
  if ((await file.stat()).isFile())
    return {
      first: () => fileBytes(file, 0, Number.POSITIVE_INFINITY, signal),
      read: (start, end, until) => fileBytes(file, start, end, until),
      [Symbol.asyncDispose]: () => file.close(),
    };
  const stream = file.createReadStream({ autoClose: false });
  return spooled(path, stream, signal, async () => {
    stream.destroy();
    await file.close();
  });
}

/**
 * Undefined for what is no fifo. Opened as a file it would take a thread that waits for a writer, or for bytes, and
 * that no signal wakes: not even the end of the process comes while it waits.
 */
async function openFifo(path: string): Promise<Socket | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFIFO()) return undefined;
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new Socket({ fd, readable: true, writable: false });
  } catch (cause) {
    throw new ImgmvError('usage', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, constants.O_RDONLY);
    if (!(await file.stat()).isDirectory()) return file;
    await file.close();
  } catch (cause) {
    const missing = ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');
    if (missing) throw new ImgmvError('image-not-found', `no such file: ${path}`, { cause });
    throw new ImgmvError('usage', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  throw new ImgmvError('usage', `${path} is a directory, and should be a file`);
}

/** Standard input and fifos come once: what comes is kept in a file without a name. */
async function spooled(
  what: string,
  stream: AsyncIterable<Buffer>,
  signal: AbortSignal,
  close: () => Promise<void>,
): Promise<Input> {
  const spool = await Spool.open(what);
  return {
    async *first() {
      for await (const chunk of untilAborted(stream, signal)) {
        await spool.write(chunk);
        yield chunk;
      }
    },
    read: (start, end, until) => spool.read(start, end, until),
    async [Symbol.asyncDispose]() {
      await spool[Symbol.asyncDispose]();
      await close();
    },
  };
}

/** A pipe may be silent for ever: whoever stops does not wait for it. */
async function* untilAborted(stream: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]();
  for (;;) {
    const next = await orAborted(chunks.next(), signal);
    if (next.done) return;
    yield next.value;
  }
}
