import { describe, expect, it } from 'vitest';
import { fileName } from '../../../agent/archive/each-sink.ts';
import { compressionByEnding } from '../../../agent/archive/open-store.ts';
import { entryName, linkTarget } from '../../../agent/archive/tar/entry-name.ts';
import { endpointText, parseEndpoint } from '../../../agent/ends/endpoint.ts';
import { testImage } from '../../memory.ts';

describe('a place', () => {
  it.each([
    ['docker-daemon:web:1.0', { kind: 'docker-daemon', reference: 'web:1.0' }],
    ['docker-daemon:', { kind: 'docker-daemon', reference: '' }],
    ['docker-archive:a/b.tar', { kind: 'docker-archive', path: 'a/b.tar' }],
    ['docker-archive:-:web:1.0', { kind: 'docker-archive', path: '-', reference: 'web:1.0' }],
    ['oci:dir:host:5000/x:1', { kind: 'oci', path: 'dir', reference: 'host:5000/x:1' }],
    ['dir:/x', { kind: 'dir', path: '/x' }],
  ])('%s', (text, place) => {
    expect(parseEndpoint(text)).toEqual(place);
    expect(endpointText(parseEndpoint(text))).toBe(text);
  });

  it.each(['web', 'web:1.0', 'docker://web', 'docker-archive:', 'oci:x:', 'oci:-', 'dir:x:y', ':x'])(
    'is not %s',
    (text) => {
      expect(() => parseEndpoint(text)).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );
});

it.each([
  ['a.tar', 'none'],
  ['a', 'none'],
  ['a.tar.gz', 'gzip'],
  ['a.tgz', 'gzip'],
  ['a.tar.zst', 'zstd'],
])('%s is compressed with %s', (path, compression) => {
  expect(compressionByEnding(path)).toBe(compression);
});

it.each([
  ['web:1.0', 'web_1.0.tar'],
  ['team/web:latest', 'team_web_latest.tar'],
  ['registry.example:5000/team/web:1.0', 'registry.example_5000_team_web_1.0.tar'],
])('%s goes into %s', async (name, file) => {
  expect(fileName((await testImage({ name })).image, 'tar')).toBe(file);
});

it('an image without a name goes into a file called by its id', async () => {
  const { image } = await testImage({ names: [] });
  expect(fileName(image, 'tar.zst')).toBe(`${image.id.slice(7, 19)}.tar.zst`);
});

it('names have one spelling, and stay inside', () => {
  expect(['./a//b/', 'a', '.', 'a/./b'].map(entryName)).toEqual(['a/b', 'a', '', 'a/b']);
  for (const bad of ['/a', '../a', 'a/../b', 'a/..'])
    expect(() => entryName(bad)).toThrow('leads out of the archive');
  expect(linkTarget('a/b', '../c/d')).toBe('c/d');
  for (const bad of ['/c', '../../c', ''])
    expect(() => linkTarget('a/b', bad)).toThrow('leads out of the archive');
});
