/** Places of images on the command line, and the standard streams where they are such a place. */
import { InvalidArgumentError } from 'commander';
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
  'archives in place of the engine: docker-archive:FILE, oci-archive:FILE, oci:DIR or dir:DIR; may be given again';
export const MAX_BYTES_HELP = 'how much an archive may decompress to in all, such as 2TiB (default: 1TiB)';
export const EACH_HELP = 'one archive per image in this directory, such as web_1.0.tar.zst';
export const FORMAT_HELP = 'of the archives of --each: tar, tar.gz or tar.zst (default: tar.zst)';
export const OVERWRITE_HELP = 'replace a file, or a dir:, that exists';

export const collectEndpoints = collect(parseEndpoint);

export function parseFormat(text: string): Format {
  const format = FORMATS.find((one) => one === text);
  if (!format) throw new InvalidArgumentError(`Expected ${FORMATS.join(', ')}.`);
  return format;
}

/** Where images are looked for; in the engine if nothing else is named. */
export function sourcesOf(
  from: readonly NamedEndpoint[] | undefined,
  engine: EngineOptions,
): readonly SourceEndpoint[] {
  const named = from && from.length > 0 ? from : [{ kind: 'docker-daemon', reference: '' } as const];
  return named.map((one) => located(one, engine));
}

/** Where images go: one place, a directory for many, or else the engine. Throws usage for both. */
export function destinationOf(
  into: NamedEndpoint | undefined,
  each: string | undefined,
  format: Format | undefined,
  engine: EngineOptions,
): SinkEndpoint {
  if (each !== undefined && into !== undefined)
    throw new ImgmvError('usage', 'one place for all images, or --each for a file per image: not both');
  if (each === undefined && format !== undefined)
    throw new ImgmvError('usage', '--format is of the files of --each; another file has it in its ending');
  if (each !== undefined) return { kind: 'each', path: each, format: format ?? 'tar.zst' };
  return located(into ?? { kind: 'docker-daemon', reference: '' }, engine);
}

/** Throws usage for an option that has nothing to say where the images go, and would go unheard. */
export function requireHeard(
  { kind }: SinkEndpoint,
  { overwrite, replace }: { readonly overwrite?: true; readonly replace: boolean },
): void {
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
    throw new ImgmvError('usage', `${option} is for images in an engine, which alone can push them`, {
      hint: '`imgmv copy ARCHIVE docker-daemon: --push` pushes what is in an archive',
    });
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
      hint: 'pipe it, or name a file in place of -',
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
export function requireArchive(
  places: readonly NamedEndpoint[] | undefined,
  { maxBytes }: Pick<MoveFile, 'maxBytes'>,
): void {
  if (maxBytes === undefined || places?.some(({ kind }) => kind !== 'docker-daemon')) return;
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
