/** What `send` and `plan` have in common: their options, a move file, and the way to one call of the agent. */
import type { Command } from 'commander';
import { picksNothing, type Selection } from '../agent/choose/selection.ts';
import type { Ask } from '../agent/commands/proposal.ts';
import { send } from '../agent/commands/send.ts';
import type { Pick } from '../agent/ends/origin.ts';
import { familiar, parseTarget as parseName } from '../agent/model/reference.ts';
import { ListenerProbe } from '../agent/peer/dialler.ts';
import { ImgmvError, toImgmvError } from '../proto/errors.ts';
import { JOBS, RETRIES } from '../proto/limits.ts';
import { addChoosingOptions, type Choice, selectionOf, tellingNeeds } from './choosing.ts';
import { readCodeFile } from './code-input.ts';
import { CodePrompt } from './code-prompt.ts';
import { type Configured, underlay, withoutConfigured } from './config.ts';
import { confirmSend, offerToSend, requireTerminal } from './confirm.ts';
import { missingHostHint, missingImageHint } from './meant.ts';
import { mergeMove } from './move-file/merge.ts';
import { type MoveFile, readMoveFile } from './move-file.ts';
import {
  BWLIMIT_HELP,
  bytesPerSecond,
  CONNECT_TIMEOUT_HELP,
  LIMIT_HELP,
  type Limit,
  limitGiven,
  ONE_HOST,
  once,
  parseBwlimit,
  parseConnectTimeout,
  parseLimit,
  parseReconnect,
  parseSize,
  parseTarget,
  RECONNECT_HELP,
} from './options.ts';
import { pickImages } from './picker.ts';
import {
  collectEndpoints,
  FROM_HELP,
  MAX_BYTES_HELP,
  NO_DIRECT_HELP,
  requireArchive,
  requirePickedOnce,
  requireStdinOnce,
  sourcesOf,
} from './places.ts';
import { addRenamingOptions, namingOf } from './renaming.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';

/** What is to be done: the options, and where there is one the keys of a move file. */
export interface SenderFlags extends CommonOptions, MoveFile, Configured {
  /** The same as `limit`, which a move file and a configuration have. */
  readonly bwlimit?: Limit;
  readonly direct: boolean;
  /** A move file, whose values these win over. */
  readonly move?: string;
}

export function addSenderOptions(command: Command): Command {
  command
    .option(
      '--to <host[:port]>',
      'where `imgmv receive` waits; also ws://… or wss://…',
      once(parseTarget, ONE_HOST),
    )
    .option('--move <file>', 'read what to move, and how, from a YAML file; - is standard input')
    .option('--from <source>', FROM_HELP, collectEndpoints);
  addRenamingOptions(addChoosingOptions(command))
    .option('--as <name:tag>', 'the name at the target, for one image only')
    .option('--code-file <file>', 'read the pairing code from a file; - is standard input')
    .option('--connect-timeout <duration>', CONNECT_TIMEOUT_HELP, parseConnectTimeout)
    .option('--reconnect <duration>', RECONNECT_HELP, parseReconnect)
    .option('--limit <rate>', LIMIT_HELP, parseLimit)
    .option('--bwlimit <rate>', BWLIMIT_HELP, parseBwlimit)
    .option('--ignore-space', 'also save images that seem too large for the disk of this host')
    .option('--no-direct', NO_DIRECT_HELP)
    .option('--max-bytes <size>', `with --from: ${MAX_BYTES_HELP}`, parseSize)
    .option('--then-push', 'have the target push the images to the registries in their names');
  return addCommonOptions(command);
}

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
  await run(
    { ...asked, command: 'send', target, reportsMoves: planOnly },
    async ({ engine, emit, renderer, signal }) => {
      if (failure) throw failure;
      if (to === undefined)
        throw new ImgmvError('usage', `no host to ${planOnly ? 'plan for' : 'send to'}`, {
          hint: missingHostHint(planOnly ? 'plan' : 'send', asked.images ?? []),
        });
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
    },
  );
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

/** Of the one image. Throws usage where there cannot be one. */
function nameGiven({ as, images = [] }: SenderFlags): string | undefined {
  if (as === undefined) return undefined;
  if (images.length > 1)
    throw new ImgmvError('usage', `--as gives one name, and there are ${images.length} images`);
  return familiar(parseName(as, '--as'));
}

/** Undefined where the selection says it all. Throws usage where nobody does, and nobody can be asked. */
function pickerFor(
  flags: SenderFlags,
  selection: Selection,
  probe: () => Promise<void>,
  signal: AbortSignal,
): Pick | undefined {
  const { from, json, quiet } = flags;
  if (from) requirePickedOnce(from, selection);
  if (from || !picksNothing(selection)) return undefined;
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY || requireStdinOnce(flags) || json || quiet)
    throw new ImgmvError('usage', 'no image is named', {
      hint: 'name one or more, or give --all for all that have a name',
    });
  return async (there) => {
    // Nobody picks images for a host that is not there; whether there are any to pick is known here.
    if (there.length > 0) await probe();
    return pickImages(there, { input, output, signal });
  };
}
