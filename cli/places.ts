/** Places of images on the command line, and the standard streams where they are such a place. */
import { type Command, InvalidArgumentError } from 'commander';
import { FORMATS, type Format } from '../agent/archive/each-sink.ts';
import type { WriteStdout } from '../agent/archive/output.ts';
import { picks, type Selection } from '../agent/choose/selection.ts';
import type { EngineOptions } from '../agent/docker/engine.ts';
import {
  endpointText,
  located,
  type NamedEndpoint,
  parseEndpoint,
  type SinkEndpoint,
  type SourceEndpoint,
} from '../agent/ends/endpoint.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { MoveFile } from './move-file.ts';
import { collect } from './options.ts';

export const FROM_HELP =
  'read archives instead of the engine: docker-archive:FILE, oci-archive:FILE, oci:DIR or dir:DIR; repeatable';
export const MAX_BYTES_HELP = 'how much an archive may decompress to in all, such as 2TiB (default: 1TiB)';

export const NO_DIRECT_HELP = "read images by `docker save` alone, not out of the engine's store";

export const collectEndpoints = collect(parseEndpoint);

export interface DestinationFlags {
  readonly each?: string;
  readonly format?: Format;
  readonly overwrite?: true;
  readonly replace: boolean;
  readonly ignoreSpace?: true;
}

/** `other` is what --each stands in for. */
export function addFileOptions(command: Command, other: string): Command {
  const format = 'format of these archives: tar, tar.gz or tar.zst (default: tar.zst)';
  return command
    .option(
      '--each <dir>',
      `instead of ${other}: one archive per image in this directory, such as web_1.0.tar.zst`,
    )
    .option('--format <format>', format, parseFormat)
    .option('--overwrite', 'replace an existing file or dir:');
}

function parseFormat(text: string): Format {
  const format = FORMATS.find((one) => one === text);
  if (!format) throw new InvalidArgumentError(`Expected ${FORMATS.join(', ')}.`);
  return format;
}

/** Where images are looked for; in the engine if nothing else is named. */
export function sourcesOf(from: MoveFile['from'], engine: EngineOptions): readonly SourceEndpoint[] {
  const named = from && from.length > 0 ? from : [{ kind: 'docker-daemon', reference: '' } as const];
  return named.map((one) => located(one, engine));
}

/**
 * Where images go: one place, a directory for many, or else the engine. Throws usage for both, and for an option that
 * has nothing to say there, and would go unheard.
 */
export function destinationOf(
  into: NamedEndpoint | undefined,
  flags: DestinationFlags,
  engine: EngineOptions,
): SinkEndpoint {
  const { each, format } = flags;
  if (each !== undefined && into !== undefined)
    throw new ImgmvError('usage', 'one place for all images, or --each for a file per image: not both');
  if (each === undefined && format !== undefined)
    throw new ImgmvError('usage', '--format is of the files of --each; another file has it in its ending');
  const destination: SinkEndpoint =
    each === undefined
      ? located(into ?? { kind: 'docker-daemon', reference: '' }, engine)
      : { kind: 'each', path: each, format: format ?? 'tar.zst' };
  requireHeard(destination, flags);
  return destination;
}

function requireHeard({ kind }: SinkEndpoint, { overwrite, replace }: DestinationFlags): void {
  const isEngine = kind === 'docker-daemon';
  if (overwrite && (isEngine || kind === 'oci'))
    throw new ImgmvError(
      'usage',
      `--overwrite replaces a file, and ${isEngine ? 'an engine has none' : 'an oci: layout grows'}`,
      { hint: 'a name moves to the new image without it; --no-replace keeps names' },
    );
  if (!replace && !isEngine && kind !== 'oci')
    throw new ImgmvError(
      'usage',
      '--no-replace keeps names in an engine or an oci: layout: a new file has none',
      { hint: 'a file that exists stays, without --overwrite' },
    );
}

/** Throws usage for `option`, where there will be no engine to push. */
export function requirePushable({ kind }: SinkEndpoint, option: string): void {
  if (kind !== 'docker-daemon')
    throw new ImgmvError(
      'usage',
      `${option} is only for images in an engine, because the engine pushes them`,
      {
        hint: '`imgmv copy ARCHIVE docker-daemon: --push` pushes what is in an archive',
      },
    );
}

/** Throws usage where standard output is to be the archive, and cannot be. */
export function requireStdoutFree(destination: SinkEndpoint, json: boolean): void {
  if (!('path' in destination) || destination.kind === 'each' || destination.path !== '-') return;
  if (json)
    throw new ImgmvError('usage', '--json and the archive both want standard output', {
      hint: 'name a file for the archive',
    });
  if (process.stdout.isTTY)
    throw new ImgmvError('usage', 'an archive is nothing for a terminal', {
      hint: 'pipe it, or name a file instead of -',
    });
}

/** Resolves when the system has all of it: a pipe that is full holds whoever writes, and nobody else. */
export const writeStdout: WriteStdout = (chunk) =>
  new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
  });

/** Throws usage where a place names its image, and others are chosen besides; and for an engine that names none. */
export function requirePickedOnce(places: readonly NamedEndpoint[], selection: Selection): void {
  const picked = places.find(({ kind, reference }) => kind === 'docker-daemon' || reference !== undefined);
  if (picked && picks(selection))
    throw new ImgmvError('usage', `${endpointText(picked)} names its image already`, {
      hint: 'images are chosen among those of archives that are named without one',
    });
  if (places.some(({ kind, reference }) => kind === 'docker-daemon' && reference === ''))
    throw new ImgmvError('usage', 'docker-daemon: as a source wants the name of an image', {
      hint: '--all copies all of them',
    });
}

/** Throws usage for a bound on archives where none is read. */
export function requireArchive(from: MoveFile['from'], { maxBytes }: Pick<MoveFile, 'maxBytes'>): void {
  if (maxBytes === undefined || from?.some(({ kind }) => kind !== 'docker-daemon')) return;
  throw new ImgmvError('usage', '--max-bytes bounds the archives that are read, and there is none', {
    hint: 'what an engine holds is not decompressed here',
  });
}

interface StdinFlags extends Pick<MoveFile, 'codeFile' | 'file' | 'from'> {
  readonly move?: string;
}

/** Whether standard input is something else than a person. Throws usage where it is to be two things. */
export function requireStdinOnce({ codeFile, file, from, move }: StdinFlags): boolean {
  const taken = [
    ...(move === '-' ? ['the move file'] : []),
    ...(codeFile === '-' ? ['the pairing code'] : []),
    ...(file === '-' ? ['the list of images'] : []),
    ...(from?.some((one) => 'path' in one && one.path === '-') ? ['the archive'] : []),
  ];
  if (taken.length > 1)
    throw new ImgmvError('usage', `standard input cannot be ${taken.join(' and ')}`, {
      hint: 'each of them can also be a file',
    });
  return taken.length > 0;
}
