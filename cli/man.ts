/** The manual page, in troff, out of the same text as the help: man(7). */
import type { EventEmitter } from 'node:events';
import type { Command, Help } from 'commander';

/** The version stands at its foot. */
export function manualPage(program: Command, version: string): string {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  return [
    `.TH IMGMV 1 "" "imgmv ${version}" "User Commands"`,
    section('NAME'),
    `imgmv \\- ${plain(sentence(program.description()))}`,
    section('SYNOPSIS'),
    ...commands.flatMap((command) => [
      `.B ${plain(`imgmv ${command.name()}`)}`,
      plain(command.usage()),
      '.br',
    ]),
    section('COMMANDS'),
    ...commands.flatMap((command) => commandText(help, command)),
    section('NOTES'),
    ...verbatim(addedText(program)),
    '',
  ].join('\n');
}

function commandText(help: Help, command: Command): readonly string[] {
  const own = help.visibleArguments(command).filter(({ description }) => description);
  const terms = [
    ...own.map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)] as const),
    ...help
      .visibleOptions(command)
      .map((option) => [help.optionTerm(option), help.optionDescription(option)] as const),
  ];
  return [
    `.SS ${plain(`imgmv ${command.name()} ${command.usage()}`)}`,
    plain(help.commandDescription(command)),
    ...terms.flatMap(([term, about]) => ['.TP', `.B ${plain(term)}`, plain(about)]),
    ...verbatim(addedText(command)),
  ];
}

/** What is added behind the help of commander: examples, and more. */
function addedText(command: Command): string {
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  (command as unknown as EventEmitter).emit('afterHelp', { write, command, error: false });
  return text.trim();
}

function verbatim(text: string): readonly string[] {
  return text === '' ? [] : ['.PP', '.nf', ...text.split('\n').map(plain), '.fi'];
}

function section(name: string): string {
  return `.SH ${name}`;
}

function sentence(text: string): string {
  return text.replace(/\.$/, '').replace(/^./, (letter) => letter.toLowerCase());
}

/** A line that is no request, with nothing in it that troff would read as one. */
function plain(line: string): string {
  return line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
