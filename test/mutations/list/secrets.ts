/** Against other users of the host, and readers of logs. */
import { type Mutation, tests } from '../mutation.ts';

const secret = tests('test/proto/secret.test.ts');
const codeFile = tests('test/cli/code-file.test.ts');
const credentials = tests('test/agent/push/credentials.test.ts');
const helpers = tests('test/agent/docker/helpers.test.ts');

const ARGUMENT = 'The code is never an argument';
const SHOWN = 'It is shown only on a terminal';
const ECHO = 'It is typed without echo.';
const TYPED_LATE = 'A code that is pasted too late';
const REPEATS = 'No output, error or log repeats it.';
const DOCKERS = 'Credentials for registries are docker';
const NOWHERE = 'They are in no argument';
const HELPER = 'A credential helper is asked';
const KEPT = 'What an interrupted run left in the engine';
const BY_FORCE = '`imgmv clean --force` removes it';
const POSES = 'No other user can pass off';
const CONFIGURED = 'A configuration is read only from';
const NO_LINK = 'It is not read through a symbolic link';
const TYPED = 'What loosens a guard';
const LOG_OWNED = 'A log is written only to';
const LOG_MODE = 'It is made with mode 0600';

export const SECRETS: readonly Mutation[] = [
  {
    name: 'the code is the title of the process',
    file: 'agent/peer/pairing.ts',
    find: 'this.code = generateCode();',
    replace: 'this.code = generateCode();\n    process.title = this.code.reveal();',
    tests: tests('test/hostile/built-wire.test.ts', 'the code and its key are in no argument'),
    says: [ARGUMENT],
  },
  {
    name: 'the code is shown on standard output',
    file: 'cli/receive.ts',
    find: 'process.stderr.write(`\\n',
    replace: 'process.stdout.write(`\\n',
    tests: tests('test/e2e/terminal.test.ts', 'keeps the code out of standard output'),
    says: [SHOWN],
  },
  {
    name: 'the code is shown where there is no terminal',
    file: 'cli/receive.ts',
    find: 'if (flags.codeFile === undefined && !process.stderr.isTTY)',
    replace: 'if (false)',
    tests: tests('test/e2e/bad-input.test.ts', '^usage '),
    says: [SHOWN],
  },
  {
    name: 'everybody may read the code file',
    file: 'cli/code-file.ts',
    find: "{ flag: 'wx', mode: 0o600 }",
    replace: "{ flag: 'wx', mode: 0o644 }",
    tests: codeFile,
    says: [SHOWN],
  },
  {
    name: 'a code file that exists is replaced',
    file: 'cli/code-file.ts',
    find: 'await giveName(temporary, this.path)',
    replace: "await (await import('node:fs/promises')).copyFile(temporary, this.path)",
    tests: codeFile,
    says: [SHOWN],
  },
  {
    name: 'the code file stays',
    file: 'cli/code-file.ts',
    find: '      unlinkSync(this.path);\n',
    replace: '',
    tests: codeFile,
    says: [SHOWN],
  },
  {
    name: 'what is typed is echoed',
    file: 'cli/code-prompt.ts',
    find: 'write: (_chunk, _encoding, done) => done()',
    replace: 'write: (chunk, _encoding, done) => process.stderr.write(chunk, done)',
    tests: tests('test/e2e/terminal.test.ts', 'send asks for the code and does not echo it'),
    says: [ECHO],
  },
  {
    name: 'what is typed beside the question is left to the shell',
    file: 'cli/stray-keys.ts',
    find: '    this.#input.resume();\n',
    replace: '',
    tests: tests('test/e2e/meeting.test.ts', 'lets none of it get to the shell'),
    says: [TYPED_LATE],
  },
  {
    name: 'what is typed beside the question is shown',
    file: 'cli/stray-keys.ts',
    find: '      this.#questions--;\n      this.#settle();\n',
    replace: '      this.#questions--;\n',
    tests: tests('test/e2e/meeting.test.ts', 'asks again after a wrong code'),
    says: [TYPED_LATE],
  },
  {
    name: 'a secret shows in a template',
    file: 'proto/secret.ts',
    find: 'toString(): string {\n    return MASK;',
    replace: 'toString(): string {\n    return String(this.#value);',
    tests: secret,
    says: [REPEATS],
  },
  {
    name: 'a secret shows in JSON',
    file: 'proto/secret.ts',
    find: 'toJSON(): string {\n    return MASK;',
    replace: 'toJSON(): string {\n    return String(this.#value);',
    tests: secret,
    says: [REPEATS],
  },
  {
    name: 'a secret shows in a log',
    file: 'proto/secret.ts',
    find: '[inspect.custom](): string {\n    return MASK;',
    replace: '[inspect.custom](): string {\n    return String(this.#value);',
    tests: secret,
    says: [REPEATS],
  },
  {
    name: 'an error repeats what was typed',
    file: 'proto/code.ts',
    find: 'unknown.length === 1\n        ? `word ${positions} is not in the word list`',
    replace: 'unknown.length === 1\n        ? `word ${typed} is not in the word list`',
    tests: tests('test/proto/code.test.ts'),
    says: [REPEATS],
  },
  {
    name: 'an event of --json has the code',
    file: 'agent/commands/receive.ts',
    find: "    event: 'listening',\n    address,\n",
    replace: "    event: 'listening',\n    address: pairing.code.reveal(),\n",
    tests: tests('test/e2e/terminal.test.ts', 'keeps the code out of standard output'),
    says: [REPEATS],
  },
  {
    name: 'credentials are in the path of a push',
    file: 'agent/push/push.ts',
    find: 'engine.push(familiarName(reference), tag, {',
    replace: 'engine.push(familiarName(reference), credentials?.auth.reveal() ?? tag, {',
    tests: tests('test/agent/push/push.test.ts'),
    says: [DOCKERS],
  },
  {
    name: 'the password of a registry is repeated to the other host',
    file: 'agent/push/credentials.ts',
    find: 'hiddenIn: (text) => hideSecrets(text, secretsIn(auth))',
    replace: 'hiddenIn: (text) => text',
    tests: tests('test/agent/push/push.test.ts'),
    says: [NOWHERE],
  },
  {
    name: 'a password in base64 is repeated',
    file: 'agent/push/hidden.ts',
    find: '    ...base64Of(secret),\n',
    replace: '',
    tests: tests('test/agent/push/hidden.test.ts'),
    says: [NOWHERE],
  },
  {
    name: 'a helper gets the registry as an argument',
    file: 'agent/push/credential-helper.ts',
    find: 'child.stdin?.end(server);',
    replace: 'child.stdin?.end();',
    tests: credentials,
    says: [HELPER],
  },
  {
    name: 'a helper may be any command line',
    file: 'agent/push/credential-helper.ts',
    find: 'if (!/^[A-Za-z0-9._-]+$/.test(helper))',
    replace: 'if (false)',
    tests: credentials,
    says: [HELPER],
  },
  {
    name: 'what a helper says is in the error',
    file: 'agent/push/credential-helper.ts',
    find: "throw failure('did not return credentials', see);",
    replace: 'throw failure(`gave ${end.output}`, see);',
    tests: credentials,
    says: [HELPER],
  },
  {
    name: 'what is kept stays as long as its process runs',
    file: 'agent/docker/helpers.ts',
    find: 'return Date.now() - since.getTime() > KEPT_MAX_MS;',
    replace: 'return since === undefined;',
    tests: helpers,
    says: [KEPT],
  },
  {
    name: 'clean leaves what is over',
    file: 'agent/commands/clean.ts',
    find: 'if (force || isOver(helper) || helper.live === false)',
    replace: 'if (force || helper.live === false)',
    tests: tests('test/agent/commands/clean.test.ts'),
    says: [KEPT],
  },
  {
    name: 'clean --force is no other than clean',
    file: 'agent/commands/clean.ts',
    find: 'if (force || isOver(helper) || helper.live === false)',
    replace: 'if (isOver(helper) || helper.live === false)',
    tests: tests('test/agent/commands/clean.test.ts'),
    says: [BY_FORCE],
  },
  {
    name: 'any process that has the id by now keeps layers',
    file: 'agent/docker/helpers.ts',
    find: 'stat.started === started && ',
    replace: '',
    tests: helpers,
    says: [KEPT, POSES],
  },
  {
    name: 'a process that has ended keeps layers',
    file: 'agent/docker/helpers.ts',
    find: ' && !ENDED_STATES.includes(stat.state)',
    replace: '',
    tests: helpers,
    says: [KEPT, POSES],
  },
  {
    name: 'a session that has ended keeps layers while its process runs',
    file: 'agent/docker/helpers.ts',
    find: 'return sessionsHere.has(session);',
    replace: 'return true;',
    tests: helpers,
    says: [KEPT],
  },
  {
    name: 'a process of this place is taken for one of another place',
    file: 'agent/docker/helpers.ts',
    find: 'if (place !== HERE?.place) return undefined;',
    replace: 'if (place === HERE?.place) return undefined;',
    tests: helpers,
    says: [KEPT],
  },
  {
    name: 'others may write a configuration',
    file: 'cli/config/file.ts',
    find: 'if ((stats.mode & OTHERS_WRITE) !== 0)',
    replace: 'if (false)',
    tests: tests('test/e2e/config.test.ts', 'somebody else could have written'),
    says: [CONFIGURED],
  },
  {
    name: 'anybody may own a configuration',
    file: 'cli/config/file.ts',
    find: 'if (stats.uid !== 0 && stats.uid !== caller)',
    replace: 'if (stats.uid === -caller - 1)',
    tests: tests('test/e2e/config.test.ts', 'somebody else could have written'),
    says: [CONFIGURED],
  },
  {
    name: 'a configuration may be a link',
    file: 'cli/config/file.ts',
    find: 'constants.O_NOFOLLOW | constants.O_NONBLOCK',
    replace: 'constants.O_NONBLOCK',
    tests: tests('test/e2e/config.test.ts', 'somebody else could have written'),
    says: [NO_LINK],
  },
  {
    name: 'a guard may be loosened in a configuration',
    file: 'cli/config/keys.ts',
    find: 'if (GUARDS.includes(key) || ',
    replace: 'if (GUARDS.length === 0 || ',
    tests: tests('test/e2e/config.test.ts', 'in a file and in the environment'),
    says: [TYPED],
  },
  {
    name: 'a secret may stand in a configuration',
    file: 'cli/config/keys.ts',
    find: 'if (SECRETS.test(key))',
    replace: "if (SECRETS.test('') && key)",
    tests: tests('test/e2e/config.test.ts', 'in a file and in the environment'),
    says: [TYPED],
  },
  {
    name: 'a log may be of anybody',
    file: 'cli/steps.ts',
    find: 'if (stats.uid !== process.geteuid?.())',
    replace: 'if (stats.uid < 0)',
    tests: tests('test/e2e/steps.test.ts', 'somebody else may have placed'),
    says: [LOG_OWNED],
  },
  {
    name: 'a log may have other names',
    file: 'cli/steps.ts',
    find: 'stats.nlink > 1',
    replace: 'stats.nlink > 9',
    tests: tests('test/e2e/steps.test.ts', 'somebody else may have placed'),
    says: [LOG_OWNED],
  },
  {
    name: 'everybody may read a log',
    file: 'cli/steps.ts',
    find: 'O_NONBLOCK, 0o600)',
    replace: 'O_NONBLOCK, 0o644)',
    tests: tests('test/e2e/steps.test.ts', 'in the log of either side'),
    says: [LOG_MODE],
  },
];
