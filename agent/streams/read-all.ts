/** All bytes of `stream` together. More than `maxBytes` throw what `tooMuch` gives, and end the stream. */
export async function readAll(
  stream: AsyncIterable<Buffer>,
  maxBytes: number,
  tooMuch: () => Error,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooMuch();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
