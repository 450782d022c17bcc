import { createInterface, type Interface } from 'node:readline';
import type { TerminalIo } from './screen.ts';
import { interrupt } from './stop.ts';

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
    show(lines);
  });
}
