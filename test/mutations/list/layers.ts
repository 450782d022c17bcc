/** Against an image whose layers lead a reader out of them. */
import { type Mutation, tests } from '../mutation.ts';

const beneath = (title: string) => tests('test/agent/docker/classic/beneath.test.ts', title);
const odd = (title: string) => tests('test/hostile/odd-layers.test.ts', title);
const direct = (title: string) => tests('test/e2e/direct.test.ts', title);

const BENEATH = 'agent/docker/classic/direct/beneath.ts';
const FILES = 'agent/docker/classic/direct/layer-files.ts';
const IMAGE = 'agent/docker/classic/direct/direct-image.ts';

const NO_LINK = "Below a layer's directory, which";
const REGULAR = 'Only regular files are';
const WHOLE = 'A layer goes out as whole only';
const BOUND = 'At most 256 directories';
const OWN = 'An engine says itself where its data are';
const SAVED = 'If anything is odd';

export const LAYERS: readonly Mutation[] = [
  {
    name: 'an engine may name data that are not its own',
    file: 'agent/docker/classic/direct/layer-store.ts',
    find: 'if (engine.uid !== data.uid) return',
    replace: 'if (engine.uid === -1) return',
    tests: tests('test/agent/docker/classic/layer-store.test.ts'),
    says: [OWN],
  },
  {
    name: 'links of a layer are followed',
    file: BENEATH,
    find: 'flags | O_NOFOLLOW',
    replace: 'flags',
    tests: beneath('link'),
    says: [NO_LINK],
  },
  {
    name: 'a path of a layer may climb',
    file: BENEATH,
    find: "if (components.includes('..')) throw new Odd('climbs out of its directory', path);",
    replace: '',
    tests: beneath('climbs'),
    says: [NO_LINK],
  },
  {
    name: 'whatever stands for a file of a layer is read',
    file: BENEATH,
    find: "if (type !== constants.S_IFREG) throw new Odd('is no regular file', path, { hopeless: true });",
    replace: '',
    tests: beneath('a FIFO'),
    says: [REGULAR],
  },
  {
    name: 'what stands for a file of a layer is opened before it is looked at',
    file: BENEATH,
    find: 'this.#openIn(directory, name, O_PATH, path)',
    replace: 'this.#openIn(directory, name, O_RDONLY | O_NONBLOCK, path)',
    tests: odd('a fifo'),
    says: [REGULAR],
  },
  {
    name: 'a directory that was closed is taken for another one',
    file: BENEATH,
    find: 'if (this.#latest?.fd === fd) this.#latest = undefined;',
    replace: '',
    tests: beneath('what is opened after that'),
    says: [NO_LINK],
  },
  {
    name: 'a layer need not hash to its diffID',
    file: FILES,
    find: 'if (came !== layer.diffId)',
    replace: 'if (false)',
    tests: direct('a file that is another by now'),
    says: [WHOLE],
  },
  {
    name: 'any number of directories stays open',
    file: BENEATH,
    find: 'this.#directories.size > DIRECTORIES_MAX',
    replace: 'false',
    tests: beneath('a thousand directories'),
    says: [BOUND],
  },
  {
    name: 'an odd layer is left out',
    file: IMAGE,
    find: 'if (left.length > 0) return',
    replace: 'if (false) return',
    tests: direct('a linked directory'),
    says: [SAVED],
  },
  {
    name: 'an engine is asked for what it cannot read',
    file: IMAGE,
    find: 'if (error.hopeless)',
    replace: 'if (false)',
    tests: direct('what no engine can save'),
    says: [SAVED],
  },
];
