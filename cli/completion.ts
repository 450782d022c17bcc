/**
 * What a shell may complete. The scripts ask `imgmv __complete WORD…`, as those of docker ask their plugins: the answer has
 * a candidate a line, with what it is behind a tab, and at its end what the shell adds (spf13/cobra completions.go).
 */
import { Argument, type Command, type Option } from 'commander';
import { FORMATS } from '../agent/archive/each-sink.ts';
import { imageNames, namesOfContexts } from '../agent/commands/names.ts';
import { KINDS } from '../agent/ends/endpoint.ts';
import { SCRIPTS, SHELLS } from './completion-scripts.ts';
import { endProcess } from './end-process.ts';
import { PAGES } from './help.ts';

const COMPLETE = '__complete';
/** A completion that takes longer is worse than none. */
const ENGINE_MS = 3_000;

/** What the shell adds: names of files, or nothing; and whether a blank follows. */
const ADDS = { files: ':0', nothing: ':4', nothingNoBlank: ':6', filesNoBlank: ':2' } as const;

interface Candidate {
  readonly text: string;
  readonly about?: string;
}

interface Completion {
  readonly candidates: readonly Candidate[];
  readonly adds: keyof typeof ADDS;
}

const FILES: Completion = { candidates: [], adds: 'files' };
const NOTHING: Completion = { candidates: [], adds: 'nothing' };

/** The options, by their names as commander has them, whose value is a file or directory. */
const FILE_OPTIONS = new Set(['move', 'codeFile', 'log', 'report', 'file', 'compose', 'each']);

export function addCompletionCommands(program: Command): void {
  program
    .command('completion')
    .description('print what makes a shell complete commands, options and images')
    .addArgument(new Argument('<shell>', SHELLS.join(', ')).choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv completion bash > /usr/share/bash-completion/completions/imgmv
  $ imgmv completion zsh > /usr/local/share/zsh/site-functions/_imgmv
  $ imgmv completion fish > /usr/share/fish/vendor_completions.d/imgmv.fish`,
    )
    .action((shell: (typeof SHELLS)[number]) => {
      process.stdout.write(SCRIPTS[shell]);
      process.exitCode = 0;
    });
  program
    .command(COMPLETE, { hidden: true })
    .allowUnknownOption()
    .helpOption(false)
    .passThroughOptions()
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const { candidates, adds } = await completionOf(program, words);
      const lines = candidates.map(({ text, about }) => (about === undefined ? text : `${text}\t${about}`));
      process.stdout.write([...lines, ADDS[adds], ''].join('\n'));
      process.exitCode = 0;
      // A call of the engine that was given up may still wait.
      process.stdout.write('', () => endProcess(0));
    });
}

/** `words`: all behind the program's name; the last is the one that is completed, and may be empty. */
async function completionOf(program: Command, words: readonly string[]): Promise<Completion> {
  const [first = '', ...others] = words;
  if (others.length === 0)
    return beginningWith(first, first.startsWith('-') ? options(program) : commands(program));
  const command = program.commands.find((one) => one.name() === first);
  if (!command) return NOTHING;
  const word = others.at(-1) ?? '';
  const [, long = '', given = ''] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
  if (long !== '') {
    const { candidates, adds } = await valuesOf(command, long, given, words);
    return { candidates: candidates.map((one) => ({ ...one, text: `${long}=${one.text}` })), adds };
  }
  const before = others.at(-2) ?? '';
  if (takesValue(command, before)) return valuesOf(command, before, word, words);
  if (word.startsWith('-')) return beginningWith(word, options(command));
  return argumentOf(program, first, word, words);
}

function commands(program: Command): readonly Candidate[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .map((command) => ({ text: command.name(), about: command.description() }));
}

function options(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ text: long ?? short ?? '', about: description }));
}

function optionCalled(command: Command, name: string): Option | undefined {
  return command.options.find(({ long, short }) => name === long || name === short);
}

function takesValue(command: Command, name: string): boolean {
  const option = optionCalled(command, name);
  return option !== undefined && (option.required || option.optional);
}

async function valuesOf(
  command: Command,
  name: string,
  word: string,
  words: readonly string[],
): Promise<Completion> {
  const attribute = optionCalled(command, name)?.attributeName() ?? '';
  if (FILE_OPTIONS.has(attribute)) return FILES;
  if (attribute === 'from') return placeOf(word, words);
  if (attribute === 'format') return beginningWith(word, FORMATS.map(named));
  if (/context$/i.test(attribute))
    return beginningWith(word, (await namesOfContexts(process.env)).map(named));
  return NOTHING;
}

async function argumentOf(
  program: Command,
  command: string,
  word: string,
  words: readonly string[],
): Promise<Completion> {
  if (command === 'copy') return placeOf(word, words);
  if (command === 'completion') return beginningWith(word, SHELLS.map(named));
  if (command === 'help') return beginningWith(word, [...commands(program), ...PAGES.map(named)]);
  return ['send', 'plan', 'ls'].includes(command) ? beginningWith(word, await images(words)) : NOTHING;
}

/** A kind of place, and behind `docker-daemon:` an image. */
async function placeOf(word: string, words: readonly string[]): Promise<Completion> {
  const kind = KINDS.find((one) => word.startsWith(`${one}:`));
  if (kind === undefined)
    return {
      ...beginningWith(
        word,
        KINDS.map((one) => ({ text: `${one}:` })),
      ),
      adds: 'nothingNoBlank',
    };
  if (kind !== 'docker-daemon') return { ...FILES, adds: 'filesNoBlank' };
  return beginningWith(
    word,
    (await images(words)).map(({ text }) => ({ text: `${kind}:${text}` })),
  );
}

/** None where the engine that was typed does not answer. */
async function images(words: readonly string[]): Promise<readonly Candidate[]> {
  const typed = (name: string) =>
    words
      .flatMap((word, at) =>
        word === name
          ? (words[at + 1] ?? [])
          : word.startsWith(`${name}=`)
            ? word.slice(name.length + 1)
            : [],
      )
      .at(-1);
  const [dockerHost, context] = [typed('--docker-host'), typed('--context')];
  const options = { ...(dockerHost && { dockerHost }), ...(context && { context }) };
  const signal = AbortSignal.timeout(ENGINE_MS);
  const names = await imageNames({ ...options, env: process.env, signal }).catch(() => []);
  return names.map(named);
}

function beginningWith(word: string, candidates: readonly Candidate[]): Completion {
  return { candidates: candidates.filter(({ text }) => text.startsWith(word)), adds: 'nothing' };
}

function named(text: string): Candidate {
  return { text };
}
