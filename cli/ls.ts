import { Command } from 'commander';
import { picks, picksNothing } from '../agent/choose/selection.ts';
import { listImages } from '../agent/commands/ls.ts';
import {
  addChoosingOptions,
  CHOOSING_HELP,
  type ChoosingFlags,
  IMAGE_HELP,
  selectionOf,
} from './choosing.ts';
import type { MoveFile } from './move-file.ts';
import { parseSize } from './options.ts';
import {
  collectEndpoints,
  FROM_HELP,
  MAX_BYTES_HELP,
  requireArchive,
  requirePickedOnce,
  requireStdinOnce,
  sourcesOf,
} from './places.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';

type ListFlags = CommonOptions & ChoosingFlags & Pick<MoveFile, 'from' | 'maxBytes'>;

export function lsCommand(): Command {
  const command = new Command('ls')
    .description('list images, their sizes and what they share')
    .argument('[IMAGE...]', IMAGE_HELP)
    .option('--from <source>', FROM_HELP, collectEndpoints);
  addChoosingOptions(command).option('--max-bytes <size>', `with --from: ${MAX_BYTES_HELP}`, parseSize);
  return addCommonOptions(command, 'errors and the list')
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv ls
  $ imgmv ls 'team/*' --since 7d
  $ imgmv ls --running --json | jq -r '.images[]?.names[]'
  $ imgmv ls --from docker-archive:images.tar.zst

${CHOOSING_HELP}

SHARED is how much of an image other images there also have, and how many do. For archives the list
shows what they say about themselves: their layers are not read, and only an archive that is
compressed as a whole is decompressed.`,
    )
    .action((images: readonly string[], flags: ListFlags) =>
      run(flags, async ({ engine, emit, signal }) => {
        requireStdinOnce(flags);
        requireArchive(flags.from, flags);
        const chosen = await selectionOf(images, flags, { emit, signal });
        if (flags.from) requirePickedOnce(flags.from, chosen);
        // With or without a name, as `docker images` has it; of nothing there is a list, too.
        const everything = picks(chosen) || flags.from ? {} : { all: true, dangling: true };
        const orNothing = picksNothing(chosen);
        await listImages({
          from: sourcesOf(flags.from, engine),
          maxBytes: flags.maxBytes,
          direct: true,
          selection: { ...chosen, ...everything, orNothing },
          stdin: process.stdin,
          signal,
          emit,
        });
        return 0;
      }),
    );
}
