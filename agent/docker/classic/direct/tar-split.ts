/**
 * What a classic engine keeps of a layer's tar beside its files, so that it can be put together again byte for byte:
 * JSON lines, compressed with gzip. github.com/vbatts/tar-split, tar/storage.
 */
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Odd } from './odd.ts';

/** Headers of one member, with its PAX records, are one segment: as base64 at most 4/3 of that. */
const LINE_MAX_BYTES = 16 * 2 ** 20;
const FILE = 1;
const SEGMENT = 2;
const NEWLINE = 0x0a;

/** Bytes of the tar as they stand, in base64; or a file's: `size` bytes of the one at `path`, bytes as latin1. */
export type Part = { readonly base64: string } | { readonly path: string; readonly size: number };

/** In the order of the tar. Files of no bytes are left out. Throws Odd for what is none; `where` says which it is. */
export async function* partsOf(compressed: Readable, where: string): AsyncGenerator<readonly Part[]> {
  const inflated = compressed.pipe(createGunzip());
  compressed.on('error', (error) => inflated.destroy(error));
  /** What has come of a line that has not ended. */
  let begun: Buffer[] = [];
  let begunBytes = 0;
  try {
    for await (const chunk of inflated as AsyncIterable<Buffer>) {
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      if (end > 0) {
        yield partsOfLines(Buffer.concat([...begun, chunk.subarray(0, end)]).toString('utf8'), where);
        begun = [];
        begunBytes = 0;
      }
      begun.push(chunk.subarray(end));
      begunBytes += chunk.length - end;
      if (begunBytes > LINE_MAX_BYTES) throw new Odd('has a line that is too long', where);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw new Odd('is no gzip', where);
    throw error;
  } finally {
    compressed.destroy();
    inflated.destroy();
  }
  if (begunBytes > 0) yield partsOfLines(Buffer.concat(begun).toString('utf8'), where);
}

function partsOfLines(lines: string, where: string): readonly Part[] {
  return lines.split('\n').flatMap((line) => (line === '' ? [] : partOf(line, where)));
}

function partOf(line: string, where: string): readonly Part[] {
  const { type, name, name_raw: raw, size = 0, payload } = parse(line, where);
  if (type === SEGMENT && typeof payload === 'string') return [{ base64: payload }];
  const named =
    typeof raw === 'string' ? Buffer.from(raw, 'base64') : Buffer.from(String(name ?? ''), 'utf8');
  if (type !== FILE || !Number.isSafeInteger(size) || size < 0)
    throw new Odd('has an entry of no known kind', where);
  return size === 0 ? [] : [{ path: named.toString('latin1'), size }];
}

interface Line {
  readonly type?: unknown;
  readonly name?: unknown;
  /** base64, of a name that is not UTF-8. */
  readonly name_raw?: unknown;
  readonly size?: number;
  /** Of a segment its bytes in base64; of a file its crc64. */
  readonly payload?: unknown;
}

function parse(line: string, where: string): Line {
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Line;
  } catch {
    // It is as odd as a number in its place.
  }
  throw new Odd('has a line that is no JSON', where);
}
