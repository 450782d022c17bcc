import { type ErrorCode, ImgmvError } from '../../proto/errors.ts';

/** What `decode` gives; undefined where it refuses with one of `codes`. Whatever else it throws is a fault. */
export function decoded<T>(codes: readonly ErrorCode[], decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    return refused(codes, error);
  }
}

/** The same for a promise. */
export async function decodedLater<T>(
  codes: readonly ErrorCode[],
  decode: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await decode();
  } catch (error) {
    return refused(codes, error);
  }
}

export function refused(codes: readonly ErrorCode[], error: unknown): undefined {
  if (error instanceof Broken) throw error;
  if (!(error instanceof ImgmvError)) throw new Error('threw what is no ImgmvError', { cause: error });
  if (!codes.includes(error.code))
    throw new Error(`refused with ${error.code}, want ${codes.join(' or ')}`, { cause: error });
  if (error.message === '' || error.message.length > MESSAGE_MAX_CHARACTERS)
    throw new Error(`refused with a message of ${error.message.length} characters`);
  return undefined;
}

/** Messages may repeat what was typed here, or what an engine said, and no more. */
const MESSAGE_MAX_CHARACTERS = 70_000;

/** A promise that was not kept, wherever it shows. */
class Broken extends Error {}

export function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Broken(`does not hold: ${what}`);
}

/** Only objects that JSON makes, with nothing hidden in their prototypes. */
export function holdsPlain(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const prototype: unknown = Object.getPrototypeOf(value);
  holds(prototype === Object.prototype || prototype === Array.prototype, 'an object is plain');
  holds(!Object.hasOwn(value, '__proto__'), 'no key is __proto__');
  for (const one of Object.values(value)) holdsPlain(one);
}
