/** What the rig's images are made of: layers as tar archives, deterministic down to the byte. */
import { createCipheriv } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

/** What stands at one path of a layer. */
export type FileSpec = string | Uint8Array | RandomBytes | { readonly linkTo: string } | SpecialFile;

/** What no reader should open. */
export interface SpecialFile {
  readonly special: 'fifo' | 'zero' | 'directory';
}

/** Bytes that look random and are the same for the same seed and length. */
export interface RandomBytes {
  readonly bytes: number;
  readonly seed: number;
  /** Hexadecimal digits, so that compression halves them; otherwise nothing shrinks them. */
  readonly halfCompressible?: boolean;
}

/** The files of a layer by their path in the image, with no leading slash. */
export type LayerSpec = Readonly<Record<string, FileSpec>>;

/** One date for all that is made here, or digests would change from run to run. */
export const CREATED = new Date('2024-01-01T00:00:00Z');

/** The device is /dev/zero's. */
const SPECIAL = {
  fifo: { type: 'fifo' },
  zero: { type: 'character-device', devmajor: 1, devminor: 5 },
  directory: { type: 'directory' },
} as const;

const BUSYBOX = '/bin/busybox';
const APPLETS = ['cat', 'echo', 'ls', 'sh', 'sha256sum', 'sleep', 'stat', 'true', 'wc'];

/** A base layer in which containers can run, made of this host's static busybox. */
export async function busyboxLayer(): Promise<LayerSpec> {
  const busybox = await readFile(BUSYBOX).catch((error: unknown) => {
    throw new Error(`${BUSYBOX} is missing: install busybox-static`, { cause: error });
  });
  const links = APPLETS.map((name) => [`bin/${name}`, { linkTo: 'busybox' }] as const);
  return { 'bin/busybox': busybox, ...Object.fromEntries(links) };
}

/** The layer as an uncompressed tar. Every file is readable and executable by all. */
export async function layerTar(spec: LayerSpec): Promise<Buffer> {
  const archive = pack();
  for (const [name, file] of Object.entries(spec)) {
    const header = { name, mode: 0o755, mtime: CREATED };
    if (typeof file === 'object' && 'linkTo' in file) {
      archive.entry({ ...header, type: 'symlink', linkname: file.linkTo });
    } else if (typeof file === 'object' && 'special' in file) {
      archive.entry({ ...header, ...SPECIAL[file.special] });
    } else {
      archive.entry(header, content(file));
    }
  }
  archive.finalize();
  return buffer(archive);
}

/** The bytes themselves. The same seed gives the same beginning at every length. */
export function randomBytes({ bytes, seed, halfCompressible = false }: RandomBytes): Buffer {
  const key = Buffer.alloc(16);
  key.writeDoubleBE(seed);
  // The key stream of a cipher: fast, and as random as it gets.
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  if (!halfCompressible) return stream.update(Buffer.alloc(bytes));
  const digits = stream.update(Buffer.alloc(Math.ceil(bytes / 2))).toString('hex');
  return Buffer.from(digits, 'latin1').subarray(0, bytes);
}

function content(file: Exclude<FileSpec, { readonly linkTo: string } | SpecialFile>): Buffer {
  if (typeof file === 'string') return Buffer.from(file);
  return file instanceof Uint8Array ? Buffer.from(file) : randomBytes(file);
}
