/** Against text that acts. */
import { type Mutation, tests } from '../mutation.ts';

const escaped = tests('test/cli/escape.test.ts');
const failure = tests('test/agent/peer/failure.test.ts');

const ESCAPED = 'Text from the other side is escaped';
const COVERS = 'This covers control and format characters';
const JSON_TOO = '`--json` and reports escape in the same way';
const MARKED = 'Words of the other side are marked';
const STATUS = 'A usage error or an internal fault';

/** Where the class of characters begins, which the edits rewrite without one of its kinds. */
const INVISIBLE = "'[\\\\p{C}\\\\p{DI}";

export const TEXT: readonly Mutation[] = [
  {
    name: 'control characters reach the terminal',
    file: 'cli/escape.ts',
    find: INVISIBLE,
    replace: "'[\\\\p{Cf}\\\\p{Co}\\\\p{Cn}\\\\p{Cs}\\\\p{DI}",
    tests: tests('test/cli/renderer-json.test.ts'),
    says: [ESCAPED, COVERS],
  },
  {
    name: 'marks of direction reach the terminal',
    file: 'cli/escape.ts',
    find: INVISIBLE,
    replace: "'[\\\\p{Cc}\\\\p{Co}\\\\p{Cn}\\\\p{Cs}",
    tests: tests('test/cli/renderer-json.test.ts'),
    says: [ESCAPED, COVERS],
  },
  {
    name: 'fillers reach the terminal',
    file: 'cli/escape.ts',
    find: INVISIBLE,
    replace: "'[\\\\p{C}",
    tests: escaped,
    says: [ESCAPED, COVERS],
  },
  {
    name: 'private use and unassigned code points reach the terminal',
    file: 'cli/escape.ts',
    find: INVISIBLE,
    replace: "'[\\\\p{Cc}\\\\p{Cf}\\\\p{Cs}\\\\p{DI}",
    tests: escaped,
    says: [COVERS],
  },
  {
    name: 'spaces other than the blank reach the terminal',
    file: 'cli/escape.ts',
    find: '|(?! )\\\\p{Z}',
    replace: '',
    tests: escaped,
    says: [COVERS],
  },
  {
    name: 'a combining mark may stand on what is ours',
    file: 'cli/escape.ts',
    find: '(?<!${BASE})\\\\p{M}+|',
    replace: '',
    tests: escaped,
    says: [ESCAPED, COVERS],
  },
  {
    name: 'any number of combining marks may stand on a letter',
    file: 'cli/escape.ts',
    find: 'const MARKS_MAX = 3;',
    replace: 'const MARKS_MAX = 30;',
    tests: escaped,
    says: [COVERS],
  },
  {
    name: 'the escapes stand for other characters',
    file: 'cli/escape.ts',
    find: '.toString(16)',
    replace: '.toString(10)',
    tests: tests('test/cli/escape.test.ts', 'gives JSON that reads as the very text'),
    says: [JSON_TOO],
  },
  {
    name: 'lines of --json are not escaped',
    file: 'cli/renderer-json.ts',
    find: 'this.#stream.write(`${escapeText(line)}\\n`);',
    replace: 'this.#stream.write(`${line}\\n`);',
    tests: tests('test/cli/renderer-json.test.ts'),
    says: [JSON_TOO],
  },
  {
    name: 'a report in JSON is not escaped',
    file: 'cli/report/json.ts',
    find: '.map(escapeText)',
    replace: '.map((line) => (escapeText, line))',
    tests: tests('test/cli/report.test.ts', 'shows nothing that acts or hides'),
    says: [JSON_TOO],
  },
  {
    name: 'a report in HTML is not escaped',
    file: 'cli/report/markup.ts',
    find: 'return escapeText(part).replace(',
    replace: 'return (escapeText, part).replace(',
    tests: tests('test/cli/report.test.ts', 'shows nothing that acts or hides'),
    says: [JSON_TOO],
  },
  {
    name: 'an error is shown as it is',
    file: 'cli/renderer-text.ts',
    find: "lines.map(escapeText).join('\\n  ')",
    replace: "lines.join('\\n  ')",
    tests: tests('test/cli/renderer-text.test.ts'),
    says: [ESCAPED],
  },
  {
    name: 'messages of the other side look like ours',
    file: 'agent/peer/failure.ts',
    find: ': `on ${host}: ${text}`;',
    replace: ': text;',
    tests: failure,
    says: [MARKED],
  },
  {
    name: 'hints of the other side look like ours',
    file: 'agent/peer/failure.ts',
    find: '`hint from ${host}: ${hint}`',
    replace: 'hint',
    tests: failure,
    says: [MARKED],
  },
  {
    name: 'a reason of the other side looks like ours',
    file: 'agent/peer/wire-images.ts',
    find: ': saidBy(host, reason)',
    replace: ': reason',
    tests: tests(
      'test/agent/ends/accepting-sink.test.ts',
      'refuses an image of which one name is not accepted',
    ),
    says: [MARKED],
  },
  {
    name: 'how the other side was called becomes our exit status',
    file: 'proto/errors.ts',
    find: "    case 'usage':\n    case 'internal':\n    case 'not-installed':\n      return 'peer-failed';\n",
    replace: '',
    tests: failure,
    says: [STATUS],
  },
  {
    name: 'that a code was wrong over there becomes our exit status',
    file: 'agent/peer/failure.ts',
    find: "BEFORE_SESSION.includes(exitStatusOf(told)) ? 'peer-failed' : codeToldByPeer(told)",
    replace: 'codeToldByPeer(told)',
    tests: failure,
    says: [STATUS],
  },
];
