import { describe, expect, it } from 'vitest';
import { LayerPaths } from '../../../../agent/docker/classic/layer-paths.ts';
import { paxHeader, type RawEntry, rawEntry, rawTar } from '../../../hostile/raw-tar.ts';

const file = (name: string, body = 'content'): RawEntry => ({ name, body });
const link = (name: string, linkName: string): RawEntry => ({ name, type: '2', linkName });
const folder = (name: string): RawEntry => ({ name, type: '5' });

/** Looked through in pieces of every length that matters. */
function look(...parts: readonly (RawEntry | Buffer)[]): void {
  const tar = rawTar(...parts);
  for (const length of [1, 100, 512, 1_000, tar.length]) {
    const paths = new LayerPaths();
    for (let at = 0; at < tar.length; at += length) paths.add(tar.subarray(at, at + length));
  }
}

/** An entry with other bytes at these places of its header, and the checksum that goes with them. */
function changed(entry: RawEntry, changes: readonly (readonly [at: number, text: string])[]): Buffer {
  const block = rawEntry(entry);
  for (const [at, text] of changes) block.write(text, at, 'latin1');
  block.write('        ', 148);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const LONG = `${'d'.repeat(60)}/${'e'.repeat(60)}`;

describe('a layer for a classic engine', () => {
  it.each<readonly [string, readonly (RawEntry | Buffer)[]]>([
    ['files, folders and links to anywhere', [folder('etc/'), file('etc/a'), link('etc/b', '/etc/shadow')]],
    ['a file behind a link to its neighbour', [folder('usr/lib/'), link('lib', 'usr/lib'), file('lib/a')]],
    ['one behind a link that climbs, and not too far', [link('usr/lib', '../lib'), file('usr/lib/a')]],
    ['a file without content behind any link', [link('a', '/etc'), file('a/b', '')]],
    [
      'a long name and a long target',
      [
        rawEntry({ name: 'x', type: 'K', body: `${LONG}\0` }),
        rawEntry({ name: 'x', type: 'L', body: `${LONG}\0` }),
        link('ddd', 'ddd'),
      ],
    ],
    ['a hard link', [file('a'), { name: 'b', type: '1', linkName: 'a' }]],
    [
      'devices and pipes',
      [
        { name: 'dev/null', type: '3' },
        { name: 'run/pipe', type: '6' },
      ],
    ],
    ['a long name, of GNU', [rawEntry({ name: '././@LongLink', type: 'L', body: `${LONG}\0` }), file('ddd')]],
    [
      'a long name, of pax',
      [
        paxHeader([
          ['path', LONG],
          ['mtime', '1.5'],
        ]),
        file('ddd'),
      ],
    ],
    ['a name in two parts', [changed(file('name'), [[345, 'a/folder']]), file('b')]],
    ['names that are no UTF-8', [{ name: Buffer.from([0x61, 0xff]), body: 'x' }, file('b')]],
    ['nothing', []],
  ])('may have %s', (_what, parts) => {
    expect(() => look(...parts)).not.toThrow();
  });

  it.each<readonly [string, readonly (RawEntry | Buffer)[]]>([
    ['a file behind a link to the host', [link('a', '/etc'), file('a/shadow')]],
    ['a folder that becomes such a link behind the file', [file('a/shadow'), link('a', '/etc')]],
    ['such a folder further up', [file('a/b/c/shadow'), link('a/b', '/etc')]],
    ['one that becomes any link', [file('a/shadow'), link('a', 'b')]],
    ['a link that climbs out of the layer', [link('a', '../../etc'), file('a/shadow')]],
    ['one that climbs from behind another one', [link('b', '/x'), link('a', 'b/../etc'), file('a/shadow')]],
    ['a link to a link to the host', [link('b', '/etc'), link('a', 'b'), file('a/shadow')]],
    ['links without an end', [link('a', 'b'), link('b', 'a'), file('a/shadow')]],
    ['a hard link to a link', [link('b', '/etc'), { name: 'a', type: '1', linkName: 'b' }, file('a/shadow')]],
    ['a link in place of a file, by another way', [link('l', 'x'), file('x/f'), link('l/f', '/etc/shadow')]],
    ['a link in place of a file that came by another way', [link('l', 'x'), file('l/f'), link('x/f', '/f')]],
    ['a device in place of such a file', [link('l', 'x'), file('l/f'), { name: 'x/f', type: '4' }]],
    [
      'a name by GNU’s header',
      [rawEntry({ name: 'x', type: 'L', body: 'a/shadow\0' }), file('b'), link('a', '/etc')],
    ],
    ['a name by pax', [paxHeader([['path', 'a/shadow']]), file('b'), link('a', '/etc')]],
    ['a target by pax', [paxHeader([['linkpath', '/etc']]), link('a', 'b'), file('a/shadow')]],
    ['a link in place of a file', [file('/x'), link('x', '/etc/shadow')]],
    ['a device in place of a file', [file('/x'), { name: 'x', type: '4' }]],
    ['another spelling', [file('./x/..//a/shadow'), link('/a/', '/etc')]],
  ])('may not have %s', (_what, parts) => {
    expect(() => look(...parts)).toThrow(/the engine would read a file of its host for one of the layer: "/);
  });

  it.each<readonly [string, readonly (RawEntry | Buffer)[]]>([
    ['a name that climbs', [file('../a')]],
    [
      'a name that an empty one takes back',
      [
        file('a/shadow'),
        paxHeader([
          ['path', 'other'],
          ['path', ''],
        ]),
        link('a', '/etc'),
      ],
    ],
    [
      'two targets',
      [
        paxHeader([
          ['linkpath', 'b'],
          ['linkpath', 'c'],
        ]),
        link('a', 'b'),
      ],
    ],
    ['an empty name by GNU’s header', [rawEntry({ name: 'x', type: 'L', body: '\0' }), file('b')]],
    ['a name of more than 4,096 bytes', [paxHeader([['path', `${'d/'.repeat(2_048)}e`]]), file('b')]],
    ['a file whose name is that of a folder', [file('a/')]],
    ['the same, of an old tar', [changed(file('a/'), [[156, '\0']])]],
    [
      'a name that some forget for another header',
      [paxHeader([['path', 'a']]), paxHeader([['k', 'v']], 'g'), file('c')],
    ],
    [
      'two extended headers',
      [paxHeader([['path', 'a']]), rawEntry({ name: 'x', type: 'L', body: 'a\0' }), file('c')],
    ],
    [
      'two names',
      [
        paxHeader([
          ['path', 'a'],
          ['path', 'b'],
        ]),
        file('c'),
      ],
    ],
    ['two sizes', [paxHeader([['size', '3']]), file('c')]],
    ['a sparse file', [{ name: 'a', type: 'S', body: 'x' }]],
    ['a sparse file of pax', [paxHeader([['GNU.sparse.major', '1']]), file('c')]],
    ['a name for all that follows', [paxHeader([['path', 'a']], 'g'), file('c')]],
    ['a folder with content', [{ ...folder('a/'), body: 'x' }]],
    [
      'a name that only some take for one of two parts',
      [
        changed(file('n'), [
          [345, 'a'],
          [263, '  '],
        ]),
      ],
    ],
    ['no header', [Buffer.alloc(512, 'x')]],
    ['a damaged extended header', [rawEntry({ name: 'x', type: 'x', body: '8 path=a\n' }), file('c')]],
  ])('may not have %s, which engines may read in several ways', (_what, parts) => {
    expect(() => look(...parts)).toThrow(/which engines may read in several ways$/);
  });
});
