/** On a terminal: what is planned, and whether it is to be done. */
import type { Proposal } from '../agent/commands/proposal.ts';
import type { Asked } from '../agent/commands/receive.ts';
import { CONFIRM_WAIT_MS } from '../agent/ends/confirming-sink.ts';
import type { PlanImage, PlanNeed } from '../agent/model/events.ts';
import { counted } from '../proto/counted.ts';
import { ImgmvError } from '../proto/errors.ts';
import { DECISION_WAIT_MS } from '../proto/limits.ts';
import { askLine } from './ask-line.ts';
import { escapeText } from './escape.ts';
import { needsText } from './needs-text.ts';
import { planText } from './plan-text.ts';
import { columnsOf, type TerminalIo } from './screen.ts';
import { etaOf, size } from './sizes.ts';
import { StrayKeys } from './stray-keys.ts';
import { wrap } from './wrap.ts';

const MINUTES = `${DECISION_WAIT_MS / 60_000} minutes`;

interface Needing {
  readonly needs?: readonly PlanNeed[] | undefined;
}

interface CopyProposal extends Needing {
  readonly images: readonly PlanImage[];
  /** As it was named. */
  readonly destination: string;
}

/** At a receiver, about what the other host wants to send. */
export function confirmPlan({ images, peer }: Asked, io: TerminalIo): Promise<boolean> {
  const who = escapeText(`${JSON.stringify(peer.name)} at ${peer.address}`);
  // The sum comes last, where a long plan has not scrolled it away.
  const text = `\n${who} wants to send:\n\n${planOf(images, io, { receiver: true })}\n${sumOf(images)}\n`;
  const seconds = CONFIRM_WAIT_MS / 1000;
  return ask(text, `Do this? Without an answer within ${seconds} s it is refused. [y/N] `, io);
}

/** At a sender, about what `send` is going to do. */
export function confirmSend(
  { images, needs, peer, estimate }: Proposal & Needing,
  io: TerminalIo,
): Promise<boolean> {
  const { bytes, seconds } = estimate;
  const time = bytes === 0 ? '' : `, ${etaOf(seconds)} without compression`;
  const text = `\nTo ${escapeText(JSON.stringify(peer))}:\n\n${planOf(images, io)}${needsText(needs)}\n${sumOf(images)}${time}\n`;
  return ask(text, `Send this? Without an answer within ${MINUTES} nothing is sent. [y/N] `, io);
}

/** At a sender, below the plan that `plan` has shown. */
export function offerToSend({ peer }: Proposal, io: TerminalIo): Promise<boolean> {
  return ask('\n', `Send this to ${escapeText(JSON.stringify(peer))} now? [y/N] `, io);
}

/** At the one host of a copy. */
export function confirmCopy({ images, needs, destination }: CopyProposal, io: TerminalIo): Promise<boolean> {
  const plan = planOf(images, io, { receiver: true, copies: true });
  const text = `\nTo ${escapeText(destination)}:\n\n${plan}${needsText(needs)}\n${sumOf(images, 'copy')}\n`;
  return ask(text, `Copy this? Without an answer within ${MINUTES} nothing is copied. [y/N] `, io);
}

/** Where `--confirm` asks. Throws usage where nobody can be asked. `stdinTaken`: standard input is something else. */
export function requireTerminal({ stdinTaken = false, hint }: { stdinTaken?: boolean; hint: string }): void {
  const { stdin, stderr } = process;
  if (stdinTaken)
    throw new ImgmvError('usage', 'standard input is taken, and --confirm asks there', {
      hint: 'name a file instead of -, or leave --confirm out',
    });
  if (!(stdin.isTTY && stderr.isTTY))
    throw new ImgmvError('usage', 'there is no terminal to ask on, which --confirm does', { hint });
}

/** Whether the answer was yes. Nothing but `y` or `yes` is. Ctrl-C becomes a SIGINT of this process. */
async function ask(text: string, question: string, { input, output, signal }: TerminalIo): Promise<boolean> {
  // What was typed before the question is an answer to something else.
  await new StrayKeys(input).drain();
  if (signal.aborted) return false;
  const columns = columnsOf(output);
  output.write(wrap(text, columns));
  const answer = await askLine({ input, output, signal }, (lines) => {
    lines.setPrompt(wrap(question, columns));
    lines.prompt();
  });
  return answer !== undefined && /^y(?:es)?$/i.test(answer.trim());
}

function planOf(
  images: readonly PlanImage[],
  { output }: TerminalIo,
  reader?: Parameters<typeof planText>[1],
): string {
  return planText(images, { ...reader, columns: columnsOf(output) });
}

function sumOf(images: readonly PlanImage[], verb = 'send'): string {
  const wanted = images.filter(({ action }) => action !== 'refuse');
  const bytes = wanted.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
  const replaced = wanted.flatMap(({ refs }) => refs).filter(({ replaces }) => replaces !== null).length;
  const pushes = wanted.flatMap(({ pushes = [] }) => pushes).length;
  const parts = [
    `${counted(wanted.length, 'image')}, ${size(bytes)} to ${verb}`,
    replaced > 0 && `${counted(replaced, 'name')} taken from other images`,
    pushes > 0 && `${counted(pushes, 'name')} pushed on`,
    wanted.length < images.length && `${images.length - wanted.length} refused in any case`,
  ];
  return parts.filter(Boolean).join(', ');
}
