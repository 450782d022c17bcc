/** Tars byte by byte, so that they can be what no tool writes; and images as the entries of one. */
import { digestOf } from '../../agent/oci/metadata.ts';
import type { MemoryImage } from '../memory.ts';

export interface RawEntry {
  readonly name: string | Uint8Array;
  readonly body?: Uint8Array | string;
  /** '0' when left out. */
  readonly type?: string;
  readonly linkName?: string;
  /** The twelve bytes of the size field; the body's length in octal when left out. */
  readonly size?: string | Uint8Array;
}

const BLOCK = 512;

/** Header, body, padding. */
export function rawEntry({ name, body = '', type = '0', linkName = '', size }: RawEntry): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.alloc(BLOCK);
  Buffer.from(name).copy(header, 0, 0, 100);
  header.write('0000644\x000000000\x000000000\0', 100);
  Buffer.from(size ?? `${bytes.length.toString(8).padStart(11, '0')}\0`).copy(header, 124, 0, 12);
  header.write('00000000000\0        ', 136);
  header.write(type, 156);
  header.write(linkName, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return Buffer.concat([header, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** A pax header with these records, one after the other as they are. */
export function paxHeader(records: readonly (readonly [string, string])[], type = 'x'): Buffer {
  const body = records.map(([key, value]) => {
    const text = ` ${key}=${value}\n`;
    let length = text.length + 1;
    while (`${length}${text}`.length !== length) length++;
    return `${length}${text}`;
  });
  return rawEntry({ name: 'PaxHeaders/x', type, body: body.join('') });
}

export const END = Buffer.alloc(2 * BLOCK);

export function rawTar(...parts: readonly (RawEntry | Buffer)[]): Buffer {
  return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : rawEntry(part))), END]);
}

/** As docker save of 20.10 has it, but for the names of the layers. */
export function classicEntries(
  { image, blobs }: MemoryImage,
  tags: readonly string[] = image.names.map(({ target }) => target),
): { readonly files: readonly RawEntry[]; readonly manifest: RawEntry } {
  const names = image.diffIds.map((diffId) => `${diffId.slice(7)}/layer.tar`);
  const config = `${image.id.slice(7)}.json`;
  const files = blobs.map(({ kind, digest, bytes }) =>
    kind === 'layer' ? { name: `${digest.slice(7)}/layer.tar`, body: bytes } : { name: config, body: bytes },
  );
  const manifest = json('manifest.json', [{ Config: config, RepoTags: tags, Layers: names }]);
  return { files, manifest };
}

export function classicTar(image: MemoryImage): Buffer {
  const { files, manifest } = classicEntries(image);
  return rawTar(...files, manifest);
}

/** As an OCI layout has it; `image` is of a containerd store. */
export function ociEntries({ image, blobs }: MemoryImage, annotations: Record<string, string> = {}) {
  const files = blobs.map(({ digest, bytes }) => ({ name: `blobs/sha256/${digest.slice(7)}`, body: bytes }));
  const layout = json('oci-layout', { imageLayoutVersion: '1.0.0' });
  const index = json('index.json', { schemaVersion: 2, manifests: [{ ...image.root, annotations }] });
  return { files, layout, index };
}

export function json(name: string, value: unknown): RawEntry {
  return { name, body: JSON.stringify(value) };
}

export function blob(bytes: Buffer): RawEntry {
  return { name: `blobs/sha256/${digestOf(bytes).slice(7)}`, body: bytes };
}

/** `bytes` of zeros as zstd, in blocks of 128 KiB of which four bytes are written each. RFC 8878 section 3.1.1. */
export function zstdZeros(bytes: number, windowLog = 20): Buffer {
  const block = 128 * 1024;
  const blocks: Buffer[] = [];
  for (let left = bytes; left > 0; left -= block) {
    const size = Math.min(left, block);
    const header = Buffer.alloc(4);
    header.writeUIntLE((size << 3) | (1 << 1) | (left <= block ? 1 : 0), 0, 3);
    blocks.push(header);
  }
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3]);
  return Buffer.concat([frame, ...blocks]);
}
