/** Against a receiver that has the code and lies: what a sender checks. */
import { type Mutation, tests } from '../mutation.ts';

const evil = (pattern?: string) => tests('test/hostile/evil-receiver.test.ts', pattern);
const answers = evil('answers that end the session|messages that end the session');

const ASKED = 'It gets what it asked for';
const CHECKED = 'Its answers are checked against the offer';

export const RECEIVER: readonly Mutation[] = [
  {
    name: 'a layer is sent that was not offered',
    file: 'agent/peer/wire-images.ts',
    find: 'if (digests.some((digest) => !offered.has(digest)))',
    replace: 'if (false)',
    tests: answers,
    says: [ASKED, CHECKED],
  },
  {
    name: 'an image is sent that is present or refused',
    file: 'agent/move/passage.ts',
    find: "return this.answer.action === 'send';",
    replace: 'return true;',
    tests: evil('nothing for images that are present or refused'),
    says: [ASKED],
  },
  {
    name: 'all layers of an image are sent, whatever is missing',
    file: 'agent/move/schedule.ts',
    find: 'from.blobs(passage.wanted,',
    replace: 'from.blobs(undefined,',
    tests: evil('one layer to a receiver that wants one'),
    says: [ASKED],
  },
  {
    name: 'a receiver gets more than its window',
    file: 'proto/outgoing.ts',
    find: 'return Math.min(this.#limit - this.#sent.to, this.#sent.free);',
    replace: 'return this.#sent.free;',
    tests: tests('test/proto/lane.test.ts', 'two lanes'),
    says: [ASKED],
  },
  {
    name: 'layers are sent as often as a receiver asks',
    file: 'agent/peer/sent-image.ts',
    find: 'if (!again || this.#result?.value)',
    replace: 'if (!again)',
    tests: evil('nothing more to a receiver that asks again'),
    says: [ASKED],
  },
  {
    name: 'an answer may be about another image',
    file: 'agent/peer/wire-images.ts',
    find: 'if (answered?.item !== number || !answersNames(image.names, answered.names))',
    replace: 'if (!answered || !answersNames(image.names, answered.refs))',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'an answer may name what was not offered',
    file: 'agent/peer/wire-images.ts',
    find: "if (source === undefined) throw violation('a name that was not offered');",
    replace: 'if (source === undefined) return { source: target, target };',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'an answer may leave names out',
    file: 'agent/peer/wire-images.ts',
    find: 'if (answered?.item !== number || !answersNames(image.names, answered.names))',
    replace: 'if (answered?.image !== number)',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'there may be more answers than offers',
    file: 'agent/peer/peer-sink.ts',
    find: 'if (!answers || answers.length + items.length > asked.length)',
    replace: 'if (!answers)',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'a result may come twice, or for what was not offered',
    file: 'agent/peer/sent-image.ts',
    find: 'if (!this.#result || this.#result.value)',
    replace: 'if (!this.#result)',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'a result may be under a name that was not offered',
    file: 'agent/peer/sent-image.ts',
    find: '    for (const name of result.names) fromWireName(this.image, name);\n',
    replace: '',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'a receiver may tell of pushes that nobody asked for',
    file: 'agent/peer/sent-image.ts',
    find: '    checkPushes(result, pushes);\n',
    replace: '',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'word of a push may come of any name, as often as one likes',
    file: 'agent/peer/sent-image.ts',
    find: '    checkPushed(message, result);\n',
    replace: '',
    tests: answers,
    says: [CHECKED],
  },
  {
    name: 'a hint of the other side is run',
    file: 'agent/peer/failure.ts',
    find: '  const code = BEFORE_SESSION',
    replace:
      "  if (hint) process.getBuiltinModule('node:child_process').spawnSync('sh', ['-c', hint]);\n  const code = BEFORE_SESSION",
    tests: evil('nothing that it says is run'),
    says: [CHECKED],
  },
];
