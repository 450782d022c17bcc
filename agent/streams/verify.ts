import type { Digest } from '../../proto/entry.ts';
import { Hasher } from '../../proto/hasher.ts';

/** `body`, which has to be `size` bytes with this digest: where it is not, throws what `differs` gives in place of its end. */
export async function* verify(
  body: AsyncIterable<Buffer>,
  { digest, size }: { readonly digest: Digest; readonly size: number },
  differs: (came: Digest, bytes: number) => Error,
): AsyncGenerator<Buffer> {
  const hasher = new Hasher();
  for await (const chunk of body) {
    hasher.add(chunk);
    if (hasher.bytes > size) break;
    yield chunk;
  }
  const came = hasher.digest();
  if (hasher.bytes !== size || came !== digest) throw differs(came, hasher.bytes);
}
