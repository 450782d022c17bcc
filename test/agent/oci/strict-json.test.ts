/** What Go's encoding/json and JSON.parse read differently is read by nobody. */
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { ARCHIVE_KEYS, CONFIG_KEYS, LAYOUT_KEYS, MANIFEST_KEYS } from '../../../agent/oci/image-keys.ts';
import { checkConfig, readConfig, readMetadata } from '../../../agent/oci/metadata.ts';
import { type KnownKeys, parseJson, strictJson } from '../../../agent/oci/strict-json.ts';

const refusal = (says: string | RegExp) =>
  expect.objectContaining({ code: 'integrity', message: expect.stringMatching(says) });
const read = (text: string | Buffer, keys: KnownKeys | null) =>
  strictJson(Buffer.from(text as string), 'the document', keys);

describe('a key that stands twice is refused', () => {
  it.each([
    ['one after the other', '{"os":"linux","os":"windows"}', /has the key "os" twice/],
    ['spelled with an escape', String.raw`{"os":"linux","\u006fs":"windows"}`, /has the key "os" twice/],
    ['far apart', `{"a":1,${'"b":[{"a":2}],'.repeat(1)}"c":{},"a":3}`, /the key "a" twice/],
    ['in an object inside arrays', '[[{"x":{"y":1,"y":1}}]]', /the key "y" twice/],
    ['in a map of labels', '{"config":{"Labels":{"a":"1","a":"2"}}}', /the key "a" twice/],
    ['in annotations', '{"annotations":{"a":"1","a":"2"}}', /the key "a" twice/],
    ['in what nobody knows', '{"x":{"y":{"z":1,"z":1}}}', /the key "z" twice/],
    ['empty', '{"":1,"":2}', /the key "" twice/],
    ['as what is no Unicode', String.raw`{"\ud800":1,"\ud801":2}`, /twice/],
    ['of a name that JavaScript has', '{"__proto__":1,"__proto__":2}', /the key "__proto__" twice/],
  ])('%s', (_where, text, says) => {
    for (const keys of [CONFIG_KEYS, MANIFEST_KEYS, null])
      expect(() => read(text, keys)).toThrow(refusal(says));
  });

  it('but not in two objects', () => {
    const text = '[{"a":{"a":1}},{"a":[{"a":2},{"a":3}]}]';
    expect(read(text, null)).toEqual(JSON.parse(text));
  });
});

describe('a key that differs from a known one only in case is refused', () => {
  it.each<[string, KnownKeys, string, string]>([
    ['beside it', CONFIG_KEYS, '{"os":"linux","OS":"windows"}', '"OS", which some readers take for "os"'],
    ['alone', CONFIG_KEYS, '{"Os":"linux"}', '"Os"'],
    ['with the long s', CONFIG_KEYS, '{"o\u017f":"linux"}', 'for "os"'],
    ['with the sign of Kelvin', CONFIG_KEYS, '{"config":{"\u212aILL":1,"WorKingDir":"/"}}', '"WorKingDir"'],
    ['of what runs', CONFIG_KEYS, '{"config":{"entrypoint":["/x"]}}', 'for "Entrypoint"'],
    ['of the layers', CONFIG_KEYS, '{"rootfs":{"Diff_IDs":[]}}', 'for "diff_ids"'],
    ['of the history', CONFIG_KEYS, '{"history":[{},{"Empty_layer":true}]}', 'for "empty_layer"'],
    ['of a manifest', MANIFEST_KEYS, '{"Layers":[]}', 'for "layers"'],
    ['of the other kind of manifest', MANIFEST_KEYS, '{"MANIFESTS":[]}', 'for "manifests"'],
    ['of a descriptor', MANIFEST_KEYS, '{"layers":[{"Digest":"x"}]}', 'for "digest"'],
    ['of a platform', MANIFEST_KEYS, '{"manifests":[{"platform":{"OS.version":""}}]}', 'for "os.version"'],
    ['of manifest.json', ARCHIVE_KEYS, '[{"config":"x"}]', 'for "Config"'],
    ['of oci-layout', LAYOUT_KEYS, '{"imagelayoutversion":"1.0.0"}', 'for "imageLayoutVersion"'],
  ])('%s', (_where, keys, text, says) => {
    expect(() => read(text, keys)).toThrow(refusal(says));
  });

  it('but not where keys are free, nor under what is not known', () => {
    const text =
      '{"config":{"Labels":{"os":"1","OS":"2","Os":"3"}},"x":{"Layers":1},"moby.buildkit":{"OS":1}}';
    expect(read(text, CONFIG_KEYS)).toEqual(JSON.parse(text));
    const annotations =
      '{"annotations":{"a":"1","A":"2"},"layers":[{"annotations":{"digest":"","Digest":""}}]}';
    expect(read(annotations, MANIFEST_KEYS)).toEqual(JSON.parse(annotations));
  });
});

describe('what is no JSON, or too much of it, is refused', () => {
  it.each<[string, string | Buffer, RegExp]>([
    ['nothing', '', /is not JSON/],
    ['a comment', '{}//', /is not JSON/],
    ['a comma at the end', '{"a":1,}', /is not JSON/],
    ['more behind the end', '{} {}', /is not JSON/],
    ['a byte order mark', '\ufeff{}', /is not JSON/],
    ['what is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), /is not JSON/],
    ['arrays without an end', '['.repeat(4_000_000), /nests deeper than 100 levels/],
    ['objects without an end', '{"a":'.repeat(800_000), /nests deeper than 100 levels/],
    ['more than 4 MiB', ' '.repeat(4 * 2 ** 20 + 1), /has 4194305 bytes, more than 4194304/],
  ])('%s', (_what, text, says) => {
    const started = performance.now();
    expect(() => read(text, null)).toThrow(refusal(says));
    // JSON.parse alone takes seconds for the depth.
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('and a key is shown in few words, however long it is', () => {
    const key = 'x'.repeat(1_000_000);
    expect(() => read(`{"${key}":1,"${key}":2}`, null)).toThrow(refusal(/^.{1,150}$/));
  });
});

it('4 MiB of small objects are read in one pass', () => {
  const layers = Array.from({ length: 36_000 }, (_, size) => ({ digest: `sha256:${'0'.repeat(64)}`, size }));
  const text = JSON.stringify({ layers });
  expect(text.length).toBeGreaterThan(3 * 2 ** 20);
  expect(read(text, MANIFEST_KEYS)).toEqual({ layers });
});

it('all that reads an image goes by it', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const bytes = (text: string) => Buffer.from(text);
  const says = refusal(/ twice$/);
  expect(() => readConfig(bytes('{"os":"linux","os":"windows"}'))).toThrow(says);
  expect(() => checkConfig(bytes('\n\n {"os":"linux","os":"windows"}'))).toThrow(says);
  expect(() => readMetadata(bytes('{"layers":[],"layers":[]}'), 'manifest')).toThrow(says);
  expect(() => readMetadata(bytes(`{"manifests":[{"digest":"${digest}","digest":"x"}]}`), 'index')).toThrow(
    says,
  );
  expect(() => parseJson(v.object({}), bytes('{"a":1,"a":1}'), 'x', null)).toThrow(says);
  // That of an artifact need not be JSON.
  checkConfig(bytes('os: linux'));
});
