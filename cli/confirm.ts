/** On the terminal of a receiver: the plan of a session, and whether it is to be done. */

import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Asked } from '../agent/commands/receive.ts';
import { CONFIRM_WAIT_MS } from '../agent/ends/confirming-sink.ts';
import { escapeText } from './escape.ts';
import { planText } from './plan-text.ts';
import type { TerminalIo } from './screen.ts';
import { counted, size } from './sizes.ts';

/** What was typed before the question is an answer to something else. */
const STALE_KEYS_MS = 100;
const CTRL_C = '\u0003';

/** Whether the answer was yes. Nothing but `y` or `yes` is. Ctrl-C becomes a SIGINT of this process. */
export async function confirmPlan(asked: Asked, { input, output, signal }: TerminalIo): Promise<boolean> {
  await dropStaleKeys(input);
  if (signal.aborted) return false;
  output.write(questionText(asked));
  const lines = createInterface({ input, output, terminal: true, historySize: 0 });
  return new Promise((resolve) => {
    const end = (yes: boolean) => {
      signal.removeEventListener('abort', giveUp);
      lines.off('close', giveUp);
      resolve(yes);
      lines.close();
      input.pause();
    };
    /** The line of the question ends here, and not by Enter. */
    const giveUp = () => {
      output.write('\n');
      end(false);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    lines.once('line', (line) => end(/^y(?:es)?$/i.test(line.trim())));
    lines.once('SIGINT', interrupt);
    // Ctrl-D, or a terminal that has gone.
    lines.once('close', giveUp);
    const seconds = CONFIRM_WAIT_MS / 1000;
    lines.setPrompt(`Do this? Without an answer within ${seconds} s it is refused. [y/N] `);
    lines.prompt();
  });
}

/** The terminal is in raw mode: Ctrl-C is a key, not a signal, until we make it one. */
function interrupt(): void {
  process.kill(process.pid, 'SIGINT');
}

async function dropStaleKeys(input: NodeJS.ReadStream): Promise<void> {
  const drop = (keys: Buffer | string) => {
    if (keys.includes(CTRL_C)) interrupt();
  };
  input.setRawMode(true);
  input.on('data', drop);
  await sleep(STALE_KEYS_MS);
  input.off('data', drop);
  input.pause();
  input.setRawMode(false);
}

/** The sum comes last, where a long plan has not scrolled it away. */
function questionText({ images, peer }: Asked): string {
  const who = escapeText(`${JSON.stringify(peer.name)} at ${peer.address}`);
  return `\n${who} wants to send:\n\n${planText(images, { receiver: true })}\n${sumOf(images)}\n`;
}

function sumOf(images: Asked['images']): string {
  const wanted = images.filter(({ action }) => action !== 'refuse');
  const bytes = wanted.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
  const replaced = wanted.flatMap(({ refs }) => refs).filter(({ replaces }) => replaces !== null).length;
  const pushes = wanted.flatMap(({ pushes = [] }) => pushes).length;
  return [
    `${counted(wanted.length, 'image')}, ${size(bytes)} to send`,
    ...(replaced > 0 ? [`${counted(replaced, 'name')} taken from other images`] : []),
    ...(pushes > 0 ? [`${counted(pushes, 'name')} pushed on`] : []),
    ...(wanted.length < images.length ? [`${images.length - wanted.length} refused in any case`] : []),
  ].join(', ');
}
