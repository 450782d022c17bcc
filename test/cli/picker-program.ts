/**
 * The picker as a program: `picker-program.ts COUNT [--code]`. It lists so many images, writes what was picked to
 * standard output, asks for a code after that with --code, and ends with the status that imgmv would.
 */
import { CodePrompt } from '../../cli/code-prompt.ts';
import { type PickerRow, pickImages } from '../../cli/picker.ts';
import { stopSignal } from '../../cli/stop.ts';
import { toImgmvError } from '../../proto/errors.ts';

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

function rowOf(index: number): PickerRow {
  const id = `sha256:${String(index).padStart(4, '0').repeat(16)}` as const;
  const names =
    [
      ['registry.example:5000/team/a-rather-long-name-of-an-image:1.0', 'web:1.0'],
      [],
      ['bad:\u001b[31mred\u0007\u202e'],
    ][index] ?? ([`image-${index}:latest`] as const);
  return {
    id,
    names,
    bytes: (index + 1) * MIB,
    created: new Date(Date.now() - (index + 0.5) * DAY_MS),
  };
}

const [count = '0', code] = process.argv.slice(2);
const rows = Array.from({ length: Number(count) }, (_, index) => rowOf(index));
const signal = stopSignal(() => process.stderr.write('Stopping.\n'));
try {
  const picked = await pickImages(rows, { input: process.stdin, output: process.stderr, signal });
  process.stdout.write(`${JSON.stringify(picked)}\n`);
  if (code === '--code') {
    await using prompt = new CodePrompt({
      host: 'host-b',
      probe: async () => {},
      stdinTaken: false,
      onSuspend: () => {},
      signal,
    });
    await prompt.ask();
  }
} catch (error) {
  const { message, exit } = toImgmvError(error);
  process.stderr.write(`imgmv: ${message}\n`);
  process.exitCode = exit;
}
// The next line that this shows is the prompt of the shell: the terminal is as it was.
process.stdin.pause();
