/**
 * JSON that every reader reads alike. JSON.parse takes the last of two equal keys, and so does Go's encoding/json,
 * which besides takes `OS` for `os`: one document could tell imgmv one thing and an engine another one.
 */
import * as v from 'valibot';
import { counted } from '../../proto/counted.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import { integrity } from '../streams/errors.ts';

/**
 * The keys that readers know in an object, each with those of the objects below it; null where they know none, as in
 * a map of labels. An array stands for its elements.
 */
export interface KnownKeys {
  readonly [key: string]: KnownKeys | null;
}

const DEPTH_MAX = 100;
const KEY_SHOWN_MAX_CHARACTERS = 60;

/** An object or array that is open. */
interface Level {
  readonly keys: KnownKeys | null;
  /** Of an object: its keys so far. */
  readonly seen?: Set<string>;
  below: KnownKeys | null;
}

/**
 * The value of a document that is of this form; what the form does not know is dropped. Throws integrity, naming
 * `what`, also for a document that two readers could take for two different ones.
 */
export function parseJson<S extends v.GenericSchema>(
  schema: S,
  bytes: Buffer,
  what: string,
  keys: KnownKeys | null,
): v.InferOutput<S> {
  const parsed = v.safeParse(schema, strictJson(bytes, what, keys));
  if (parsed.success) return parsed.output;
  const where = v.getDotPath(parsed.issues[0]);
  throw integrity(`${what} is not in its format${where === null ? '' : `: ${where} is wrong`}`);
}

/** Undefined for what is not of this form. */
export function unlessOdd<const S extends v.GenericSchema>(schema: S) {
  return v.fallback(v.nullish(schema), undefined);
}

/**
 * The value of a document. Throws integrity for what is no JSON, is longer than METADATA_MAX_BYTES or nests deeper
 * than DEPTH_MAX, for a key that stands twice in one object, and for one that differs from a known key only in case.
 */
export function strictJson(bytes: Buffer, what: string, keys: KnownKeys | null): unknown {
  if (bytes.length > METADATA_MAX_BYTES)
    throw integrity(`${what} has ${counted(bytes.length, 'byte')}, more than ${METADATA_MAX_BYTES}`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    // First: it bounds the depth, for which JSON.parse takes seconds.
    requireOneReading(text, what, keys);
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    throw integrity(`${what} is not JSON`, { cause });
  }
}

/** Goes by what JSON is: what is none, JSON.parse refuses afterwards. */
function requireOneReading(text: string, what: string, keys: KnownKeys | null): void {
  const levels: Level[] = [];
  let level: Level = { keys: null, below: keys };
  let isKey = false;
  for (let at = 0; at < text.length; at++)
    switch (text.charAt(at)) {
      case '{':
      case '[':
        if (levels.length === DEPTH_MAX) throw integrity(`${what} nests deeper than ${DEPTH_MAX} levels`);
        levels.push(level);
        isKey = text.charAt(at) === '{';
        level = isKey
          ? { keys: level.below, below: null, seen: new Set() }
          : { keys: null, below: level.below };
        break;
      case '}':
      case ']':
        level = levels.pop() ?? level;
        break;
      case ',':
        isKey = level.seen !== undefined;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (isKey) enterKey(level, JSON.parse(text.slice(at, end + 1)) as string, what);
        isKey = false;
        at = end;
      }
    }
}

/** Where the quotation mark is that ends the string which begins `at` one. */
function endOfString(text: string, at: number): number {
  for (let end = at; ; ) {
    const before = end;
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let escapes = 0;
    while (end - escapes - 1 > before && text.charAt(end - escapes - 1) === '\\') escapes++;
    if (escapes % 2 === 0) return end;
  }
}

function enterKey(level: Level, key: string, what: string): void {
  const { keys, seen } = level;
  // Go reads what is no Unicode as U+FFFD, whichever it is.
  const read = Buffer.from(key).toString();
  if (seen?.has(read)) throw integrity(`${what} has the key ${shown(key)} twice`);
  seen?.add(read);
  level.below = keys && Object.hasOwn(keys, key) ? (keys[key] ?? null) : null;
  if (!keys || Object.hasOwn(keys, key)) return;
  const known = foldedInto(keys, key);
  if (known !== undefined)
    throw integrity(
      `${what} has the key ${shown(key)}, which some readers take for ${JSON.stringify(known)}`,
    );
}

const foldings = new WeakMap<KnownKeys, RegExp>();

/** The known key that Go takes `key` for: it compares by unicode.SimpleFold, for which U+017F is an s and U+212A a k. */
function foldedInto(keys: KnownKeys, key: string): string | undefined {
  const any = foldings.get(keys) ?? foldingOf(...Object.keys(keys));
  foldings.set(keys, any);
  return any.test(key) ? Object.keys(keys).find((known) => foldingOf(known).test(key)) : undefined;
}

function foldingOf(...keys: readonly string[]): RegExp {
  return new RegExp(`^(?:${keys.map((key) => key.replaceAll('.', '\\.')).join('|')})$`, 'iu');
}

function shown(key: string): string {
  const short = key.slice(0, KEY_SHOWN_MAX_CHARACTERS);
  return `${JSON.stringify(short)}${short.length < key.length ? '…' : ''}`;
}
