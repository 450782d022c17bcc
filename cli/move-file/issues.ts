/** Valibot's issues as lines for people: where in the file, what is there, what was expected. */
import { distance } from 'fastest-levenshtein';
import type * as v from 'valibot';
import type { Child, Located } from './located.ts';
import { BEGINNING, type Problem, problemAt, shown } from './problems.ts';

/** Keys that people look for and that have a reason not to be there. */
const REASONS: Readonly<Record<string, string>> = {
  code: 'the pairing code never stands in a move file; code-file names the file that it is read from',
  '<<': 'a move file has no merge keys',
  move: 'a move file names no other one',
  json: 'how a run shows itself is said on the command line: --json',
  quiet: 'how a run shows itself is said on the command line: --quiet',
};

/** What is expected where a number in quotes would be wrong as well. */
const QUOTES_DO_NOT_HELP = /^(true or|a whole number|a duration|a size)/;

/** Keys of the root that are none of `known`. */
export function unknownKeys(
  root: Located,
  known: readonly string[],
  what = 'a move file',
  reasonFor: (key: string) => string | undefined = reasonOf,
): readonly Problem[] {
  return [...root.children]
    .filter(([key]) => !known.includes(String(key)))
    .map(([key, child]) => {
      const reason = reasonFor(String(key));
      const text =
        reason === undefined
          ? unknownKey(String(key), known, what)
          : `${shown(String(key))} is no key: ${reason}`;
      return problemAt(child.key, text);
    });
}

function reasonOf(key: string): string | undefined {
  return Object.hasOwn(REASONS, key) ? REASONS[key] : undefined;
}

function unknownKey(key: string, known: readonly string[], what: string): string {
  const near = nearestTo(key, known);
  return `${shown(key)} is not a key of ${what}${near === undefined ? '' : `: did you mean ${near}?`}`;
}

/** Of `known` the one that was most likely meant. */
export function nearestTo(key: string, known: readonly string[]): string | undefined {
  return known
    .map((one) => ({ one, far: distance(key.toLowerCase().replaceAll('_', '-').slice(0, 30), one) }))
    .filter(({ one, far }) => far <= Math.max(1, Math.floor(one.length / 3)))
    .sort((a, b) => a.far - b.far)[0]?.one;
}

/** One for each place: of alternatives that all fail, the one that comes nearest is told. */
export function issueProblems(root: Located, issues: readonly v.BaseIssue<unknown>[]): readonly Problem[] {
  return issues.flatMap((issue) => leaves(issue)).map((leaf) => problemOf(root, leaf));
}

interface Leaf {
  readonly path: readonly (string | number)[];
  readonly issue: v.BaseIssue<unknown>;
}

function leaves(issue: v.BaseIssue<unknown>, above: Leaf['path'] = []): readonly Leaf[] {
  const path = [...above, ...(issue.path ?? []).map(({ key }) => key as string | number)];
  const inner = (issue.issues ?? []).flatMap((one) => leaves(one, path));
  // An alternative of another type says nothing but that; one that went further knows what is wrong.
  const nearer = inner.filter((leaf) => leaf.path.length > path.length || leaf.issue.kind !== 'schema');
  return nearer.length > 0 ? nearer : [{ path, issue }];
}

function problemOf(root: Located, { path, issue }: Leaf): Problem {
  const steps = childrenOn(root, path);
  const name = pathName(path);
  const node = steps.at(-1)?.node ?? root;
  // Of a key of a mapping valibot names the key as the place and has it for the input, too.
  const isKey = issue.path?.at(-1)?.origin === 'key';
  if (isKey) return problemAt(steps.at(-1)?.key ?? BEGINNING, `${name}: expected ${issue.message}`);
  // A parser of ours repeats what it was given, and commander's do not.
  const told = issue.message.includes(given(node)) ? name : `${name} ${given(node)}`;
  if (issue.type === 'raw_transform') return problemAt(node, `${told}: ${issue.message}`);
  if (issue.kind === 'schema') return problemAt(node, wrongType(name, node, issue.message));
  return problemAt(node, `${name} ${given(node)}: expected ${issue.message}`);
}

function wrongType(name: string, node: Located, expected: string): string {
  const quotes = !QUOTES_DO_NOT_HELP.test(expected) && node.source !== undefined && node.value !== null;
  const quoted = quotes ? `; in quotes it is text: ${shown(node.source)}` : '';
  return `${name} is ${kindOf(node)}, expected ${expected}${quoted}`;
}

/** For people: `the number 1.10`, `a list`. */
export function kindOf(node: Located): string {
  const { value } = node;
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping (a colon with a space behind it makes one)';
  return `${typeof value === 'number' ? 'the number' : typeof value === 'string' ? 'the text' : 'the truth value'} ${given(node)}`;
}

/** Of lists and mappings nothing: by aliases one may be endless. */
function given({ value, source }: Located): string {
  if (typeof value === 'object' && value !== null) return '';
  return source !== undefined && source.length <= 30 ? source : shown(String(value));
}

function childrenOn(root: Located, path: Leaf['path']): readonly Child[] {
  const steps: Child[] = [];
  for (const key of path) {
    const child = (steps.at(-1)?.node ?? root).children.get(key);
    if (!child) break;
    steps.push(child);
  }
  return steps;
}

/** `images[2]`, counted from 1; `retag "old.example/*"`. */
function pathName([key = '', ...rest]: Leaf['path']): string {
  return `${key}${rest.map((one) => (typeof one === 'number' ? `[${one + 1}]` : ` ${shown(one)}`)).join('')}`;
}
