/** PROTOCOL.md says what the code does: its tables and its examples are compared with it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { decodePreamble } from '../../proto/channel.ts';
import { deriveKey, parseCode } from '../../proto/code.ts';
import {
  type Digest,
  decodeHeader,
  decodeTrailer,
  ENTRY_HEADER_BYTES,
  ENTRY_TRAILER_BYTES,
} from '../../proto/entry.ts';
import { codeOfClose, ERROR_CODES, ImgmvError } from '../../proto/errors.ts';
import * as limits from '../../proto/limits.ts';

const document = readFileSync(new URL('../../proto/PROTOCOL.md', import.meta.url), 'utf8');

/** The text of one section, by the number it begins with. */
function section(number: string): string {
  const [, text] = document.split(new RegExp(`^#+ ${number.replaceAll('.', '\\.')}\\.? .*$`, 'm'));
  if (text === undefined) throw new Error(`PROTOCOL.md has no section ${number}`);
  return text.split(/^#+ /m)[0] ?? '';
}

/** The cells of the rows whose first one is a name in backquotes. */
function rowsOf(number: string): string[][] {
  return [...section(number).matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)].map(([, name = '', rest = '']) => [
    name,
    ...rest.split('|').map((cell) => cell.trim()),
  ]);
}

/** The lines of the fenced blocks of a section. */
function blocksOf(number: string): string[] {
  return [...section(number).matchAll(/^```\w*\n([\s\S]*?)\n```$/gm)].map(([, text = '']) => text);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

test('every limit is in section 12 with its figure, and nothing else is', () => {
  const written = rowsOf('12').map(([name, figure = '']) => [name, Number(figure.replaceAll(',', ''))]);
  expect(Object.fromEntries(written)).toEqual({ ...limits });
  expect(written).toHaveLength(Object.keys(limits).length);
});

test('every code is in section 13 with its close code, exit status and retry, in the order of the code', () => {
  const written = rowsOf('13');
  const coded = ERROR_CODES.map((code) => {
    const { closeCode, exit, retry } = new ImgmvError(code, '');
    return [code, `${closeCode}`, `${exit}`, retry ? 'yes' : 'no'];
  });
  expect(written).toEqual(coded);
  for (const [, close] of written)
    expect(codeOfClose(Number(close))).toBe(written.find((row) => row[1] === close)?.[0]);
});

test('the sections that comments cite are there', () => {
  for (const number of [
    '1',
    '2',
    '2.1',
    '3',
    '3.1',
    '3.2',
    '3.3',
    '4',
    '5',
    '6',
    '7',
    '7.1',
    '7.2',
    '7.3',
    '7.4',
    '8',
    '9',
    '10',
    '11',
  ])
    expect(section(number).length).toBeGreaterThan(100);
});

test('the preambles of section 2.1', () => {
  const [dialler = '', listener = ''] = (blocksOf('2.1')[0] ?? '').split('\n');
  expect(decodePreamble(hex(dialler))).toMatchObject({
    kind: 'pair',
    role: 'sender',
    lane: 0,
    generation: 0,
  });
  const answer = decodePreamble(hex(listener));
  expect(answer).toMatchObject({ kind: 'pair', role: 'receiver' });
  expect([answer.sessionId[1], answer.salt[1]]).toEqual([0x11, 0xf1]);
});

test('the code of section 3.2 stretches to its psk', async () => {
  const text = section('3.2');
  const value = (name: string) => new RegExp(`^${name} +(\\S+)$`, 'm').exec(text)?.[1] ?? '';
  const psk = await deriveKey(parseCode(value('code')), hex(value('salt')));
  expect(psk.toString('hex')).toBe(value('psk'));
});

test('the blobs and the end of section 7.3', () => {
  const [first = '', second = ''] = blocksOf('7.3');
  const [header = '', body = '', trailer = '', end = ''] = first.split('\n');
  const blob = decodeHeader(hex(header));
  expect([header, trailer, end].map((line) => hex(line).length)).toEqual([
    ENTRY_HEADER_BYTES,
    ENTRY_TRAILER_BYTES,
    ENTRY_HEADER_BYTES,
  ]);
  expect(blob).toMatchObject({ kind: 'layer', item: 7, size: 5, digest: digestOf(Buffer.from('hello')) });
  expect(hex(body).toString('latin1')).toBe('\0\0\0\x05hello\0\0\0\0');
  expect(decodeTrailer(hex(trailer))).toMatchObject({ complete: true, size: 5 });
  expect(decodeHeader(hex(end))).toEqual({ type: 'end', item: 7, blobs: 1, complete: true });
  const [chunked = '', same, digest = ''] = second.split('\n');
  expect(decodeHeader(hex(chunked))).toMatchObject({ kind: 'layer', item: 7, size: undefined });
  expect(same).toBe(body);
  expect(decodeTrailer(hex(digest))).toEqual({
    complete: true,
    size: 5,
    digest: digestOf(Buffer.from('hello')),
  });
});

test('the config of section 8 gets its manifest and its id', () => {
  const [config = '', manifest] = blocksOf('8');
  const { rootfs } = JSON.parse(config) as { rootfs: { diff_ids: [Digest] } };
  const made = manifestFor(Buffer.from(config), [{ digest: rootfs.diff_ids[0], size: 5 }]);
  expect(made.toString()).toBe(manifest);
  expect(section('8')).toContain(`these ${made.length} bytes`);
  expect(section('8')).toContain(`the id \`${digestOf(made)}\``);
});
