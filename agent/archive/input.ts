/** The file that an archive is in: one that can be read again, or one that is kept while it comes. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ImgmvError } from '../../proto/errors.ts';
import { openFifo, untilAborted } from '../fifo.ts';
import { fileBytes } from './file-bytes.ts';
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
