/** Against an archive from anywhere. */
import { type Mutation, tests } from '../mutation.ts';

const hostile = (title: string) => tests('test/hostile/archives.test.ts', title);
const stores = tests('test/agent/archive/stores.test.ts');

const WHOLE = 'It is read as a whole';
const ANEW = 'Metadata is made anew';

export const ARCHIVES: readonly Mutation[] = [
  {
    name: 'an entry may climb',
    file: 'agent/archive/entry-name.ts',
    find: "if (parts.includes('..')) throw leads(written);",
    replace: '',
    tests: hostile('a manifest as'),
    says: [WHOLE],
  },
  {
    name: 'an entry may have an absolute name',
    file: 'agent/archive/entry-name.ts',
    find: "if (written.startsWith('/')) throw leads(written);",
    replace: '',
    tests: hostile('absolute'),
    says: [WHOLE],
  },
  {
    name: 'a link may lead out of the archive',
    file: 'agent/archive/entry-name.ts',
    find: 'else if (parts.pop() === undefined) throw leads(link, name);',
    replace: 'else parts.pop();',
    tests: hostile('link'),
    says: [WHOLE],
  },
  {
    name: 'an entry may be there twice',
    file: 'agent/archive/tar-entries.ts',
    find: "if (name === '' || names.has(name))",
    replace: "if (name === '')",
    tests: hostile('two manifests'),
    says: [WHOLE],
  },
  {
    name: 'hard links and devices are taken for files',
    file: 'agent/archive/tar-entries.ts',
    find: "if (!isDirectory && type !== '0' && type !== '2')",
    replace: 'if (false)',
    tests: hostile('hard link'),
    says: [WHOLE],
  },
  {
    name: 'something may follow behind the end of a tar',
    file: 'agent/archive/tar-entries.ts',
    find: '    await input.expectZeros();\n',
    replace: '',
    tests: hostile('behind'),
    says: [WHOLE],
  },
  {
    name: 'an archive may have any number of entries',
    file: 'agent/archive/tar-entries.ts',
    find: 'if (entries === ENTRIES_MAX) throw',
    replace: 'if (false) throw',
    tests: tests('test/agent/archive/tar-entries.test.ts'),
    says: [WHOLE],
  },
  {
    name: 'what inflates has no bound',
    file: 'agent/archive/compression.ts',
    find: 'if (given > taken * INFLATED_FACTOR_MAX + INFLATED_ALLOWANCE_BYTES)',
    replace: 'if (false)',
    tests: hostile('bomb'),
    says: [WHOLE],
  },
  {
    name: 'a config is taken under the digest of another one',
    file: 'agent/archive/docker-archive.ts',
    find: 'if (digest !== undefined && facts.digest !== `sha256:${digest}`)',
    replace: 'if (false)',
    tests: hostile('a config under the digest of another one'),
    says: [WHOLE],
  },
  {
    name: 'a layer need not have the diffID that the config says',
    file: 'agent/archive/archived-image.ts',
    find: '  if (want === got) return;\n',
    replace: '  return;\n',
    tests: hostile('a layer whose diffID is of another one'),
    says: [WHOLE],
  },
  {
    name: 'metadata may fill the memory',
    file: 'agent/archive/contents.ts',
    find: 'if (this.#kept > METADATA_IN_MEMORY_MAX_BYTES)',
    replace: 'if (false)',
    tests: hostile('more metadata than is kept in memory'),
    says: [WHOLE],
  },
  {
    name: 'a file that was changed after it was checked is taken',
    file: 'agent/archive/archive-source.ts',
    find: "if (bytes !== size || `sha256:${hash.digest('hex')}` !== digest)",
    replace: 'if (bytes !== size)',
    tests: stores,
    says: [WHOLE],
  },
  {
    name: 'a blob of a layout may be a link',
    file: 'agent/archive/directory-contents.ts',
    find: 'constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK',
    replace: 'constants.O_RDONLY | constants.O_NONBLOCK',
    tests: stores,
    says: [WHOLE],
  },
  {
    name: 'an image may bring any number of bytes into files',
    file: 'agent/archive/blob-writer.ts',
    find: 'if (this.#bytes > this.#image.bytes * IMAGE_BYTES_FACTOR_MAX + IMAGE_BYTES_ALLOWANCE)',
    replace: 'if (false)',
    tests: tests('test/hostile/archive-receiver.test.ts'),
    says: ['Metadata has a bound of its own'],
  },
  {
    name: 'a name in an archive is not checked',
    file: 'agent/archive/archived-image.ts',
    find: '    !parsed ||\n    parsed.digest !== undefined ||',
    replace: '    !parsed ||',
    tests: hostile('a name with a digest'),
    says: [ANEW],
  },
];
