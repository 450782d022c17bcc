import type { Ask } from '../agent/commands/proposal.ts';
import { send } from '../agent/commands/send.ts';
import { ListenerProbe } from '../agent/peer/dialler.ts';
import { ImgmvError, toImgmvError } from '../proto/errors.ts';
import { JOBS, RETRIES } from '../proto/limits.ts';
import { type Choice, selectionOf, tellingNeeds } from './choosing.ts';
import { readCodeFile } from './code-input.ts';
import { CodePrompt } from './code-prompt.ts';
import { underlay, withoutConfigured } from './config.ts';
import { confirmSend, offerToSend, requireTerminal } from './confirm.ts';
import { missingHostHint, missingImageHint } from './meant.ts';
import { mergeMove } from './move-file/merge.ts';
import { readMoveFile } from './move-file.ts';
import { bytesPerSecond, limitGiven } from './options.ts';
import { requireArchive, requireStdinOnce, sourcesOf } from './places.ts';
import { namingOf } from './renaming.ts';
import { run } from './run.ts';
import { sendBySsh } from './send-by-ssh.ts';
import { nameGiven, pickerFor } from './sender-images.ts';
import type { SenderFlags } from './sender-options.ts';
import { isSsh, requireNoSsh } from './ssh-place.ts';

/** Runs `send` or `plan`, and sets the exit status. */
export async function sendImages(flags: SenderFlags, { planOnly = false } = {}): Promise<void> {
  let asked = flags;
  let failure: ImgmvError | undefined;
  try {
    asked = withOneLimit(flags);
    if (flags.move !== undefined) {
      requireStdinOnce(flags);
      const typed = withoutConfigured(asked);
      const merged = { ...typed, ...mergeMove(await readMoveFile(flags.move), typed) };
      asked = underlay(flags.configured?.values ?? {}, merged);
    }
  } catch (error) {
    failure = toImgmvError(error);
  }
  const { codeFile, from, to } = asked;
  const target = to && new URL(to).hostname;
  await run({ ...asked, command: 'send', target, reportsMoves: planOnly }, async (running) => {
    const { engine, emit, renderer, signal } = running;
    if (failure) throw failure;
    if (to === undefined)
      throw new ImgmvError('usage', `no host to ${planOnly ? 'plan for' : 'send to'}`, {
        hint: missingHostHint(planOnly ? 'plan' : 'send', asked.images ?? []),
      });
    if (isSsh(to)) return sendBySsh(asked, to, { planOnly }, running);
    requireNoSsh(asked);
    requireArchive(from, asked);
    const stdinTaken = requireStdinOnce(asked);
    const askAbout = askerFor(asked, { planOnly, stdinTaken });
    const naming = namingOf(nameGiven(asked), asked);
    const selection = await selectionOf(asked.images ?? [], asked, { emit, signal });
    const listener = new ListenerProbe({ url: to, connectTimeoutMs: asked.connectTimeout, signal });
    const probe = () => listener.look();
    const { hostname: host } = new URL(to);
    await using prompt = new CodePrompt({
      host,
      probe,
      stdinTaken,
      onSuspend: () => renderer.end(),
      signal,
    });
    const sending = send({
      selection,
      from: sourcesOf(from, { ...engine, lendTerminal: (work) => prompt.letAnswer(work) }),
      pick: pickerFor(asked, selection, probe, signal),
      naming,
      stdin: process.stdin,
      url: to,
      code: async (refused) => {
        if (codeFile === undefined) return prompt.ask(refused);
        if (refused) throw refused;
        return readCodeFile(codeFile, signal);
      },
      jobs: asked.jobs ?? JOBS,
      retries: asked.retries ?? RETRIES,
      ignoreSpace: asked.ignoreSpace === true,
      direct: asked.direct,
      planOnly,
      ask: askAbout?.(selection, prompt),
      thenPush: asked.thenPush === true,
      signal,
      emit: tellingNeeds(selection, emit, asked),
      maxBytes: asked.maxBytes,
      level: asked.level,
      connectTimeoutMs: asked.connectTimeout,
      patienceMs: asked.reconnect,
      limit: bytesPerSecond(asked.limit),
    });
    const { exit } = await sending.catch((error: unknown) => {
      throw withMeant(toImgmvError(listener.explain(error)), asked.images ?? [], new URL(to));
    });
    return exit;
  });
}

/** Undefined where nobody is asked. Throws usage where somebody should be, and cannot. */
function askerFor(
  { confirm, json, quiet }: SenderFlags,
  { planOnly, stdinTaken }: { readonly planOnly: boolean; readonly stdinTaken: boolean },
): ((choice: Choice, prompt: CodePrompt) => Ask) | undefined {
  const { stdin: input, stderr: output, stdout } = process;
  if (planOnly) {
    // Only somebody who sees the plan can say that it is to be done.
    const watched = input.isTTY && output.isTTY && stdout.isTTY && !stdinTaken;
    if (!watched || json || quiet) return undefined;
    return (_choice, prompt) => (proposal, signal) =>
      prompt.letAnswer(() => offerToSend(proposal, { input, output, signal }));
  }
  if (!confirm) return undefined;
  requireTerminal({
    stdinTaken,
    hint: 'run it on a terminal, or leave --confirm out; `imgmv plan` shows the plan anywhere',
  });
  return ({ needs }, prompt) =>
    (proposal, signal) =>
      prompt.letAnswer(() => confirmSend({ ...proposal, needs }, { input, output, signal }));
}

/** What is no image may be something else. */
function withMeant(error: ImgmvError, images: readonly string[], to: URL): ImgmvError {
  const { code, message } = error;
  const meant = code === 'image-not-found' ? missingImageHint(images, to) : undefined;
  if (meant === undefined) return error;
  const hint = error.hint === undefined ? meant : `${meant} ${error.hint}`;
  return new ImgmvError(code, message, { cause: error, hint });
}

/** `--bwlimit` as what it is. Throws usage for both. */
function withOneLimit(flags: SenderFlags): SenderFlags {
  const limit = limitGiven(flags);
  const { bwlimit, ...others } = flags;
  return { ...others, ...(limit !== undefined && { limit }) };
}
