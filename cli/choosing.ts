/** The options that say which images are meant: the same for `ls`, `send`, `plan` and `copy`. */
import { type Command, InvalidArgumentError } from 'commander';
import { readList } from '../agent/choose/list-file.ts';
import { type Pattern, parsePatterns } from '../agent/choose/pattern.ts';
import type { Selection } from '../agent/choose/selection.ts';
import { composeImages } from '../agent/compose/compose.ts';
import type { Emit, PlanNeed } from '../agent/model/events.ts';
import { readFrom, untilAborted } from '../agent/streams/fifo.ts';
import { fileError } from '../agent/streams/file-error.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { MoveFile } from './move-file.ts';
import { collect, parseLabel, parseSince } from './options.ts';
import type { Run } from './run.ts';

export type ChoosingFlags = Pick<
  MoveFile,
  'all' | 'label' | 'since' | 'except' | 'file' | 'compose' | 'running' | 'dangling'
>;

export const IMAGE_HELP =
  'name, name:tag, name@digest, an id or its prefix, as docker takes them; team/*, *:1.*, web:1.0,1.1 or web:/REGEX/ for several';

export const CHOOSING_HELP = `Choosing:
  team/*         all images whose name begins like this; * matches any characters, also / and, at
                 the end of a name without a tag, any tag
  *:1.*          all images with a tag like this
  web:1.0,1.1    two tags
  'web:/^v1\\./'  tags that match a regular expression
--label, --since and --except narrow down the choice, or all images if nothing else is chosen.
--except web leaves out all tags of web; elsewhere web means web:latest, as for docker.`;

export function addChoosingOptions(command: Command): Command {
  return command
    .optionsGroup('Options that choose images:')
    .option('-a, --all', 'all images that have a name')
    .option('--label <key[=value]>', 'only images with this label; repeatable', collect(parseLabel))
    .option('--since <duration>', 'only images made in the last 7d, or since 2026-11-01', parseSince)
    .option('--except <pattern>', 'leave out matching names; repeatable', collect(parsePatterns))
    .option('--file <list>', 'images from a file, one IMAGE a line; - for standard input', onlyOne)
    .option(
      '--compose <file>',
      'all images of a compose file, or of the one in a directory; repeat it to merge files',
      collect((file) => file),
    )
    .option('--running', 'the images of running containers')
    .option('--dangling', 'also images without a name, which arrive without one')
    .optionsGroup('Options:');
}

/** The last of several would be the only one that counts, and the others unread. */
function onlyOne(file: string, before?: string): string {
  if (before !== undefined)
    throw new InvalidArgumentError(
      `There is ${before} already: put both into one, or pipe them into --file -`,
    );
  return file;
}

type Telling = Pick<Run, 'emit' | 'signal'>;

/** Which images are meant, and what those of compose files need besides. */
export interface Choice extends Selection {
  readonly needs: readonly PlanNeed[] | undefined;
}

/** Tells with each plan what is needed besides, unless the question of `--confirm` shows that to people. */
export function tellingNeeds(
  { needs }: Choice,
  emit: Emit,
  { confirm, json }: { readonly confirm?: true | undefined; readonly json?: true | undefined },
): Emit {
  return needs && (json || !confirm)
    ? (event) => emit(event.event === 'plan' ? { ...event, needs } : event)
    : emit;
}

/** Reads what is named, until a stop. Throws usage, and image-not-found for a list that is empty. */
export async function selectionOf(
  images: readonly string[],
  flags: ChoosingFlags,
  run: Telling,
): Promise<Choice> {
  const project = flags.compose && (await composed(flags.compose, run));
  const { all, dangling, except, file, label, running, since } = flags;
  return {
    patterns: [
      ...images.flatMap(parsePatterns),
      ...(file === undefined ? [] : await listed(file, run.signal)),
      ...(project?.patterns ?? []),
    ],
    needs: project?.needs,
    labels: label ?? [],
    except: (except ?? []).flat(),
    all,
    dangling,
    running,
    since,
  };
}

async function listed(file: string, signal: AbortSignal): Promise<readonly Pattern[]> {
  if (file === '-') return readList(untilAborted(process.stdin, signal), 'the list on standard input');
  try {
    return await readList(readFrom(file, signal), file);
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    throw fileError(`cannot read the list ${file}`, file, cause);
  }
}

async function composed(
  files: readonly string[],
  { emit, signal }: Telling,
): Promise<{ readonly patterns: readonly Pattern[]; readonly needs: readonly PlanNeed[] }> {
  // What is relative in a compose file, its project's name included, needs the directory where it stands.
  if (files.includes('-'))
    throw new ImgmvError('usage', 'a compose file is not read from standard input', {
      hint: 'name the file, or its directory; `docker compose config` makes one of many',
    });
  const project = await composeImages(files, { env: process.env, cwd: process.cwd(), signal });
  const { images, needs, warnings } = project;
  for (const message of warnings) emit({ event: 'warning', message });
  if (images.length === 0)
    throw new ImgmvError('image-not-found', `${files.join(', ')} has no service with an image`);
  const patterns = images.map(({ built, file, image, line, service }) => ({
    kind: 'exact' as const,
    text: image,
    origin: {
      where: `service ${service}, ${file}:${line}`,
      hint: built ? '`docker compose build` makes it' : '`docker compose pull` brings it here',
    },
  }));
  return { patterns, needs };
}
