/** The file that an archive is in: one that can be read again, or one that is kept while it comes. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { usage } from '../streams/errors.ts';
import { openFifo, untilAborted } from '../streams/fifo.ts';
import { fileBytes } from '../streams/file-bytes.ts';
import { cannot, notThere } from './folder.ts';
import { Spool } from './spool.ts';

export interface Input extends AsyncDisposable {
  /** Undefined for what comes once, as a stream: `first` has to be read to its end before anything else. */
  readonly size: number | undefined;
  first(): AsyncGenerator<Buffer>;
  /** Its bytes from `start` to `end`, which may be infinite. */
  read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer>;
}

interface InputOptions {
  readonly stdin: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
  /** Nobody has named the file, but the directory that it is in: a link there is not followed, and no pipe read. */
  readonly found: boolean;
}

/** `path` of `-` is `stdin`. Throws image-not-found where there is no such file, usage for what cannot be read. */
export async function openInput(path: string, { stdin, signal, found }: InputOptions): Promise<Input> {
  if (path === '-') return spooled('standard input', stdin, signal, async () => {});
  const fifo = found ? undefined : await openFifo(path);
  if (fifo) return spooled(path, fifo, signal, async () => void fifo.destroy());
  const file = await openFile(path, found);
  const stat = await file.stat();
  if (stat.isFile())
    return {
      size: stat.size,
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

async function openFile(path: string, found: boolean): Promise<FileHandle> {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  try {
    const file = await open(path, O_RDONLY | (found ? O_NOFOLLOW | O_NONBLOCK : 0));
    const stat = await file.stat();
    if (found ? stat.isFile() : !stat.isDirectory()) return file;
    await file.close();
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) throw notThere('file', path, cause);
    if (!(found && ['ELOOP', 'ENXIO'].includes(code))) throw cannot('read', path, cause);
  }
  if (!found) throw usage(`${path} is a directory, but should be a file`);
  throw usage(`${path} is not a regular file`, {
    hint: 'in a directory only regular files are read: name the others one by one, or remove this one',
  });
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
    size: undefined,
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
