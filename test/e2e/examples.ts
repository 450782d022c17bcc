/** The command lines that the documents and the help give as examples. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runImgmv } from '../rig/imgmv.ts';

export interface Example {
  /** As a shell takes it, without its prompt and the remark behind it. */
  readonly line: string;
  /** The files or helps that have it. */
  readonly places: readonly string[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COMMANDS = ['receive', 'send', 'plan', 'ls', 'copy', 'clean', 'doctor', 'completion'];
const COMMAND = new RegExp(`(?:^|[ |(])imgmv (?:${COMMANDS.join('|')})\\b`);
/** The same where it stands in a remark, or in a sentence as code. */
const IN_TEXT = new RegExp(`^imgmv (?:${COMMANDS.join('|')}) \\S.*$`);
/** A place for something, which nobody can run: `FILE`, `COMMAND`, `ADDR:PORT`. */
const PLACEHOLDER = /(?:^|[ :=])[A-Z]{2,}(?:$|[ :])|…/;

/** All of them, each once, in the order of the documents. */
export async function findExamples(): Promise<readonly Example[]> {
  const documents = ['README.md', ...readdirSync(`${ROOT}docs`).map((file) => `docs/${file}`)];
  const found = documents
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      inMarkdown(readFileSync(`${ROOT}${file}`, 'utf8')).map((line) => [line, file] as const),
    );
  for (const command of ['', ...COMMANDS]) {
    await using help = runImgmv([...(command === '' ? [] : [command]), '--help']);
    await help.exit;
    const [, examples = ''] = /^Examples:\n([\s\S]*?)(?:^\S|$(?![\s\S]))/m.exec(help.stdout) ?? [];
    for (const line of examples.split('\n').flatMap(inLine))
      found.push([line, `imgmv ${command} --help`.replace('  ', ' ')]);
  }
  const places = new Map<string, string[]>();
  for (const [line, place] of found) places.set(line, [...(places.get(line) ?? []), place]);
  return [...places].map(([line, all]) => ({ line, places: [...new Set(all)] }));
}

/** In blocks, fenced or indented, and as code within a sentence. */
function inMarkdown(text: string): readonly string[] {
  const lines: string[] = [];
  let fenced = false;
  let sentence = '';
  for (const line of text.replaceAll(/ \\\n\s*/g, ' ').split('\n')) {
    if (line.startsWith('```')) fenced = !fenced;
    else if (fenced || line.startsWith('    ')) lines.push(...inLine(line));
    else sentence += `${line} `;
  }
  const spans = [...sentence.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
  return [...lines, ...spans.filter(isWhole)];
}

/** What a line of a block says, and what its remark does. */
function inLine(line: string): readonly string[] {
  const [command = '', ...remarks] = line
    .trim()
    .replace(/^(?:host-[ab])?\$ /, '')
    .split(/ {2,}| # /);
  const mentioned = remarks.flatMap((remark) => /imgmv .*/.exec(remark) ?? []);
  const isCommand = COMMAND.test(command) && !PLACEHOLDER.test(command) && !command.startsWith('#');
  return [...(isCommand ? [command] : []), ...mentioned.filter(isWhole)];
}

/** Whether a text is a command that could be typed, and not only the name of one. */
function isWhole(text: string): boolean {
  return IN_TEXT.test(text) && !PLACEHOLDER.test(text);
}
