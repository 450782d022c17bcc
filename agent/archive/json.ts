import * as v from 'valibot';
import { ImgmvError } from '../../proto/errors.ts';

/** Metadata that is of this form; what the form does not know is dropped. Throws integrity, naming `what`. */
export function parseJson<S extends v.GenericSchema>(
  schema: S,
  bytes: Buffer,
  what: string,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ImgmvError('integrity', `${what} is not JSON`, { cause });
  }
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const where = v.getDotPath(parsed.issues[0]) ?? 'the whole';
  throw new ImgmvError('integrity', `${what} breaks its format at ${where}`);
}
