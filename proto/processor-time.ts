/** What threads of this process have used of the processors. Linux: proc(5), `stat`. */
import { readFileSync } from 'node:fs';

/** Of Linux for programs, whatever the kernel's own clock is. */
const TICKS_PER_SECOND = 100;

/** Seconds of the thread that asks. */
export function threadSeconds(): number {
  const text = readFileSync('/proc/thread-self/stat', 'latin1');
  // The second field is a name, which may have blanks and parentheses in it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
