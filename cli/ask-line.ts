import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import type { TerminalIo } from './screen.ts';
import { interrupt } from './stop.ts';

/** The question that is open on an output. */
const questions = new WeakMap<NodeJS.WritableStream, Interface>();

/** Writes whole lines; a question that is open there stays below them, with what has been typed. */
export function writeAbove(output: NodeJS.WritableStream, text: string): void {
  const question = questions.get(output);
  if (!question) return void output.write(text);
  const { rows } = question.getCursorPos();
  moveCursor(output, 0, -rows);
  cursorTo(output, 0);
  clearScreenDown(output);
  // `prompt` goes back up to where it takes the question to begin.
  output.write(text + '\n'.repeat(rows));
  question.prompt(true);
}

/**
 * One line that somebody types; undefined when none will come: at a stop, at Ctrl-D, and from a terminal that has gone.
 * `show` shows the question, at a time when the kernel no longer echoes. Ctrl-C becomes a SIGINT of this process.
 */
export function askLine(
  { input, output, signal }: Omit<TerminalIo, 'output'> & { readonly output: NodeJS.WritableStream },
  show: (lines: Interface) => void,
): Promise<string | undefined> {
  const lines = createInterface({ input, output, terminal: true, historySize: 0 });
  return new Promise((resolve) => {
    const end = (line?: string) => {
      questions.delete(output);
      signal.removeEventListener('abort', giveUp);
      lines.off('close', giveUp);
      resolve(line);
      lines.close();
      input.pause();
    };
    /** The line of the question ends here, and not by Enter. */
    const giveUp = () => {
      output.write('\n');
      end();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    lines.once('line', end);
    lines.once('SIGINT', interrupt);
    lines.once('close', giveUp);
    questions.set(output, lines);
    show(lines);
  });
}
