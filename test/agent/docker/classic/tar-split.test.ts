/** What stands beside a layer's files: parts of a tar, however the lines are cut, and what is none. */
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Odd } from '../../../../agent/docker/classic/direct/odd.ts';
import { type Part, partsOf } from '../../../../agent/docker/classic/direct/tar-split.ts';

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64');
const segment = (text: string) => ({ type: 2, payload: base64(text), position: 0 });

async function parts(lines: string, cut = 7): Promise<readonly Part[]> {
  const bytes = gzipSync(lines);
  const pieces = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, at) =>
    bytes.subarray(at * cut, (at + 1) * cut),
  );
  const found: Part[] = [];
  for await (const some of partsOf(Readable.from(pieces), 'split')) found.push(...some);
  return found;
}

const oddity = (lines: string) =>
  parts(lines).then(
    () => 'nothing',
    (error: unknown) => (error instanceof Odd ? error.message : String(error)),
  );

it('segments and files, in their order; files of no bytes are left out', async () => {
  const lines = [
    segment('head'),
    { type: 1, name: 'a/b', size: 3, payload: 'AAAAAAAAAAA=', position: 1 },
    { type: 1, name: 'empty', payload: '', position: 2 },
    { type: 1, name: '<&> \u00e9', size: 1, payload: '', position: 3 },
    { type: 1, name_raw: base64(new Uint8Array([0xff, 0x2f, 0x41])), size: 2, payload: '', position: 4 },
    segment('tail'),
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  for (const cut of [1, 7, 1000])
    expect(await parts(text, cut)).toEqual([
      { base64: base64('head') },
      { path: 'a/b', size: 3 },
      { path: '<&> \xc3\xa9', size: 1 },
      { path: '\xff/A', size: 2 },
      { base64: base64('tail') },
    ]);
});

it('a last line that has no end', async () => {
  expect(await parts(JSON.stringify(segment('x')))).toEqual([{ base64: base64('x') }]);
});

describe('what is none', () => {
  it.each([
    ['no JSON', '{"type":2,', /is no JSON$/],
    ['no object', '7', /is no JSON$/],
    ['an unknown kind', '{"type":3,"payload":""}', /of no known kind$/],
    ['a size below nothing', '{"type":1,"name":"x","size":-1}', /of no known kind$/],
    ['a size that is no number', '{"type":1,"name":"x","size":"1"}', /of no known kind$/],
    ['a line without end', 'x'.repeat(17 * 2 ** 20), /has a line that is too long$/],
  ])('%s', async (_, lines, message) => {
    expect(await oddity(`${lines}\n`.slice(0, lines.length > 1e6 ? -1 : undefined))).toMatch(message);
  });

  it('no gzip, and one that was cut', async () => {
    const read = async (bytes: Buffer) => {
      for await (const _ of partsOf(Readable.from([bytes]), 'split'));
    };
    await expect(read(Buffer.from('no gzip at all'))).rejects.toThrow('"split" is no gzip');
    const whole = gzipSync(`${JSON.stringify(segment('x'.repeat(1000)))}\n`);
    await expect(read(whole.subarray(0, -9))).rejects.toThrow('"split" is no gzip');
  });
});
