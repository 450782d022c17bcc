/** The options that say what images are to be called at the target, the same on both sides. */
import type { Command } from 'commander';
import type { Naming } from '../agent/choose/meant.ts';
import { parseRetag, Renaming } from '../agent/choose/rename.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { MoveFile } from './move-file.ts';
import { collect } from './options.ts';

export type RenamingFlags = Pick<MoveFile, 'retag' | 'registry' | 'project' | 'keepNames'>;

export function addRenamingOptions(command: Command): Command {
  return command
    .optionsGroup('Options that rename on arrival:')
    .option(
      '--retag <old=new>',
      'rename on arrival, such as web=team/web or "old.reg/*=new.reg/p/*"; repeatable; the first match counts',
      collect(parseRetag),
    )
    .option(
      '--registry <host>',
      'rename what no --retag matches, to HOST/PROJECT/ and the last two parts of the name',
    )
    .option('--project <name>', 'the project of --registry')
    .option('--keep-names', 'also keep the old names of renamed images')
    .optionsGroup('Options:');
}

/** `as` is the one name of the one image, familiar, which `asBy` gives. Throws usage. */
export function namingOf(as: string | undefined, flags: RenamingFlags, asBy = '--as'): Naming {
  const { retag, registry, project, keepNames } = flags;
  if (as !== undefined && (retag !== undefined || registry !== undefined))
    throw new ImgmvError(
      'usage',
      `${asBy} and --${retag ? 'retag' : 'registry'} exclude each other: both name the image`,
      { hint: `did you mean only ${asBy} ${as}? --retag and --registry rename many images by rule` },
    );
  if (keepNames && retag === undefined && registry === undefined)
    throw new ImgmvError('usage', '--keep-names needs --retag or --registry, which rename', {
      hint: 'without them images keep their names',
    });
  return {
    renaming: new Renaming({ retag: retag ?? [], registry, project, keepNames: keepNames === true }),
    as,
  };
}
