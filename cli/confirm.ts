/** On the terminal of a receiver: the plan of a session, and whether it is to be done. */
import type { Asked } from '../agent/commands/receive.ts';
import { CONFIRM_WAIT_MS } from '../agent/ends/confirming-sink.ts';
import { askLine } from './ask-line.ts';
import { escapeText } from './escape.ts';
import { planText } from './plan-text.ts';
import type { TerminalIo } from './screen.ts';
import { counted, size } from './sizes.ts';
import { StrayKeys } from './stray-keys.ts';

/** Whether the answer was yes. Nothing but `y` or `yes` is. Ctrl-C becomes a SIGINT of this process. */
export async function confirmPlan(asked: Asked, { input, output, signal }: TerminalIo): Promise<boolean> {
  // What was typed before the question is an answer to something else.
  await new StrayKeys(input).drain();
  if (signal.aborted) return false;
  const { images, peer } = asked;
  const who = escapeText(`${JSON.stringify(peer.name)} at ${peer.address}`);
  // The sum comes last, where a long plan has not scrolled it away.
  output.write(`\n${who} wants to send:\n\n${planText(images, { receiver: true })}\n${sumOf(images)}\n`);
  const answer = await askLine({ input, output, signal }, (lines) => {
    const seconds = CONFIRM_WAIT_MS / 1000;
    lines.setPrompt(`Do this? Without an answer within ${seconds} s it is refused. [y/N] `);
    lines.prompt();
  });
  return answer !== undefined && /^y(?:es)?$/i.test(answer.trim());
}

function sumOf(images: Asked['images']): string {
  const wanted = images.filter(({ action }) => action !== 'refuse');
  const bytes = wanted.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
  const replaced = wanted.flatMap(({ refs }) => refs).filter(({ replaces }) => replaces !== null).length;
  const pushes = wanted.flatMap(({ pushes = [] }) => pushes).length;
  const parts = [
    `${counted(wanted.length, 'image')}, ${size(bytes)} to send`,
    replaced > 0 && `${counted(replaced, 'name')} taken from other images`,
    pushes > 0 && `${counted(pushes, 'name')} pushed on`,
    wanted.length < images.length && `${images.length - wanted.length} refused in any case`,
  ];
  return parts.filter(Boolean).join(', ');
}
