/**
 * The paths in the tar of a layer, as it passes by. A classic engine keeps the files of a layer and not its tar. It makes
 * the tar anew when it pushes or saves, and opens each file by its name, as root and with no regard for links: behind a
 * link to `/etc`, a file of the layer is one of the host. It notices by a checksum, when the bytes have gone.
 */
import type { ImgmvError } from '../../../proto/errors.ts';
import { integrity } from '../../streams/errors.ts';
import { checksumHolds } from '../../streams/tar-checksum.ts';

const BLOCK_BYTES = 512;
/** As archives have it for an extended header. */
const EXTENDED_MAX_BYTES = 1024 * 1024;
/** PATH_MAX of Linux: of a longer name no file can be made. */
const NAME_MAX_BYTES = 4096;
/** Of what is remembered of a layer. */
const PATHS_MAX_BYTES = 128 * 2 ** 20;
const LINKS_FOLLOWED_MAX = 16;
const FILE = '0';
const DIRECTORY = '5';
const SYMLINK = '2';
/** Hard links, symbolic links, devices and pipes. */
const SPECIAL = '12346';
const EXTENDED = 'xgLK';

/** What extended headers say of the entry behind them. */
interface Said {
  /** Their types. */
  kinds: string;
  readonly names: string[];
  readonly targets: string[];
  readonly sizes: number[];
}

/**
 * Takes the bytes of a tar in pieces. Throws integrity where an engine would look for a file of the layer outside of it,
 * and for what engines may read in several ways.
 */
export class LayerPaths {
  /** Bytes of a header, as far as they have come. */
  #block: Buffer = Buffer.alloc(0);
  /** As many make up what comes now: a header, or an extended one with what it says. */
  #wanted = BLOCK_BYTES;
  /** The header of the extended one that is coming. */
  #extending: string | undefined;
  #skip = 0;
  #ended = false;
  #said: Said = { kinds: '', names: [], targets: [], sizes: [] };
  /** Files with content, and the directories that they have to be below: nothing else may come to be there. */
  readonly #through = new Set<string>();
  /** What is no file and no directory: where it leads inside the layer, or that it may lead anywhere. */
  readonly #links = new Map<string, readonly string[] | 'anywhere'>();
  #bytes = 0;

  add(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0 && !this.#ended; ) {
      const skipped = Math.min(this.#skip, rest.length);
      this.#skip -= skipped;
      rest = rest.subarray(skipped);
      const part = rest.subarray(0, this.#wanted - this.#block.length);
      rest = rest.subarray(part.length);
      this.#block = this.#block.length === 0 ? part : Buffer.concat([this.#block, part]);
      if (this.#block.length === this.#wanted) this.#take(Buffer.from(this.#block));
      else if (rest.length === 0) this.#block = Buffer.from(this.#block);
    }
  }

  #take(block: Buffer): void {
    this.#block = Buffer.alloc(0);
    this.#wanted = BLOCK_BYTES;
    if (this.#extending !== undefined) return this.#extend(this.#extending, block);
    if (block.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    if (!checksumHolds(block, octal(block.subarray(148, 156)))) throw odd('what should be a header is none');
    const type = block[156] === 0 ? FILE : block.toString('latin1', 156, 157);
    const size = sizeOf(block);
    if (EXTENDED.includes(type)) return this.#expectExtended(type, size);
    const { names, targets, sizes } = this.#said;
    this.#said = { kinds: '', names: [], targets: [], sizes: [] };
    const target = theOne(targets) ?? text(block, 157, 100);
    this.#enter(type, theOne(names) ?? nameOf(block), target, [size, ...sizes]);
  }

  #expectExtended(type: string, size: number): void {
    const kinds = this.#said.kinds + type;
    // Some readers forget the one for the other.
    if (kinds.length > 1 && !['KL', 'LK'].includes(kinds))
      throw odd('several extended headers for one entry');
    if (size === 0 || size > EXTENDED_MAX_BYTES) throw odd(`an extended header of ${size} bytes`);
    if (type !== 'g') this.#said.kinds = kinds;
    this.#extending = type + size;
    this.#wanted = padded(size);
  }

  #extend(extending: string, block: Buffer): void {
    this.#extending = undefined;
    const bytes = block.subarray(0, Number(extending.slice(1)));
    const { names, targets, sizes } = this.#said;
    const keys = new Set<string>();
    if (extending.startsWith('L')) names.push(text(bytes, 0, bytes.length));
    else if (extending.startsWith('K')) targets.push(text(bytes, 0, bytes.length));
    else
      for (const [key, value] of recordsOf(bytes)) {
        const told = ['path', 'linkpath', 'size'].includes(key);
        // An empty value takes back what stood before it, and of two some take the first.
        const unclear = extending.startsWith('g') || keys.has(key) || /^$|\0/.test(value);
        if (key.startsWith('GNU.sparse.') || (told && unclear)) throw odd(`an extended header with ${key}`);
        keys.add(key);
        if (key === 'path') names.push(value);
        if (key === 'linkpath') targets.push(value);
        if (key === 'size') sizes.push(/^[0-9]{1,15}$/.test(value) ? Number(value) : Number.NaN);
      }
  }

  #enter(type: string, name: string, target: string, [inHeader = 0, ...said]: readonly number[]): void {
    const size = said[0] ?? inHeader;
    // A header has room for 8 GiB, and says 0 of more.
    if (!said.every((one) => one === size && (inHeader === size || inHeader === 0)))
      throw odd(`an entry with the sizes ${[inHeader, ...said].join(' and ')}`);
    if (type !== FILE && type !== DIRECTORY && !SPECIAL.includes(type))
      throw odd(`an entry of the type ${JSON.stringify(type)}`);
    if (type !== FILE && size > 0) throw odd(`an entry of the type ${type} with ${size} bytes`);
    this.#skip = padded(size);
    const path = inside([], name);
    if (Math.max(name.length, target.length) > NAME_MAX_BYTES) throw odd('a name that is too long');
    // By a slash at its end some take a file for a directory, by its type others do not.
    if (path === undefined || (type === FILE && /\/\.?$/.test(name)))
      throw odd(`the name ${JSON.stringify(name)}`);
    // Of a file without content nothing is read.
    if (type === FILE && size > 0) this.#file(path);
    if (SPECIAL.includes(type)) this.#link(path, type === SYMLINK ? target : undefined);
  }

  #file(path: readonly string[]): void {
    let real = path;
    for (let followed = 0; ; followed++) {
      const at = this.#firstLink(real);
      if (at === undefined) break;
      const leads = this.#links.get(real.slice(0, at).join('/'));
      if (leads === undefined || leads === 'anywhere' || followed === LINKS_FOLLOWED_MAX) throw outside(path);
      real = [...leads, ...real.slice(at)];
    }
    this.#remember(real);
    this.#add(this.#through, real.join('/'));
  }

  /** `target`: undefined for what is no symbolic link. */
  #link(path: readonly string[], target: string | undefined): void {
    const name = path.join('/');
    const leads = target === undefined ? undefined : leadsTo(path.slice(0, -1), target);
    if (this.#through.has(name) || this.#firstLink(path.slice(0, -1)) !== undefined) throw outside(path);
    this.#remember(path);
    if (this.#links.has(name)) throw odd(`${JSON.stringify(name)} twice`);
    this.#count(name);
    this.#links.set(name, leads ?? 'anywhere');
  }

  /** How many parts of the path lead to the first link in it, its end included; undefined where there is none. */
  #firstLink(path: readonly string[]): number | undefined {
    let name = '';
    for (const [at, part] of path.entries()) {
      name = at === 0 ? part : `${name}/${part}`;
      if (this.#links.has(name)) return at + 1;
    }
    return undefined;
  }

  #remember(path: readonly string[]): void {
    for (let end = path.length - 1; end > 0; end--) {
      const directory = path.slice(0, end).join('/');
      // Those above it are known, too.
      if (this.#through.has(directory)) return;
      this.#add(this.#through, directory);
    }
  }

  #add(paths: Set<string>, path: string): void {
    this.#count(path);
    paths.add(path);
  }

  #count({ length }: string): void {
    this.#bytes += length;
    if (this.#bytes > PATHS_MAX_BYTES) throw odd(`more than ${PATHS_MAX_BYTES} bytes of paths`);
  }
}

/** Where a name leads from a directory of the layer; undefined where it climbs out of it. */
function inside(from: readonly string[], name: string): readonly string[] | undefined {
  const parts = [...from];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts;
}

/**
 * Where a symbolic link in a directory leads; undefined where that is not in the layer. It may climb at first, from
 * directories; behind a part that may be a link itself nobody knows from where.
 */
function leadsTo(directory: readonly string[], target: string): readonly string[] | undefined {
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = parts.lastIndexOf('..') + 1;
  const plain = !target.startsWith('/') && parts.slice(0, climbs).every((part) => part === '..');
  return plain ? inside(directory, target) : undefined;
}

function sizeOf(block: Buffer): number {
  const field = block.subarray(124, 136);
  const size = field[0] === 0x80 ? Number(field.readBigUInt64BE(4)) : octal(field);
  if (!Number.isSafeInteger(size) || (field[0] === 0x80 && field.subarray(1, 4).some((byte) => byte !== 0)))
    throw odd(`the size 0x${field.toString('hex')}`);
  return size;
}

function octal(field: Buffer): number {
  const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? Number.NaN : Number.parseInt(digits || '0', 8);
}

/** Undefined for none. Not all readers take the same of two that differ. */
function theOne(said: readonly string[]): string | undefined {
  const [one, ...others] = new Set(said);
  if (others.length > 0) throw odd('an entry with two names or targets');
  if (one === '') throw odd('an entry with an empty name or target');
  return one;
}

/** Where there may be a prefix that only some readers know, there must be none. */
function nameOf(block: Buffer): string {
  const name = text(block, 0, 100);
  const prefix = text(block, 345, 155);
  const magic = block.toString('latin1', 257, 265);
  if (prefix === '' || magic === '\0'.repeat(8)) return name;
  if (magic !== 'ustar\x0000' || block.toString('latin1', 508, 511) === 'tar')
    throw odd('a name in two parts');
  return `${prefix}/${name}`;
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.toString('latin1', at, at + length);
  const end = field.indexOf('\0');
  return end < 0 ? field : field.slice(0, end);
}

/** POSIX.1-2017 pax: `<length> <key>=<value>\n`. */
function* recordsOf(bytes: Buffer): Generator<readonly [key: string, value: string]> {
  for (let rest = bytes.toString('latin1'); rest !== ''; ) {
    const [head = '', digits] = /^([1-9][0-9]{0,6}) /.exec(rest) ?? [];
    const length = Number(digits);
    const record = rest.slice(head.length, length - 1);
    const equals = record.indexOf('=');
    if (!(length <= rest.length) || rest[length - 1] !== '\n' || equals < 1)
      throw odd('a damaged extended header');
    yield [record.slice(0, equals), record.slice(equals + 1)];
    rest = rest.slice(length);
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function outside(path: readonly string[]): ImgmvError {
  const name = JSON.stringify(path.join('/').slice(0, 200));
  return leadsOut(`${name} is a link to elsewhere, or below one`);
}

/** `what` says which file it is about. */
export function leadsOut(what: string): ImgmvError {
  return integrity(`the engine would read a file of its host for one of the layer: ${what}`);
}

function odd(what: string): ImgmvError {
  return integrity(`the tar of a layer has ${what.slice(0, 300)}, which engines may read in several ways`);
}
