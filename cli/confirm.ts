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
import { planText, setsOnlyNames } from './plan-text.ts';
import { columnsOf, type TerminalIo } from './screen.ts';
import { etaOf, size } from './sizes.ts';
import { StrayKeys } from './stray-keys.ts';
import { wrap } from './wrap.ts';

const NO_NAMES = 'No name was set.';
const MINUTES = `${DECISION_WAIT_MS / 60_000} minutes`;

interface Question {
  /** Above it. */
  readonly text: string;
  readonly question: string;
  /** What is said after a no. */
  readonly no: string;
}

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
  const names = setsOnlyNames(images);
  const wants = names ? 'wants to set names' : 'wants to send';
  const text = `\n${who} ${wants}:\n\n${planOf(images, io, { receiver: true })}\n${sumOf(images)}\n`;
  const seconds = CONFIRM_WAIT_MS / 1000;
  const question = `Do this? Without an answer within ${seconds} s it is refused. [y/N] `;
  return ask({ text, question, no: names ? NO_NAMES : 'Nothing was taken.' }, io);
}

/** At a sender, about what `send` is going to do. */
export function confirmSend(
  { images, needs, peer, estimate }: Proposal & Needing,
  io: TerminalIo,
): Promise<boolean> {
  const { bytes, seconds } = estimate;
  const time = bytes === 0 ? '' : `, ${etaOf(seconds)} without compression`;
  const text = `\nTo ${escapeText(JSON.stringify(peer))}:\n\n${planOf(images, io)}${needsText(needs)}\n${sumOf(images)}${time}\n`;
  return ask({ text, ...actionOn(images, 'Send this', 'sent') }, io);
}

const NOTHING_SENT = 'Nothing was sent, and the code is used up: another move needs a new one.';

/** At a sender, below the plan that `plan` has shown. */
export function offerToSend({ images, peer }: Proposal, io: TerminalIo): Promise<boolean> {
  const there = escapeText(JSON.stringify(peer));
  const names = setsOnlyNames(images);
  const what = names ? `Set these names on ${there}` : `Send this to ${there}`;
  return ask({ text: '\n', question: `${what} now? [y/N] `, no: names ? NO_NAMES : NOTHING_SENT }, io);
}

/** At the one host of a copy. */
export function confirmCopy({ images, needs, destination }: CopyProposal, io: TerminalIo): Promise<boolean> {
  const plan = planOf(images, io, { receiver: true, copies: true });
  const text = `\nTo ${escapeText(destination)}:\n\n${plan}${needsText(needs)}\n${sumOf(images, 'copy')}\n`;
  return ask({ text, ...actionOn(images, 'Copy this', 'copied') }, io);
}

/** The question whether to do it, and what a no comes to. */
function actionOn(images: readonly PlanImage[], action: string, done: string): Omit<Question, 'text'> {
  if (setsOnlyNames(images))
    return {
      question: `Set these names? Without an answer within ${MINUTES} none is set. [y/N] `,
      no: NO_NAMES,
    };
  return {
    question: `${action}? Without an answer within ${MINUTES} nothing is ${done}. [y/N] `,
    no: `Nothing was ${done}.`,
  };
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
async function ask(
  { text, question, no }: Question,
  { input, output, signal }: TerminalIo,
): Promise<boolean> {
  // What was typed before the question is an answer to something else.
  await new StrayKeys(input).drain();
  if (signal.aborted) return false;
  const columns = columnsOf(output);
  output.write(wrap(text, columns));
  const answer = await askLine({ input, output, signal }, (lines) => {
    lines.setPrompt(wrap(question, columns));
    lines.prompt();
  });
  const yes = answer !== undefined && /^y(?:es)?$/i.test(answer.trim());
  // Who no longer wants an answer says why.
  if (!yes && !signal.aborted) output.write(`${no}\n`);
  return yes;
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
    `${counted(wanted.length, 'image')}, ${setsOnlyNames(images) ? 'only names to set' : `${size(bytes)} to ${verb}`}`,
    replaced > 0 && `${counted(replaced, 'name')} taken from other images`,
    pushes > 0 && `${counted(pushes, 'name')} pushed on`,
    wanted.length < images.length && `${images.length - wanted.length} refused in any case`,
  ];
  return parts.filter(Boolean).join(', ');
}
