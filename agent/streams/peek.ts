export interface Peeked {
  /** The first bytes; fewer than were asked for only where there are no more. */
  readonly head: Buffer;
  /** All of the stream, `head` included. Takes it up where it is now, and ends it when it is left. */
  readonly whole: AsyncGenerator<Buffer>;
}

/** Looks at the first `bytes` of a stream. Whoever does not read `whole` may go on with the stream behind `head`. */
export async function peek(source: AsyncIterable<Buffer>, bytes: number): Promise<Peeked> {
  const stream = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < bytes) {
    const next = await stream.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  const whole = async function* () {
    try {
      if (head.length > 0) yield head;
      yield* { [Symbol.asyncIterator]: () => stream };
    } finally {
      await stream.return?.(undefined);
    }
  };
  return { head, whole: whole() };
}
