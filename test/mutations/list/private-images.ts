/** Against a sender that has the code and wants what is on the target. */
import { type Mutation, tests } from '../mutation.ts';

const stolen = (pattern: string) => tests('test/hostile/private-images.test.ts', pattern);
const named = (pattern: string) => tests('test/hostile/private-indexes.test.ts', pattern);
const BENEATH = tests('test/agent/docker/classic/beneath.test.ts');
const files = (pattern: string) => tests('test/hostile/private-files.test.ts', pattern);
const podman = (pattern: string) => tests('test/hostile/private-podman.test.ts', pattern);
const PUSHABLE = tests('test/agent/docker/containerd/pushable.test.ts');

const READS = 'A sender reads no image';
const DIGITS = 'The full digest of an image';
const LAYER = 'Even if it knows a digest';
const LOOKS = 'Of the blobs that containerd has not unpacked itself';
const FILES = 'Nor does a sender read other files';
const SEEN = 'If imgmv sees the engine';
const REGULAR = 'Each has to be a regular file';
const UNSEEN = 'If a receiver that may push does not see';
const MADE_ANEW = 'A classic engine, and podman, keeps no tars';
const FUSE = 'What an engine keeps with fuse-overlayfs';
const UNNAMED = 'If the sender did not name that index';
const PRESENT = 'An image counts as present only';
const PUSHED = 'Nothing is pushed unless';
const NAMES = 'An image is pushed only if everything';
const STILL = 'If its index names an index that did not come';
const AGAIN = 'This is checked again before each try';
const ONE = 'If its index names manifests of other platforms';
const ONE_ONLY = 'Exactly one manifest of the index';
const OFFERED = 'If the offer spells its platform';
const MOVED = 'A name that another image has got';
const SLOW = 'If the engine takes a second or more';
const BEFORE = 'If the index was on the target before';
const PODMAN = 'Podman is given the full name';
const ANSWER = 'What a registry answers';

export const PRIVATE_IMAGES: readonly Mutation[] = [
  {
    name: 'any blob of a containerd store stands for a layer',
    file: 'agent/docker/containerd/inventory.ts',
    find:
      "    if (!(store === 'classic' ? layers.hasDiffId(digest) : layers.has(digest))) return false;\n" +
      '    return layers.isUnpacked(digest) || looksLikeLayer(content, digest);\n',
    replace: '    return layers !== undefined;\n',
    tests: stolen('is no layer'),
    says: [READS, LAYER],
  },
  {
    name: 'whatever a manifest calls a layer stands for one',
    file: 'agent/docker/containerd/inventory.ts',
    find: 'layers.isUnpacked(digest) || looksLikeLayer(content, digest)',
    replace: 'true',
    tests: named('the steps of a build'),
    says: [READS, LOOKS],
  },
  {
    name: 'a config with the mark of a tar is a tar',
    file: 'agent/docker/containerd/inventory.ts',
    find: "(isTar(head) && !JSON_BEGINS.test(head.toString('latin1')))",
    replace: 'isTar(head)',
    tests: tests('test/agent/docker/containerd/inventory.test.ts'),
    says: [LOOKS],
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
    find: 'if (foreign[0] !== undefined)',
    replace: 'if (foreign[0] === null)',
    tests: stolen('an index that names a private manifest is loaded'),
    says: [NAMES],
  },
  {
    name: 'a manifest or an index may call anything anything',
    file: 'agent/oci/graph.ts',
    find: '    checkTypes(read);\n',
    replace: '',
    tests: stolen('is refused'),
    says: [READS, NAMES],
  },
  {
    name: 'a manifest of an index that is there may have layers of others',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (offered.has(digest) && (plain || own)) continue;',
    replace: 'if (plain || own) continue;',
    tests: stolen('a forged manifest that has the config of the sender'),
    says: [NAMES, BEFORE],
  },
  {
    name: 'a manifest of an index that is there may have a config of others',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (offered.has(digest) && (plain || own)) continue;',
    replace: 'if (offered.has(digest)) continue;',
    tests: stolen('a forged manifest that has a private config'),
    says: [NAMES, BEFORE],
  },
  {
    name: 'what an index names need not have come with it',
    file: 'agent/oci/image-parts.ts',
    find: 'named.filter(({ digest }) => !came.has(digest))',
    replace: 'named.filter(() => false)',
    tests: {
      files: ['test/hostile/private-images.test.ts', 'test/hostile/private-indexes.test.ts'],
      pattern: '(comes as metadata, and counts as a layer|names a private image, is not pushed)',
    },
    says: [READS, NAMES],
  },
  {
    name: 'a manifest that is here counts as missing',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (!harmless || (await content.info(digest))) found',
    replace: 'if (!harmless) found',
    tests: named('becomes whole while its push waits'),
    says: [NAMES],
  },
  {
    name: 'what may still come is pushed with an index',
    file: 'agent/docker/containerd/pushable.ts',
    find: ' && !mayCome(digest);',
    replace: ';',
    tests: named('may bring as a layer'),
    says: [STILL],
  },
  {
    name: 'nobody notes what images of a session bring',
    file: 'agent/docker/engine-sink.ts',
    find: '    this.#expect(image);\n',
    replace: '',
    tests: named('may bring as a layer'),
    says: [STILL],
  },
  {
    name: 'an image brings nothing but layers',
    file: 'agent/docker/engine-sink.ts',
    find: 'of digestsOf(image)) this',
    replace: 'of image.diffIds) this',
    tests: named('may bring as its root'),
    says: [STILL],
  },
  {
    name: 'a digest that was cut is told, where it has no prefix',
    file: 'agent/peer/discretion.ts',
    find: '(?<![0-9a-f])[0-9a-f]{24,}',
    replace: '(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])',
    tests: tests('test/agent/peer/discretion.test.ts'),
    says: [DIGITS],
  },
  {
    name: 'an index that did not come counts as a manifest that is missing',
    file: 'agent/docker/containerd/pushable.ts',
    find: "kind === 'manifest' && engine.info",
    replace: 'kind && engine.info',
    tests: named('whose index below is on neither host'),
    says: [STILL],
  },
  {
    name: 'what may be pushed is looked at once',
    file: 'agent/push/pushing-sink.ts',
    find: 'const platform = async () => {\n        const { foreign, name, platform, unseen, withheld } = await pushable(ref.target);',
    replace:
      'const looked = pushable(ref.target);\n      const platform = async () => {\n        const { foreign, name, platform, unseen, withheld } = await looked;',
    tests: named('between two tries'),
    says: [AGAIN],
  },
  {
    name: 'a further try asks no more what may be pushed',
    file: 'agent/push/push.ts',
    find: '    const retries = absent.has(domain) ? 0 : RETRIES;\n',
    replace:
      '    const retries = absent.has(domain) ? 0 : RETRIES;\n' +
      '    const once = run.platform();\n    run = { ...run, platform: () => once };\n',
    tests: tests('test/agent/push/push.test.ts', 'before each try'),
    says: [AGAIN],
  },
  {
    name: 'an index is pushed whole though it names what is missing',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'return { foreign: found, platform: image.platform };',
    replace: 'return { foreign: found };',
    tests: PUSHABLE,
    says: [ONE],
  },
  {
    name: 'a manifest that is missing may be for the platform that is pushed',
    file: 'agent/docker/containerd/pushable.ts',
    find: '  found.push(...others, ...digestsOf(absent).filter((digest) => digest === one));\n',
    replace: '',
    tests: PUSHABLE,
    says: [ONE_ONLY],
  },
  {
    name: 'a platform in another spelling is another one',
    file: 'agent/docker/containerd/pushable.ts',
    find: '!isUsual(platform) || !isUsual(wanted)',
    replace: '!isUsual(wanted)',
    tests: PUSHABLE,
    says: [ONE_ONLY],
  },
  {
    name: 'a platform that the offer spells in its own way is no other one',
    file: 'agent/docker/containerd/pushable.ts',
    find: '!isUsual(platform) || !isUsual(wanted)',
    replace: '!isUsual(platform)',
    tests: named('in the sender’s own spelling'),
    says: [OFFERED],
  },
  {
    name: 'a name is pushed whichever image has it by now',
    file: 'agent/docker/engine-sink.ts',
    find: 'return { ...pushable, name: await lookAtName(this.#engine, name, targetId) };',
    replace: 'void lookAtName(this.#engine, name, targetId);\n      return pushable;',
    tests: named('that another session moves'),
    says: [MOVED],
  },
  {
    name: 'an engine may look for as long as it likes which image has a name',
    file: 'agent/docker/name-look.ts',
    find: 'if (now() - startedAt < LOOK_MAX_MS) return',
    replace: 'if (now() >= startedAt) return',
    tests: tests('test/agent/docker/name-look.test.ts'),
    says: [SLOW],
  },
  {
    name: 'what an engine could not say in time is pushed',
    file: 'agent/push/pushing-sink.ts',
    find: "        if (name === 'slow') throw isSlow(ref.target);\n",
    replace: '',
    tests: tests('test/agent/push/pushing-sink.test.ts', 'long to say'),
    says: [SLOW],
  },
  {
    name: 'an engine is not told which platform to push',
    file: 'agent/docker/engine.ts',
    find: ', ...(platform && { platform: JSON.stringify(platform) })',
    replace: '',
    tests: tests('test/agent/push/push.test.ts', 'asks for one platform'),
    says: [ONE],
  },
  {
    name: 'an engine that cannot push one platform pushes the whole index',
    file: 'agent/docker/containerd/pushable.ts',
    find: ' && engine.info.pushesPlatforms',
    replace: '',
    tests: PUSHABLE,
    says: [ONE],
  },
  {
    name: 'an engine is taken to push one platform before it could',
    file: 'agent/docker/engine-info.ts',
    find: "PUSHES_PLATFORMS = '1.46'",
    replace: "PUSHES_PLATFORMS = '1.45'",
    tests: tests('test/agent/docker/engine-info.test.ts'),
    says: [ONE],
  },
  {
    name: 'podman is told a short name of what it is to push',
    file: 'agent/docker/engine.ts',
    find: 'encodeName(this.#meantRepository(repository, tag))}/push?',
    replace: 'encodeName(repository)}/push?',
    tests: tests('test/agent/docker/engine.test.ts', 'names to podman in full'),
    says: [PODMAN],
  },
  {
    name: 'what a classic engine has made of layers is believed',
    file: 'agent/docker/engine-writer.ts',
    find: '    await this.#checkLoaded(id);\n',
    replace: '',
    tests: files('behind a link that was'),
    says: [FILES, MADE_ANEW, SEEN],
  },
  {
    name: 'layers that runs left are not looked at',
    file: 'agent/docker/engine-writer.ts',
    find: 'if (layers === undefined || this.#options.helpersThere()) return 0;',
    replace: 'if (layers === undefined) return 0;',
    tests: files('not loaded below another'),
    says: [SEEN],
  },
  {
    name: 'what an engine finishes of an image that was given up is not looked at',
    file: 'agent/docker/incoming.ts',
    find: '      await this.#checked(commit, name, lower);\n      throw error;',
    replace: '      throw error;',
    tests: podman('given up'),
    says: [SEEN],
  },
  {
    name: 'podman places a layer by what the offer says of it',
    file: 'agent/docker/classic/layer-stack.ts',
    find: 'const diffId = seen ?? ',
    replace: 'const diffId = ',
    tests: podman('not offered as what it is'),
    says: [SEEN],
  },
  {
    name: 'podman gets a layer twice, in two compressions',
    file: 'agent/oci/image-parts.ts',
    find: '      return same ?? placed;',
    replace: '      return placed;',
    tests: tests('test/agent/oci/image-parts.test.ts', 'as the same blob'),
    says: [SEEN],
  },
  {
    name: 'a layer may be another one than was offered',
    file: 'agent/oci/image-parts.ts',
    find: 'if (told !== undefined && told !== diffIds[at])',
    replace: 'if (told !== undefined && told === undefined)',
    tests: tests('test/agent/oci/image-parts.test.ts', 'offered as another one'),
    says: [SEEN],
  },
  {
    name: 'a layer that leads out is kept for the next run',
    file: 'agent/docker/incoming.ts',
    find: '      await this.#options.check(made.Id, upTo - layers.length, upTo);\n',
    replace: '',
    tests: files('in a large image'),
    says: [SEEN],
  },
  {
    name: 'a layer that leads out stays where it was committed',
    file: 'agent/docker/incoming.ts',
    find: '      await this.#drop([name]);\n      throw error;',
    replace: '      throw error;',
    tests: files('in a large image'),
    says: [REGULAR],
  },
  {
    name: 'an image from elsewhere is pushed unseen',
    file: 'agent/docker/classic/classic-store.ts',
    find: '...(odd && { withheld: odd.message })',
    replace: '',
    tests: files('from elsewhere'),
    says: [SEEN],
  },
  {
    name: 'an engine whose data are not seen pushes what it likes',
    file: 'agent/push/pushing-sink.ts',
    find: 'if (unseen && !this.#policy.trusts) throw',
    replace: 'if (unseen && unseen === undefined) throw',
    tests: tests('test/agent/push/pushing-sink.test.ts'),
    says: [FILES, UNSEEN],
  },
  {
    name: 'a receiver that cannot look pushes all the same',
    file: 'agent/ends/sink-end.ts',
    find: 'policy && !policy.trusts && (await',
    replace: 'policy && policy.trusts && (await',
    tests: files('ends before it shows a code'),
    says: [UNSEEN],
  },
  {
    name: 'podman is looked at where docker has its layers',
    file: 'agent/docker/classic/direct/layouts.ts',
    find: "kind === 'podman' ?",
    replace: 'kind !== kind ?',
    tests: podman('that leads to a file'),
    says: [FILES, SEEN],
  },
  {
    name: 'fuse-overlayfs is taken to find files as the kernel does',
    file: 'agent/docker/classic/direct/layer-store.ts',
    find: "    if (!this.#layout.findsOwn) return 'unseen';\n",
    replace: '',
    tests: tests('test/agent/docker/classic/layer-store.test.ts'),
    says: [FUSE],
  },
  {
    name: 'podman pushes for a sender what imgmv has looked at',
    file: 'agent/docker/podman/podman-store.ts',
    find: "    return 'which layers podman pushes does not show beforehand';\n",
    replace: '    return super.whyUnseen();\n',
    tests: podman('a receiver on podman'),
    says: [FUSE],
  },
  {
    name: 'an index that is here goes whole to whoever has one of its platforms',
    file: 'agent/docker/containerd/pushable.ts',
    find: 'if (absent.length === 0 && !unnamed) return',
    replace: 'if (absent.length === 0) return',
    tests: tests('test/hostile/private-platforms.test.ts'),
    says: [UNNAMED],
  },
  {
    name: 'a manifest that is here goes to whoever has its layers',
    file: 'agent/docker/containerd/pushable.ts',
    find: '  if (!isNamed && config.digest !== image.config) return false;\n',
    replace: '',
    tests: tests('test/hostile/private-platforms.test.ts', 'calling its own'),
    says: [UNNAMED],
  },
  {
    name: 'a link that leads out of a layer is followed',
    file: 'agent/docker/classic/direct/beneath.ts',
    find: "if (target.startsWith('/') || ++links > LINKS_FOLLOWED_MAX)",
    replace: 'if (++links > LINKS_FOLLOWED_MAX)',
    tests: BENEATH,
    says: [REGULAR],
  },
  {
    name: 'a layer may climb out of itself by a link',
    file: 'agent/docker/classic/direct/beneath.ts',
    find: "if (name === '..' && real.length === above.length)",
    replace: "if (name === '..' && real.length === 0)",
    tests: BENEATH,
    says: [REGULAR],
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
