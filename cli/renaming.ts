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

/** `as` is the one name of the one image, familiar. Throws usage. */
export function namingOf(as: string | undefined, flags: RenamingFlags): Naming {
  const { retag, registry, project, keepNames } = flags;
  if (as !== undefined && (retag !== undefined || registry !== undefined))
    throw new ImgmvError('usage', `with ${as} as the name there is nothing left to --retag and --registry`);
  if (keepNames && retag === undefined && registry === undefined)
    throw new ImgmvError('usage', '--keep-names is for what is renamed, by --retag or --registry');
  return {
    renaming: new Renaming({ retag: retag ?? [], registry, project, keepNames: keepNames === true }),
    as,
  };
}
