/** Against a sender that has the code and wants what is on the target. */
import { type Mutation, tests } from '../mutation.ts';

const stolen = (pattern: string) => tests('test/hostile/private-images.test.ts', pattern);

const READS = 'A sender reads no image';
const DIGITS = 'The full digest of an image';
const LAYER = 'Even if it knows a digest';
const PRESENT = 'An image counts as present only';
const PUSHED = 'Nothing is pushed unless';
const BEFORE = 'If the index was on the target before';
const ANSWER = 'What a registry answers';

export const PRIVATE_IMAGES: readonly Mutation[] = [
  {
    name: 'any blob of a containerd store stands for a layer',
    file: 'agent/docker/containerd/inventory.ts',
    find: "return store === 'classic' ? layers.hasDiffId(digest) : layers.has(digest);",
    replace: 'return layers !== undefined;',
    tests: stolen('is no layer'),
    says: [READS, LAYER],
  },
  {
    name: 'a blob counts as a layer that was to come and did not',
    file: 'agent/docker/containerd/inventory.ts',
    find: 'planned.has(digest) && !(known.has(digest) && lies(digest))',
    replace: 'planned.has(digest) && !lies(digest)',
    tests: stolen('nor is it one that an image before was to bring'),
    says: [READS, LAYER],
  },
  {
    name: 'metadata of images counts as layers where a manifest says so',
    file: 'agent/docker/containerd/store-graph.ts',
    find: '!metadata.has(digest) && (uncompressed !== undefined || layers.has(digest))',
    replace: 'uncompressed !== undefined || layers.has(digest)',
    tests: tests('test/agent/docker/containerd/store-graph.test.ts'),
    says: [LAYER],
  },
  {
    name: 'a plan tells full digests in its texts',
    file: 'agent/peer/discretion.ts',
    find: 'return this.#offered.has(digest) ? found : shortId(digest);',
    replace: 'return found;',
    tests: stolen('12 digits'),
    says: [DIGITS],
  },
  {
    name: 'a classic store has an image whose id is offered',
    file: 'agent/docker/classic/classic-store.ts',
    find: 'there?.Id === id && sameDigests(there.RootFS.Layers ?? [], diffIds)',
    replace: 'there?.Id === id && diffIds',
    tests: stolen('on 20 are not had by their id alone'),
    says: [PRESENT],
  },
  {
    name: 'a containerd store has an image whose id is offered',
    file: 'agent/docker/containerd/inventory.ts',
    find: 'if (await hasLayers(content, config.digest, diffIds)) return true;',
    replace: 'return true;',
    tests: stolen('on 28c are not had by their id alone'),
    says: [PRESENT],
  },
  {
    name: 'a push that nobody allowed is made for the asking',
    file: 'agent/commands/receive.ts',
    find: 'if (asked && options.push === undefined)',
    replace: 'if (asked && false)',
    tests: stolen('are not pushed for a sender that asks'),
    says: [PUSHED],
  },
  {
    name: 'a pattern of --push allows other registries',
    file: 'agent/choose/target-pattern.ts',
    find: 'reference.domain === domain &&',
    replace: '',
    tests: tests('test/agent/choose/target-pattern.test.ts'),
    says: [PUSHED, 'A pattern never matches a name in a registry'],
  },
  {
    name: 'a rule may take its registry from the name that the sender chose',
    file: 'agent/push/policy.ts',
    find: 'made?.name === target && made.registry === reference.domain && !isNear(reference.domain)',
    replace: 'made?.name === target && !isNear(reference.domain)',
    tests: tests('test/agent/push/policy.test.ts'),
    says: [PUSHED],
  },
  {
    name: 'an address is pushed to without a pattern',
    file: 'agent/push/policy.ts',
    find: 'made.registry === reference.domain && !isNear(reference.domain)',
    replace: 'made.registry === reference.domain',
    tests: tests('test/agent/push/policy.test.ts'),
    says: [PUSHED],
  },
  {
    name: 'an index is pushed with manifests that did not come',
    file: 'agent/push/pushing-sink.ts',
    find: 'else if (foreign.length > 0)',
    replace: 'else if (foreign.length < 0)',
    tests: stolen('an index that names a private manifest'),
    says: [READS, PUSHED],
  },
  {
    name: 'a manifest or an index may call anything anything',
    file: 'agent/oci/graph.ts',
    find: '    checkTypes(read);\n',
    replace: '',
    tests: stolen('is refused'),
    says: [READS, PUSHED],
  },
  {
    name: 'a manifest of an index that is there may have layers of others',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (offered.has(digest) && (plain || own)) continue;',
    replace: 'if (plain || own) continue;',
    tests: stolen('a forged manifest that has the config of the sender'),
    says: [PUSHED, BEFORE],
  },
  {
    name: 'a manifest of an index that is there may have a config of others',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (offered.has(digest) && (plain || own)) continue;',
    replace: 'if (offered.has(digest)) continue;',
    tests: stolen('a forged manifest that has a private config'),
    says: [PUSHED, BEFORE],
  },
  {
    name: 'whatever came as metadata counts as a manifest that was sent',
    file: 'agent/oci/image-parts.ts',
    find: 'return new Set(this.#graph?.manifests.map(({ digest }) => digest));',
    replace: 'return new Set(this.#metadata.keys());',
    tests: stolen('a forged manifest that comes as metadata'),
    says: [PUSHED],
  },
  {
    name: 'the sender hears what the registry said',
    file: 'agent/peer/pushed.ts',
    find: 'problem: error && problem,',
    replace: 'problem: error && problem, said: error?.message,',
    tests: tests('test/agent/peer/pushed.test.ts'),
    says: [ANSWER],
  },
];
