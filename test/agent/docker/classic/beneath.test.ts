/** Files below a directory that strangers have filled: what is opened, and what never is. */
import { execFileSync } from 'node:child_process';
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Beneath } from '../../../../agent/docker/classic/direct/beneath.ts';
import { Odd } from '../../../../agent/docker/classic/direct/odd.ts';
import { type ScratchDirectory, scratchDirectory } from '../../../rig/scratch.ts';

let scratch: ScratchDirectory;
let beneath: Beneath;
beforeAll(async () => {
  scratch = await scratchDirectory();
  const at = (...names: readonly string[]) => join(scratch.path, ...names);
  await mkdir(at('root/deep/deeper'), { recursive: true });
  await writeFile(at('secret'), 'of the host');
  await writeFile(at('root/plain'), 'plain');
  await writeFile(at('root/deep/deeper/file'), 'deep');
  await writeFile(Buffer.concat([Buffer.from(at('root/')), Buffer.from([0xff, 0x41])]), 'no UTF-8');
  await link(at('root/plain'), at('root/hard'));
  await symlink('plain', at('root/to-plain'));
  await symlink('../secret', at('root/out'));
  await symlink('deep', at('root/to-deep'));
  await symlink('/', at('root/to-root'));
  await mkdir(at('layer/usr/lib'), { recursive: true });
  await writeFile(at('layer/usr/lib/file'), 'of the layer');
  await symlink('usr/lib', at('layer/lib'));
  await symlink('./usr//../lib/../lib/file', at('layer/file'));
  await symlink('../lib', at('layer/usr/again'));
  await symlink('/usr/lib', at('layer/absolute'));
  await symlink('../secret', at('layer/out'));
  await symlink('lib/../../..', at('layer/climbs'));
  await symlink('round', at('layer/round'));
  await symlink('nowhere', at('layer/dangling'));
  execFileSync('mkfifo', [at('layer/fifo')]);
  execFileSync('mkfifo', [at('root/fifo')]);
  beneath = new Beneath(at('root'));
});
afterAll(async () => {
  beneath[Symbol.dispose]();
  await scratch[Symbol.asyncDispose]();
});

const read = (path: string) => beneath.read(path, 100).toString();
const oddity = (path: string): Odd => {
  try {
    closeSync(beneath.open(path).fd);
  } catch (error) {
    if (error instanceof Odd) return error;
    throw error;
  }
  throw new Error(`${path} was opened`);
};

describe('what is there is read', () => {
  it.each([
    ['plain', 'plain'],
    ['hard', 'plain'],
    ['deep/deeper/file', 'deep'],
    ['./deep//./deeper/file', 'deep'],
    ['/plain', 'plain'],
    ['\xffA', 'no UTF-8'],
  ])('%j', (path, content) => {
    expect(read(path)).toBe(content);
  });

  it('up to a bound', () => {
    expect(() => beneath.read('plain', 4)).toThrow('"plain" has more than 4 bytes');
  });
});

describe('what is odd is not opened', () => {
  it.each([
    ['a link to a file', 'to-plain', /is a link$/, false],
    ['a link out of it', 'out', /is a link$/, false],
    ['a linked directory', 'to-deep/deeper/file', /is below a file, or a link$/, false],
    ['a link to the root of the host', 'to-root/etc/passwd', /is below a file, or a link$/, false],
    ['a path that climbs', 'deep/../../secret', /climbs out of its directory$/, false],
    ['a path that climbs and comes back', 'deep/../plain', /climbs out of its directory$/, false],
    ['a FIFO', 'fifo', /is no regular file$/, true],
    ['a directory', 'deep', /is no regular file$/, true],
    ['what is not there', 'nothing', /is not there$/, false],
    ['below a file', 'plain/x', /is below a file, or a link$/, false],
    ['no name', './', /is no path of a file$/, false],
    ['a name with a NUL', 'pl\0ain', /cannot be read/, false],
  ] as const)('%s', (_, path, message, hopeless) => {
    const odd = oddity(path);
    expect(odd.message).toMatch(message);
    expect(odd.hopeless).toBe(hopeless);
  });

  it('and its name does what no terminal should do', () => {
    expect(oddity('\x1b[2J\x9b1m').message).toMatch(/^"[ -~]+" is not there$/);
  });
});

it('a thousand directories take 256 descriptors, and none is left', async () => {
  const many = join(scratch.path, 'many');
  for (let at = 0; at < 1000; at++) {
    await mkdir(join(many, `${at}`), { recursive: true });
    await writeFile(join(many, `${at}`, 'file'), `${at}`);
  }
  const before = descriptors();
  const of = new Beneath(many);
  for (const round of [0, 1])
    for (let at = 0; at < 1000; at++)
      expect([round, of.read(`${at}/file`, 9).toString()]).toEqual([round, `${at}`]);
  expect(descriptors() - before).toBeLessThanOrEqual(257);
  of[Symbol.dispose]();
  expect(descriptors()).toBeLessThanOrEqual(before);
});

function descriptors(): number {
  const mine = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8') !== '';
    } catch {
      return false;
    }
  });
  return mine.length;
}

describe('what another program would open', () => {
  let above: Beneath;
  beforeAll(() => {
    above = new Beneath(scratch.path);
  });
  afterAll(() => above[Symbol.dispose]());
  const check = (path: string) => () => above.check('layer', path);

  it.each(['usr/lib/file', '/usr//lib/./file', 'lib/file', 'usr/again/file', 'file'])(
    '%s is the layer’s own',
    (path) => {
      expect(check(path)).not.toThrow();
    },
  );

  it.each([
    ['absolute/file', /^"absolute\/file" leads out of its directory$/],
    ['absolute', /leads out of its directory$/],
    ['out', /leads out of its directory$/],
    ['climbs/secret', /leads out of its directory$/],
    ['round', /leads out of its directory$/],
    ['round/file', /leads out of its directory$/],
    ['dangling', /is not there$/],
    ['no/such', /is not there$/],
    ['lib/none', /is not there$/],
    ['../secret', /climbs out of its directory$/],
    ['fifo', /is no regular file$/],
    ['lib', /is no regular file$/],
    ['usr/lib/file/x', /is no regular file$/],
  ])('%s may be another one', (path, why) => {
    expect(check(path)).toThrow(Odd);
    expect(check(path)).toThrow(why);
  });

  it('and what is opened after that is what it was before', async () => {
    const many = Array.from({ length: 300 }, (_, at) => at);
    for (const at of many) {
      await mkdir(join(scratch.path, `many/d${at}`), { recursive: true });
      await writeFile(join(scratch.path, `many/d${at}/file`), `${at}`);
      await symlink(`d${at}`, join(scratch.path, `many/l${at}`));
    }
    expect(above.read('many/d0/file', 10).toString()).toBe('0');
    for (const at of many) above.check('many', `l${at}/file`);
    expect(above.read('many/d0/file', 10).toString()).toBe('0');
  });
});
