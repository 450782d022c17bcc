import type { FileHandle } from 'node:fs/promises';

const READ_BYTES = 256 * 1024;

/** The bytes of a file from `start` to `end`, or to its own end if that comes first. Throws the reason of `signal`. */
export async function* fileBytes(
  file: FileHandle,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    signal.throwIfAborted();
    const room = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
    const { bytesRead } = await file.read(room, 0, room.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield room.subarray(0, bytesRead);
  }
}

export async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
