/** Files that may be pipes, which may be silent for ever: a stop ends the reading of them. */
import { constants, createReadStream, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { fileError } from './file-error.ts';
import { orAborted } from './or-aborted.ts';

/** Throws what the system says, usage for a fifo that cannot be opened, or the reason of the signal. */
export async function* readFrom(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const stream = (await openFifo(path)) ?? createReadStream(path);
  try {
    yield* untilAborted(stream as AsyncIterable<Buffer>, signal);
  } finally {
    stream.destroy();
  }
}

/**
 * Undefined for what is no fifo. Opened as a file it would take a thread that waits for a writer, or for bytes, and
 * that no signal wakes: not even the end of the process comes while it waits.
 */
export async function openFifo(path: string): Promise<Socket | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFIFO()) return undefined;
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new Socket({ fd, readable: true, writable: false });
  } catch (cause) {
    throw fileError(`cannot read ${path}`, path, cause);
  }
}

/** A pipe may be silent for ever: whoever stops does not wait for it. */
export async function* untilAborted(
  stream: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]();
  for (;;) {
    const next = await orAborted(chunks.next(), signal);
    if (next.done) return;
    yield next.value;
  }
}
