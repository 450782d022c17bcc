/** What keys of a move file have to do with one another. */
import type { Located } from './located.ts';
import { BEGINNING, type Problem, problemAt } from './problems.ts';
import type { MoveKeys } from './schema.ts';

/** Keys that want another one beside them, for the schema that editors read, too. */
export const NEEDS = { project: 'registry' } as const satisfies Partial<
  Record<keyof MoveKeys, keyof MoveKeys>
>;

/** Pairs of which one may stand there. */
export const EXCLUDE = [['docker-host', 'context']] as const satisfies [keyof MoveKeys, keyof MoveKeys][];

/** `fromStdin`: the file itself is standard input. Judges those keys that are there, whatever is wrong with others. */
export function ruleProblems(root: Located, fromStdin: boolean): readonly Problem[] {
  const keys = root.children;
  const problems: Problem[] = [];
  const tell = (key: string, text: string) => problems.push(problemAt(keys.get(key)?.key ?? BEGINNING, text));
  for (const [key, needed] of Object.entries(NEEDS))
    if (keys.has(key) && !keys.has(needed)) tell(key, `${key} needs ${needed} beside it`);
  for (const [one, other] of EXCLUDE)
    if (keys.has(one) && keys.has(other)) tell(other, `${one} and ${other} exclude each other`);
  for (const [key, what] of Object.entries({ images: 'images', from: 'archives' })) {
    const count = listOf(keys.get(key)?.node).length;
    if (keys.has('as') && count > 1) tell('as', `as gives one name, and there are ${count} ${what}`);
  }
  let taken = fromStdin ? 'this file' : undefined;
  for (const [key, node] of standardInputs(root)) {
    if (taken !== undefined)
      problems.push(problemAt(node, `${key} is standard input, which is ${taken} already`));
    taken ??= key;
  }
  return problems;
}

/** Values that stand for standard input, by their keys. */
function standardInputs({ children }: Located): readonly (readonly [string, Located])[] {
  return ['from', 'file', 'compose', 'code-file'].flatMap((key) =>
    listOf(children.get(key)?.node)
      .filter(
        ({ value }) =>
          value === '-' || (key === 'from' && /^(docker|oci)-archive:-(:|$)/.test(String(value))),
      )
      .map((node) => [key, node] as const),
  );
}

function listOf(node: Located | undefined): readonly Located[] {
  if (node === undefined) return [];
  return Array.isArray(node.value) ? [...node.children.values()].map((child) => child.node) : [node];
}
