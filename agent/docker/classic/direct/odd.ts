export interface OddOptions {
  /** The engine must not try to read it either: opening such a file can block for ever. */
  readonly hopeless?: boolean | undefined;
  /** What the system said: `ENOENT`. */
  readonly code?: string | undefined;
}

/** Something in a layer's directory is not as the engine leaves it: the layer is not to be read from there. */
export class Odd extends Error {
  override readonly name = 'Odd';
  readonly hopeless: boolean;
  readonly code: string | undefined;

  /**
   * `path`: what it is about, in bytes as latin1, below the engine's data; `why` follows it: `is no regular file`.
   * Without it `why` says all.
   */
  constructor(why: string, path?: string, { hopeless = false, code }: OddOptions = {}) {
    super(path === undefined ? why : `${shown(path)} ${why}`);
    this.hopeless = hopeless;
    this.code = code;
  }

  /** For what the system says of a path. */
  static of(error: unknown, path: string): Odd {
    if (error instanceof Odd) return error;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return new Odd(WORDS[code] ?? `cannot be read (${code})`, path, { code });
  }
}

const PATH_MAX_CHARACTERS = 200;
const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'may not be read by this user',
  ELOOP: 'is a link, or below one',
  ENOENT: 'is not there',
  ENOTDIR: 'is below a file, or a link',
};

/** Strangers have named it: what is no plain character is not shown. */
function shown(path: string): string {
  return JSON.stringify(path.slice(-PATH_MAX_CHARACTERS)).replaceAll(/[^ -~]/g, '?');
}
