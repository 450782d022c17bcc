/** Against false receivers, guesses and floods: the code, and what strangers get. */
import { type Mutation, tests } from '../mutation.ts';

const codes = tests('test/proto/code.test.ts');
const pairing = tests('test/agent/peer/pairing.test.ts');
const admission = tests('test/agent/peer/admission.test.ts');
const answers = tests('test/agent/peer/answers.test.ts');
const codePause = tests('test/agent/peer/code-pause.test.ts');
const listener = (pattern: string) => tests('test/hostile/listener.test.ts', pattern);

const HANDSHAKE_ONLY = 'Whoever answers in place of the receiver';
const NOTHING_MORE = 'The sender sends nothing more';
const OFFLINE = 'A false receiver can try codes offline';
const FIVE_TRIES = 'Five wrong tries burn a code';
const WAITS = 'An address that was wrong waits';
const TRIES = 'Only a proof that was made in a handshake';
const BROWSER = 'A web page cannot use up the tries';
const PAUSE = 'A receiver without `--once` makes a new code';
const NO_WORK = 'The code is stretched once';
const ANSWERED = 'It answers at most 5 of them';
const ALIKE = 'This holds for pairings, lanes';
const TURNS = 'Whoever comes too soon waits';
const REFUSED = 'A connection that is refused';
const PLACES = 'A receiver holds 32 connections';
const CROWDED = 'Where there is no room';
const HONEST = 'So 2,000 sockets that are held';
const MEMORY = 'Memory is bounded meanwhile.';

export const PAIRING: readonly Mutation[] = [
  {
    name: 'message 3 carries the name of this host',
    file: 'proto/channel.ts',
    find: 'checkPinned(handshake, credentials);\n    socket.send(handshake.writeMessage(new Uint8Array()));',
    replace:
      "checkPinned(handshake, credentials);\n    socket.send(handshake.writeMessage(Buffer.from('host-a')));",
    tests: tests('test/hostile/evil-receiver.test.ts', 'who pretends to be the receiver'),
    says: [HANDSHAKE_ONLY],
  },
  {
    name: 'the sender speaks before the receiver has proven the code',
    file: 'proto/lane.ts',
    find: 'if (!this.#dialled) this.#sendPair(RESUME, ...this.#incoming.resume());',
    replace: 'this.#sendPair(RESUME, ...this.#incoming.resume());',
    tests: tests('test/hostile/evil-receiver.test.ts', 'who pretends to be the receiver'),
    says: [NOTHING_MORE],
  },
  {
    name: 'the code is no part of the handshake',
    file: 'proto/noise.ts',
    find: 'this.#symmetric.mixKeyAndHash(required(this.#psk));',
    replace: 'this.#symmetric.mixKeyAndHash(Buffer.alloc(PSKLEN));',
    tests: tests('test/proto/channel.test.ts', 'a wrong code'),
    says: [NOTHING_MORE, FIVE_TRIES],
  },
  {
    name: 'a code has four words',
    file: 'proto/limits.ts',
    find: 'export const CODE_WORDS = 6;',
    replace: 'export const CODE_WORDS = 4;',
    tests: codes,
    says: [OFFLINE],
  },
  {
    name: 'a word is one of the first thousand',
    file: 'proto/code.ts',
    find: 'wordlist[randomInt(wordlist.length)]',
    replace: 'wordlist[randomInt(1_000)]',
    tests: codes,
    says: [OFFLINE],
  },
  {
    name: 'a code is hardly stretched',
    file: 'proto/limits.ts',
    find: 'export const SCRYPT_LOG2_N = 15;',
    replace: 'export const SCRYPT_LOG2_N = 5;',
    tests: codes,
    says: [OFFLINE],
  },
  {
    name: 'all codes are stretched with one salt',
    file: 'proto/channel.ts',
    find: 'return randomBytes(SALT_BYTES);',
    replace: 'return Buffer.alloc(SALT_BYTES);',
    tests: pairing,
    says: [OFFLINE],
  },
  {
    name: 'a code may be used again',
    file: 'agent/peer/pairing.ts',
    find: '    this.#used = true;\n',
    replace: '',
    tests: pairing,
    says: [OFFLINE, FIVE_TRIES],
  },
  {
    name: 'a sixth guess is tried',
    file: 'proto/limits.ts',
    find: 'export const CODE_WRONG_TRIES_MAX = 5;',
    replace: 'export const CODE_WRONG_TRIES_MAX = 6;',
    tests: pairing,
    says: [FIVE_TRIES],
  },
  {
    name: 'wrong tries are not counted',
    file: 'agent/peer/pairing.ts',
    find: '    this.#wrongTries++;\n',
    replace: '',
    tests: pairing,
    says: [FIVE_TRIES],
  },
  {
    name: 'guesses that come at once are all tried',
    file: 'agent/peer/listener.ts',
    find: '          if (death) throw death;\n',
    replace: '',
    tests: tests('test/hostile/flood.test.ts', 'guesses at once'),
    says: [FIVE_TRIES],
  },
  {
    name: 'a code outlives its time by the wall clock',
    file: 'agent/peer/pairing.ts',
    find: 'this.#clock.wall() >= this.expires || ',
    replace: '',
    tests: pairing,
    says: [FIVE_TRIES],
  },
  {
    name: 'a code outlives its time by the monotonic clock',
    file: 'agent/peer/pairing.ts',
    find: ' || this.#clock.monotonic() >= this.#deadline',
    replace: '',
    tests: pairing,
    says: [FIVE_TRIES],
  },
  {
    name: 'two senders at once are both in',
    file: 'agent/peer/listener.ts',
    find: '    pairing.use();\n    this.#accept = undefined;\n',
    replace: '',
    tests: listener('races'),
    says: [FIVE_TRIES],
  },
  {
    name: 'an address that guessed wrong waits no longer the second time',
    file: 'agent/peer/admission.ts',
    find: 'Math.min(PENALTY_MAX_MS, before * 2)',
    replace: 'Math.min(PENALTY_MAX_MS, PENALTY_MIN_MS)',
    tests: admission,
    says: [WAITS],
  },
  {
    name: 'an address that guessed wrong need not wait',
    file: 'agent/peer/listener.ts',
    find: '          if (waitMs > 0) {\n',
    replace: '          if (waitMs < 0) {\n',
    tests: listener('an address that guessed wrong waits'),
    says: [WAITS],
  },
  {
    name: 'the code is stretched for each stranger',
    file: 'agent/peer/listener.ts',
    find: 'credentials: pairing.psk.then((psk) => ({ s, psk })), pairing };',
    replace:
      "credentials: import('../../proto/code.ts').then(({ deriveKey }) => deriveKey(pairing.code, pairing.salt)).then((psk) => ({ s, psk })), pairing };",
    tests: tests('test/hostile/flood.test.ts', 'strangers are answered with the salt'),
    says: [NO_WORK],
  },
  {
    name: 'a browser may use up the tries',
    file: 'agent/peer/listener.ts',
    find: "request.headers.origin === undefined ? versionOffered(request) : 'none'",
    replace: 'versionOffered(request)',
    tests: listener('origin is refused'),
    says: [FIVE_TRIES, BROWSER],
  },
  {
    name: 'whatever comes as message 3 is a try',
    file: 'proto/channel.ts',
    find: 'if (handshake.wrongPsk)',
    replace: 'if (cause)',
    tests: listener('what is no try'),
    says: [TRIES],
  },
  {
    name: 'a message whose key does not decrypt is a try',
    file: 'proto/noise.ts',
    find: "this.#wrongPsk = tokens.includes('psk');",
    replace: "this.#wrongPsk = tokens.includes('psk') || true;",
    tests: tests('test/proto/noise.test.ts'),
    says: [TRIES],
  },
  {
    name: 'a handshake that was altered costs a try',
    file: 'agent/peer/listener.ts',
    find: "if (kept?.pairing && code === 'wrong-code') this",
    replace: "if (kept?.pairing && (code === 'wrong-code' || code === 'handshake-failed')) this",
    tests: listener('what is no try'),
    says: [TRIES],
  },
  {
    name: 'a new code comes at once after a burnt one',
    file: 'agent/receive.ts',
    find: "if (failure.code === 'code-burnt') await pauseAfterBurntCode(pause.next(), options);",
    replace: '',
    tests: tests('test/agent/burnt-codes.test.ts'),
    says: [PAUSE],
  },
  {
    name: 'codes that are burnt one after the other cost no more time',
    file: 'agent/peer/code-pause.ts',
    find: 'this.#ms = Math.min(CODE_PAUSE_MAX_MS, ms * 2);',
    replace: '',
    tests: codePause,
    says: [PAUSE],
  },
  {
    name: 'the pause between codes grows without end',
    file: 'agent/peer/code-pause.ts',
    find: 'Math.min(CODE_PAUSE_MAX_MS, ms * 2)',
    replace: 'ms * 2',
    tests: codePause,
    says: [PAUSE],
  },
  {
    name: 'an address is answered as often as it asks',
    file: 'agent/peer/answers.ts',
    find: 'if (ofAddress >= ANSWERS_PER_ADDRESS_MAX_PER_S) continue;',
    replace: '',
    tests: answers,
    says: [ANSWERED],
  },
  {
    name: 'all addresses together are answered as often as they ask',
    file: 'agent/peer/answers.ts',
    find: 'const crowded = lastTenth.length >= ANSWERS_MAX_PER_100_MS;',
    replace: 'const crowded = lastTenth.length < 0 * ANSWERS_MAX_PER_100_MS;',
    tests: answers,
    says: [ANSWERED],
  },
  {
    name: 'answers of more than a tenth of a second ago do not count',
    file: 'agent/peer/answers.ts',
    find: 'const SECOND_MS = 1_000;',
    replace: 'const SECOND_MS = 100;',
    tests: answers,
    says: [ANSWERED],
  },
  {
    name: 'each address of a /64 is answered by itself',
    file: 'agent/peer/answers.ts',
    find: "address: address.includes(':') ? network : address",
    replace: 'address',
    tests: answers,
    says: [ANSWERED],
  },
  {
    name: 'fifty answers of an address a second are allowed',
    file: 'proto/limits.ts',
    find: 'export const ANSWERS_PER_ADDRESS_MAX_PER_S = 5;',
    replace: 'export const ANSWERS_PER_ADDRESS_MAX_PER_S = 50;',
    tests: tests('test/proto/protocol-document.test.ts'),
    says: [ANSWERED],
  },
  {
    name: 'message 1 is answered at once',
    file: 'proto/channel.ts',
    find: '    await options.turn?.();\n',
    replace: '',
    tests: listener('^answers'),
    says: [ANSWERED, ALIKE],
  },
  {
    name: 'who asks most is answered as soon as others',
    file: 'agent/peer/answers.ts',
    find: 'if (ofNetwork < leastOfNetwork || (ofNetwork === leastOfNetwork && ofAddress < leastOfAddress))',
    replace: 'if (leastOfNetwork + leastOfAddress === Infinity)',
    tests: answers,
    says: [TURNS],
  },
  {
    name: 'a request that is refused is left half open',
    file: 'agent/peer/listener.ts',
    find: '        () => duplex.destroy(),\n',
    replace: '',
    tests: listener('is answered and closed'),
    says: [REFUSED],
  },
  {
    name: 'a request that expects something is left to Node',
    file: 'agent/peer/listener.ts',
    find: "['request', 'checkContinue', 'checkExpectation']",
    replace: "['request']",
    tests: listener('is answered and closed'),
    says: [REFUSED],
  },
  {
    name: 'who has been upgraded may be refused and stay',
    file: 'proto/channel.ts',
    find: 'if (failure instanceof ImgmvError) socket.close(failure.closeCode, failure.code);',
    replace: 'if (failure instanceof ImgmvError) void socket;',
    tests: listener('what is no try'),
    says: [REFUSED],
  },
  {
    name: 'an address may hold any number of connections',
    file: 'agent/peer/admission.ts',
    find: 'if (oldest && same.length >= this.#perAddressMax) {',
    replace: 'if (false) {',
    tests: admission,
    says: [PLACES],
  },
  {
    name: 'strangers may hold 320 connections in all',
    file: 'proto/limits.ts',
    find: 'export const UNAUTHENTICATED_MAX_SOCKETS = 32;',
    replace: 'export const UNAUTHENTICATED_MAX_SOCKETS = 320;',
    tests: admission,
    says: [PLACES, MEMORY],
  },
  {
    name: 'an upgraded socket may be silent for a minute',
    file: 'proto/limits.ts',
    find: 'export const HANDSHAKE_TIMEOUT_MS = 10_000;',
    replace: 'export const HANDSHAKE_TIMEOUT_MS = 60_000;',
    tests: listener('who is silent or drips is closed'),
    says: [PLACES],
  },
  {
    name: 'headers may drip for a minute',
    file: 'proto/limits.ts',
    find: 'export const HEADERS_TIMEOUT_MS = 5_000;',
    replace: 'export const HEADERS_TIMEOUT_MS = 60_000;',
    tests: listener('who is silent or drips is closed'),
    says: [PLACES],
  },
  {
    name: 'a newcomer goes where there is no room',
    file: 'agent/peer/admission.ts',
    find: 'if (moreCrowded(least, stranger) === 0 && mayStay(least)) return false;',
    replace: 'return false;',
    tests: admission,
    says: [CROWDED, HONEST],
  },
  {
    name: 'networks do not count, only addresses',
    file: 'agent/peer/admission.ts',
    find: 'size(networkOf(b.address)) - size(networkOf(a.address)) || size(b.address)',
    replace: 'size(b.address)',
    tests: admission,
    says: [CROWDED],
  },
  {
    name: 'every address that guessed wrong is remembered',
    file: 'agent/peer/admission.ts',
    find: 'if (this.#penalties.size > PENALTY_ADDRESSES_MAX && oldest !== undefined)',
    replace: 'if (false)',
    tests: admission,
    says: [MEMORY],
  },
];
