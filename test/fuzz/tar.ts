/** Tar entries byte by byte, so that a header may say what it likes under a checksum that is right. */
import fc from 'fast-check';

/** POSIX ustar, and what GNU and PAX put in its places. */
export interface TarEntry {
  readonly name: string;
  readonly body: Buffer;
  /** The type flag: `0` a file, `2` a link, `5` a directory, `L` a long name, `x` PAX. */
  readonly type: string;
  readonly link: string;
  /** What the size field says, where it is not the truth: 0 the truth, 1 base-256, others lies. */
  readonly size: number;
}

export function file(name: string, body: Buffer): TarEntry {
  return { name, body, type: '0', link: '', size: 0 };
}

const BLOCK_BYTES = 512;
const SIZE_AT = 124;
const LIES = ['77777777777', '-1', '', 'zzzzzzz', '00000000001', '00000001000', '37777777777'] as const;

export function tar(entries: readonly TarEntry[], ends = true): Buffer {
  const parts = entries.flatMap((entry) => {
    const { body } = entry;
    return [headerOf(entry), body, Buffer.alloc((BLOCK_BYTES - (body.length % BLOCK_BYTES)) % BLOCK_BYTES)];
  });
  return Buffer.concat([...parts, Buffer.alloc(ends ? 2 * BLOCK_BYTES : 0)]);
}

function headerOf({ name, body, type, link, size }: TarEntry): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 100, 'latin1');
  header.write('0000644\0'.padStart(8, '0'), 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  if (size === 1) {
    header[SIZE_AT] = 0x80;
    header.writeUInt32BE(body.length, SIZE_AT + 8);
  } else {
    const text = size === 0 ? body.length.toString(8).padStart(11, '0') : (LIES[size % LIES.length] ?? '');
    header.write(`${text}\0`, SIZE_AT, 12, 'latin1');
  }
  header.write('00000000000\0', 136, 'latin1');
  header.write('        ', 148, 'latin1');
  header.write(type.slice(0, 1) || '0', 156, 'latin1');
  header.write(link, 157, 100, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** One line of PAX: its own length in front. */
function paxLine(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  const length = rest.length + String(rest.length + 2).length;
  return Buffer.from(`${length}${rest}`);
}

/** What stands in front of an entry and changes what it is called, or how long it is. */
export const prelude: fc.Arbitrary<TarEntry> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('path', 'size', 'linkpath', 'comment', '__proto__', 'mtime'),
      fc.constantFrom(
        'manifest.json',
        '0',
        '-1',
        '99999999999999999999',
        'NaN',
        `blobs/sha256/${'0'.repeat(64)}`,
      ),
    )
    .map(([key, value]) => ({ ...file('PaxHeader', paxLine(key, value)), type: 'x' })),
  fc
    .constantFrom('a'.repeat(300), `blobs/sha256/${'1'.repeat(64)}`, '../../etc/passwd', '')
    .map((name) => ({ ...file('././@LongLink', Buffer.from(`${name}\0`)), type: 'L' })),
);

/** The same with other things written in its header. */
export const lies = fc.record({
  type: fc.constantFrom('0', '1', '2', '5', '7', 'L', 'x', 'g', 'S', '\0'),
  size: fc.nat(8),
});
