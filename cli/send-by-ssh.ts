/** `--to ssh://…`: the images go straight into the engine of the other host, which needs no imgmv. */
import { copyImages } from '../agent/commands/copy.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, RETRIES } from '../proto/limits.ts';
import { selectionOf, tellingNeeds } from './choosing.ts';
import { confirmCopy, requireTerminal } from './confirm.ts';
import { requireArchive, requireStdinOnce, sourcesOf, writeStdout } from './places.ts';
import { namingOf } from './renaming.ts';
import type { Run } from './run.ts';
import { nameGiven, pickerFor } from './sender-images.ts';
import type { SenderFlags } from './sender-options.ts';
import { engineAt } from './ssh-place.ts';

/** Options of a session between two imgmv. By ssh there is none. */
const OF_SESSIONS = {
  codeFile: '--code-file',
  connectTimeout: '--connect-timeout',
  reconnect: '--reconnect',
  limit: '--limit',
  level: '--level',
} as const;

/** Gives the exit status. Throws what ended the run before there was a ledger. */
export async function sendBySsh(
  asked: SenderFlags,
  to: string,
  { planOnly }: { readonly planOnly: boolean },
  { engine, emit, signal }: Run,
): Promise<number> {
  requireUnset(asked);
  if (asked.limit !== undefined && asked.limit !== 'none')
    emit({ event: 'warning', message: 'the limit from the configuration does not apply to ssh://' });
  requireArchive(asked.from, asked);
  const stdinTaken = requireStdinOnce(asked);
  if (asked.confirm) requireTerminal({ stdinTaken, hint: 'run it on a terminal, or leave --confirm out' });
  const naming = namingOf(nameGiven(asked), asked);
  const selection = await selectionOf(asked.images ?? [], asked, { emit, signal });
  const { host } = new URL(to);
  const { stdin: input, stderr: output } = process;
  const { exit } = await copyImages({
    selection,
    from: sourcesOf(asked.from, engine),
    pick: pickerFor(asked, selection, async () => {}, signal),
    naming,
    destination: { kind: 'docker-daemon', reference: '', engine: engineAt(to, engine, asked) },
    jobs: asked.jobs ?? JOBS,
    retries: asked.retries ?? RETRIES,
    noReplace: false,
    overwrite: false,
    ignoreSpace: asked.ignoreSpace === true,
    direct: asked.direct,
    planOnly,
    push: asked.thenPush === true,
    confirm:
      asked.confirm &&
      ((images, until) =>
        confirmCopy({ images, needs: selection.needs, destination: to }, { input, output, signal: until })),
    stdin: process.stdin,
    maxBytes: asked.maxBytes,
    stdout: writeStdout,
    signal,
    emit: (event) => tellingNeeds(selection, emit, asked)({ ...event, target: host }),
  });
  return exit;
}

/** Throws usage. */
function requireUnset(asked: SenderFlags): void {
  for (const [key, option] of Object.entries(OF_SESSIONS))
    if (asked[key as keyof typeof OF_SESSIONS] !== undefined && !isConfigured(asked, key))
      throw new ImgmvError('usage', `${option} does not work with ssh://`, {
        hint: 'leave it out: it is for a host where `imgmv receive` waits',
      });
}

function isConfigured({ configured }: SenderFlags, key: string): boolean {
  return configured !== undefined && key in configured.values;
}
