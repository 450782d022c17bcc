import { Command } from 'commander';
import { picksNothing } from '../agent/choose/selection.ts';
import { copyImages } from '../agent/commands/copy.ts';
import type { EngineOptions } from '../agent/docker/engine.ts';
import {
  endpointText,
  type NamedEndpoint,
  namesKind,
  parseEndpoint,
  type SinkEndpoint,
} from '../agent/ends/endpoint.ts';
import { familiar, parseTarget } from '../agent/model/reference.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, RETRIES } from '../proto/limits.ts';
import {
  addChoosingOptions,
  CHOOSING_HELP,
  type ChoosingFlags,
  selectionOf,
  tellingNeeds,
} from './choosing.ts';
import { confirmCopy, requireTerminal } from './confirm.ts';
import { placesHint } from './meant.ts';
import { parseRetries, parseSize, RETRIES_HELP } from './options.ts';
import {
  addFileOptions,
  type DestinationFlags,
  destinationOf,
  MAX_BYTES_HELP,
  NO_DIRECT_HELP,
  requireArchive,
  requirePickedOnce,
  requirePushable,
  requireStdinOnce,
  requireStdoutFree,
  sourcesOf,
  writeStdout,
} from './places.ts';
import { addRenamingOptions, namingOf, type RenamingFlags } from './renaming.ts';
import { REPORT_HELP } from './report/report-run.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';

type Side = 'src' | 'dest';
type EngineFlags = { readonly [K in `${Side}${'DockerHost' | 'Context'}`]?: string };

interface CopyFlags extends CommonOptions, ChoosingFlags, RenamingFlags, DestinationFlags, EngineFlags {
  readonly maxBytes?: number;
  readonly direct: boolean;
  readonly push?: true;
  readonly confirm?: true;
  readonly retries?: number;
}

export function copyCommand(): Command {
  const command = new Command('copy')
    .description('copy images between engines and archives that this host reaches')
    .argument(
      '[PLACE...]',
      'one or more SOURCE, then DEST; without SOURCE the engine, for options such as --all',
    );
  addFileOptions(addRenamingOptions(addChoosingOptions(command)), 'DEST')
    .option('--no-replace', 'refuse an image if another one in DEST has its name')
    .option('--ignore-space', 'also copy images that seem too large for a disk')
    .option('--no-direct', NO_DIRECT_HELP)
    .option('--max-bytes <size>', MAX_BYTES_HELP, parseSize)
    .option('--push', 'then push the images to the registries in their names, as `docker push` does')
    .option('--confirm', 'show the plan on this terminal, and ask before anything is copied')
    .option('--retries <n>', RETRIES_HELP, parseRetries)
    .option('--src-docker-host <address>', 'the engine of SOURCE, instead of --docker-host')
    .option('--src-context <name>', 'the engine of SOURCE, instead of --context')
    .option('--dest-docker-host <address>', 'the engine of DEST, instead of --docker-host')
    .option('--dest-context <name>', 'the engine of DEST, instead of --context')
    .option('--report <file>', REPORT_HELP);
  return addCommonOptions(command)
    .addHelpText(
      'after',
      `
Places:
  docker-daemon:NAME[:TAG]    the engine; as DEST, docker-daemon: takes all images under their own names
  docker-archive:FILE[:REF]   what \`docker save\` writes; as a source also a directory of such files
  oci-archive:FILE[:REF]      an OCI layout in a tar
  oci:DIR[:REF]               an OCI layout; as DEST it grows
  dir:DIR                     one image, as skopeo keeps it
The ending of FILE (.tar, .tar.gz, .tar.zst) says how to compress it; reading goes by its bytes. - is
standard input or output. REF picks one image, or names the one image.

Examples:
  $ imgmv copy docker-daemon:web:1.0 docker-daemon:db:16 docker-archive:both.tar.zst
  $ imgmv copy docker-archive:both.tar.zst docker-daemon:
  $ imgmv copy docker-archive:both.tar.zst:web:1.0 oci:layout
  $ imgmv copy docker-daemon:web:1.0 docker-archive:- | ssh host-b docker load
  $ imgmv copy docker-archive:both.tar.zst docker-daemon: --report copied.md
  $ imgmv copy docker-daemon:web:1.0 docker-daemon: --dest-docker-host ssh://ops@host-b
  $ imgmv copy --all --each /media/stick
  $ imgmv copy docker-archive:/media/stick docker-daemon: --registry registry.example --project team
  $ imgmv copy docker-archive:web.tar docker-daemon:registry.example/team/web:1.0 --push

${CHOOSING_HELP}

The images that you choose from an archive are read and checked before anything else happens. Their
digests, sizes and names have to agree, and no names except those shown reach the engine. New files
are only for their owner (mode 0600).`,
    )
    .action((places: readonly string[], flags: CopyFlags) =>
      run({ ...flags, command: 'copy' }, async ({ engine, emit, signal }) => {
        const endpoints = parsePlaces(places);
        const sources = flags.each === undefined ? endpoints.slice(0, -1) : endpoints;
        const last = flags.each === undefined ? endpoints.at(-1) : undefined;
        const stdinTaken = requireStdinOnce({ ...flags, from: sources });
        const selection = await selectionOf([], flags, { emit, signal });
        if ((last ?? flags.each) === undefined || (sources.length === 0 && picksNothing(selection)))
          throw new ImgmvError('usage', 'a copy wants a source and a destination', {
            hint: 'imgmv copy SOURCE… DEST, or imgmv copy --all DEST for the images of the engine',
          });
        requirePickedOnce(sources, selection);
        requireArchive(sources, flags);
        const from = engineOf('src', flags, engine);
        const to = engineOf('dest', flags, engine);
        const destination = destinationOf(last, flags, to);
        if (sources.length > 0 && !sources.some(isEngine)) requireUnset('src', flags);
        if (!isEngine(destination)) requireUnset('dest', flags);
        if (flags.push) requirePushable(destination, '--push');
        requireStdoutFree(destination, flags.json === true);
        if (flags.confirm)
          requireTerminal({ stdinTaken, hint: 'run it on a terminal, or leave --confirm out' });
        const { stdin: input, stderr: output } = process;
        const { exit } = await copyImages({
          from: sourcesOf(sources, from),
          selection,
          naming: namingOf(nameAt(last, sources), flags, 'the name in DEST'),
          destination,
          jobs: JOBS,
          retries: flags.retries ?? RETRIES,
          noReplace: !flags.replace,
          overwrite: flags.overwrite === true,
          ignoreSpace: flags.ignoreSpace === true,
          direct: flags.direct,
          push: flags.push === true,
          confirm:
            flags.confirm &&
            ((images, until) =>
              confirmCopy(
                { images, needs: selection.needs, destination: endpointText(destination) },
                { input, output, signal: until },
              )),
          stdin: process.stdin,
          maxBytes: flags.maxBytes,
          stdout: writeStdout,
          signal,
          emit: tellingNeeds(selection, emit, flags),
        });
        return exit;
      }),
    );
}

/** Throws usage, with what was most likely meant by a place whose kind is not said. */
function parsePlaces(places: readonly string[]): readonly NamedEndpoint[] {
  const unknown = places.find((text) => !namesKind(text));
  if (unknown !== undefined)
    throw new ImgmvError('usage', `${JSON.stringify(unknown)} is not a place for images`, {
      hint: placesHint(places, namesKind),
    });
  return places.map(parseEndpoint);
}

function isEngine({ kind }: SinkEndpoint | NamedEndpoint): boolean {
  return kind === 'docker-daemon';
}

/** The engine of one side; that of both where nothing is said of one. */
function engineOf(side: Side, flags: EngineFlags, both: EngineOptions): EngineOptions {
  const [dockerHost, context] = [flags[`${side}DockerHost`], flags[`${side}Context`]];
  if (dockerHost === undefined && context === undefined) return both;
  return { ...both, dockerHost, context, optionPrefix: `--${side}-` };
}

/** Throws usage for an option that says which engine, where there is none. */
function requireUnset(side: Side, flags: EngineFlags): void {
  const [dockerHost, context] = [flags[`${side}DockerHost`], flags[`${side}Context`]];
  if (dockerHost === undefined && context === undefined) return;
  const option = `--${side}-${dockerHost === undefined ? 'context' : 'docker-host'}`;
  const name = side === 'src' ? 'SOURCE' : 'DEST';
  throw new ImgmvError('usage', `${option} says which engine ${name} means, and ${name} is an archive`, {
    hint: 'an engine is docker-daemon:NAME, or docker-daemon: as DEST',
  });
}

/** What DEST calls the image that it takes. */
function nameAt(dest: NamedEndpoint | undefined, sources: readonly NamedEndpoint[]): string | undefined {
  if (!dest?.reference) return undefined;
  if (sources.length > 1)
    throw new ImgmvError('usage', `the destination gives one name, and there are ${sources.length} sources`);
  return familiar(parseTarget(dest.reference, 'the name of the destination'));
}
