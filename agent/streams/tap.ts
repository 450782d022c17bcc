/** `stream` as it is. Each piece is shown to `see` before it goes on; what that throws ends the stream. */
export async function* tap(
  stream: AsyncIterable<Buffer>,
  see: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    see(chunk);
    yield chunk;
  }
}
