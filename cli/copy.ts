import { Command } from 'commander';
import type { Format } from '../agent/archive/each-sink.ts';
import { type ImageEndpoint, parseEndpoint } from '../agent/archive/endpoint.ts';
import { picksNothing } from '../agent/choose/selection.ts';
import { copyImages } from '../agent/commands/copy.ts';
import { familiar, parseTarget } from '../agent/model/reference.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, RETRIES } from '../proto/limits.ts';
import { addChoosingOptions, CHOOSING_HELP, type ChoosingFlags, selectionOf } from './choosing.ts';
import { parseRetries, parseSize, RETRIES_HELP } from './options.ts';
import {
  destinationOf,
  EACH_HELP,
  FORMAT_HELP,
  MAX_BYTES_HELP,
  OVERWRITE_HELP,
  parseFormat,
  requireArchive,
  requireHeard,
  requirePickedOnce,
  requirePushable,
  requireStdinOnce,
  requireStdoutFree,
  writeStdout,
} from './places.ts';
import { addRenamingOptions, namingOf, type RenamingFlags } from './renaming.ts';
import { REPORT_HELP } from './report/report-run.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';

interface CopyFlags extends CommonOptions, ChoosingFlags, RenamingFlags {
  readonly each?: string;
  readonly format?: Format;
  readonly overwrite?: true;
  readonly replace: boolean;
  readonly ignoreSpace?: true;
  readonly maxBytes?: number;
  readonly push?: true;
  readonly retries?: number;
}

export function copyCommand(): Command {
  const command = new Command('copy')
    .description('copy images on this host between its engine and archives')
    .argument(
      '[PLACE...]',
      'one SOURCE or more, and DEST; without SOURCE the engine, for --all and the like',
    );
  addRenamingOptions(addChoosingOptions(command))
    .option('--each <dir>', `in place of DEST: ${EACH_HELP}`)
    .option('--format <format>', FORMAT_HELP, parseFormat)
    .option('--overwrite', OVERWRITE_HELP)
    .option('--no-replace', 'refuse images whose name another image has in DEST')
    .option('--ignore-space', 'copy images for which a disk seems too full')
    .option('--max-bytes <size>', MAX_BYTES_HELP, parseSize)
    .option('--push', 'push what is in the engine then to where its names say, as `docker push` would')
    .option('--retries <n>', RETRIES_HELP, parseRetries)
    .option('--report <file>', REPORT_HELP);
  return addCommonOptions(command)
    .addHelpText(
      'after',
      `
Places:
  docker-daemon:NAME[:TAG]    the engine; as DEST docker-daemon: takes all images as they are called
  docker-archive:FILE[:REF]   what \`docker save\` writes; as a source also a directory of such files
  oci-archive:FILE[:REF]      an OCI layout in a tar
  oci:DIR[:REF]               an OCI layout; as DEST it grows
  dir:DIR                     one image, as skopeo keeps it
FILE is compressed as its ending says (.tar, .tar.gz, .tar.zst) and read by its bytes; - is standard
input or output. REF picks one image, or is what the one image is to be called.

Examples:
  $ imgmv copy docker-daemon:web:1.0 docker-daemon:db:16 docker-archive:both.tar.zst
  $ imgmv copy docker-archive:both.tar.zst docker-daemon:
  $ imgmv copy docker-archive:both.tar.zst:web:1.0 oci:layout
  $ imgmv copy docker-daemon:web:1.0 docker-archive:- | ssh host-b docker load
  $ imgmv copy docker-archive:both.tar.zst docker-daemon: --report copied.md
  $ imgmv copy --all --each /media/stick
  $ imgmv copy docker-archive:/media/stick docker-daemon: --registry registry.example --project team
  $ imgmv copy docker-archive:web.tar docker-daemon:registry.example/team/web:1.0 --push

${CHOOSING_HELP}

Images of an archive are read as a whole and checked before anything else happens. Their digests,
sizes and names have to agree; no other names than those shown reach the engine. Files that are
made are for their owner only (mode 0600).`,
    )
    .action(async (places: readonly string[], flags: CopyFlags) => {
      await run({ ...flags, command: 'copy' }, async ({ engine, emit, signal }) => {
        const endpoints = places.map(parseEndpoint);
        const sources = flags.each === undefined ? endpoints.slice(0, -1) : endpoints;
        const last = flags.each === undefined ? endpoints.at(-1) : undefined;
        requireStdinOnce({ ...flags, from: sources });
        const selection = await selectionOf([], flags, { emit, signal });
        if ((last ?? flags.each) === undefined || (sources.length === 0 && picksNothing(selection)))
          throw new ImgmvError('usage', 'a copy wants a source and a destination', {
            hint: 'imgmv copy SOURCE… DEST, or imgmv copy --all DEST for the images of the engine',
          });
        requirePickedOnce(sources, selection);
        requireArchive(sources, flags);
        const destination = destinationOf(last, flags.each, flags.format);
        requireHeard(destination, flags);
        if (flags.push) requirePushable(destination, '--push');
        if (destination && 'into' in destination) requireStdoutFree(destination.into, flags.json === true);
        const { exit } = await copyImages({
          ...(sources.length > 0 && { from: sources }),
          selection,
          naming: namingOf(nameAt(last, sources), flags),
          destination,
          engine,
          jobs: JOBS,
          retries: flags.retries ?? RETRIES,
          noReplace: !flags.replace,
          overwrite: flags.overwrite === true,
          ignoreSpace: flags.ignoreSpace === true,
          push: flags.push === true,
          stdin: process.stdin,
          ...(flags.maxBytes !== undefined && { maxBytes: flags.maxBytes }),
          stdout: writeStdout,
          signal,
          emit,
        });
        return exit;
      });
    });
}

/** What DEST calls the image that it takes. */
function nameAt(
  destination: ImageEndpoint | undefined,
  sources: readonly ImageEndpoint[],
): string | undefined {
  if (!destination?.reference) return undefined;
  if (sources.length > 1)
    throw new ImgmvError('usage', `the destination gives one name, and there are ${sources.length} sources`);
  return familiar(parseTarget(destination.reference, 'the name of the destination'));
}
