/** The files of a compose project: which there are, and what is in them. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { COMPOSE_FILE_MAX_BYTES, COMPOSE_FILES_MAX } from '../choose/limits.ts';
import { usage } from '../streams/errors.ts';
import { readFrom } from '../streams/fifo.ts';
import { fileError } from '../streams/file-error.ts';
import { readAll } from '../streams/read-all.ts';
import { usageAt } from './position.ts';
import { type MapNode, parseYaml } from './yaml.ts';

/** `variable`: the name of a variable that is not set; each is reported once. */
export type Warn = (warning: string, variable?: string) => void;

/** In the order in which compose prefers them (compose-go, cli/options.go). */
const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const OVERRIDE_NAMES = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

/** What `docker compose` finds in this directory by itself: a file, and one that overrides it if there is one. */
export async function filesIn(directory: string, cwd: string, warn: Warn): Promise<readonly string[]> {
  const found: string[] = [];
  for (const names of [NAMES, OVERRIDE_NAMES]) {
    const kinds = await Promise.all(names.map((name) => kindOf(join(directory, name))));
    const there = names.filter((_name, index) => kinds[index] === 'file');
    const [winner] = there;
    if (there.length > 1) warn(`${shown(directory, cwd)} has ${there.join(' and ')}: ${winner} is read`);
    if (winner !== undefined) found.push(join(directory, winner));
    else if (names === NAMES)
      throw usage(`no compose file in ${shown(directory, cwd)}`, {
        hint: `expected one of ${NAMES.join(', ')}`,
      });
  }
  return found;
}

/** What is no directory is a file here: a pipe is read like one. */
export async function kindOf(path: string): Promise<'file' | 'directory' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file';
  } catch {
    // Whoever reads it learns why.
    return undefined;
  }
}

export interface Reading {
  /** What relative paths are relative to. */
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** Throws usage where it cannot be read or is longer than `maxBytes`, and the reason of the signal. */
export async function readText(path: string, maxBytes: number, { cwd, signal }: Reading): Promise<string> {
  const tooLarge = () => usage(`${shown(path, cwd)} is larger than ${maxBytes} bytes`);
  try {
    return (await readAll(readFrom(path, signal), maxBytes, tooLarge)).toString();
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    throw fileError(`cannot read ${shown(path, cwd)}`, path, cause);
  }
}

/** Relative where it is below the current directory. */
export function shown(path: string, cwd: string): string {
  const short = relative(cwd, path);
  if (short === '') return '.';
  return short.startsWith('..') || isAbsolute(short) ? path : short;
}

/** Reads compose files, each from the disk once, however often it is asked for; that is bounded. */
export class ComposeFiles {
  readonly #reading: Reading;
  readonly #read = new Map<string, readonly MapNode[]>();
  #asked = 0;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  /** The documents of a file, without their variables. Throws usage. */
  async documents(path: string): Promise<readonly MapNode[]> {
    if (++this.#asked > COMPOSE_FILES_MAX)
      throw usage(`${this.shown(path)}: more than ${COMPOSE_FILES_MAX} files are read`, {
        hint: 'check what the files include and extend',
      });
    const documents = this.#read.get(path) ?? (await this.#parse(path));
    this.#read.set(path, documents);
    return documents;
  }

  shown(path: string): string {
    return shown(path, this.#reading.cwd);
  }

  async #parse(path: string): Promise<readonly MapNode[]> {
    const text = await readText(path, COMPOSE_FILE_MAX_BYTES, this.#reading);
    return parseYaml(text, this.shown(path)).map((document) => {
      if (document.kind === 'map') return document;
      throw usageAt(document.at, 'not a compose file: it has to be a mapping');
    });
  }
}
