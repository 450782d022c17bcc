/** Archives as they are named on the command line: what is in them. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import { integrity, usage } from '../streams/errors.ts';
import { Inflation } from '../streams/inflation.ts';
import { lstatIfAny } from '../streams/lstat-if-any.ts';
import { ReadingMeter } from '../streams/reading-meter.ts';
import { type Archive, LayerCheck } from './archive.ts';
import type { Contents } from './contents.ts';
import { callings, type Described, type SetAside } from './described.ts';
import { dirImages, isDirFile } from './dir/dir-image.ts';
import { DirectoryContents } from './directory-contents.ts';
import { dockerArchiveImages, MANIFEST } from './docker-archive/docker-archive.ts';
import { type ArchiveEndpoint, archiveText } from './endpoint.ts';
import { openInput } from './input.ts';
import { ARCHIVES_IN_DIRECTORY_MAX, INFLATED_MAX_BYTES } from './limits.ts';
import { LAYOUT, ociImages, openOciLayout } from './oci-layout/oci-images.ts';
import { TarContents } from './tar/tar-contents.ts';
import { seemsToBegin } from './wrong-file.ts';

/** Of an archive that holds nothing that could be moved. */
const REASONS_SHOWN_MAX = 3;
const ARCHIVE_ENDING = /\.(tar|tar\.gz|tgz|tar\.zst)$/;

export interface ReadOptions {
  readonly stdin: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
  /** What each may inflate to in all; INFLATED_MAX_BYTES when left out. */
  readonly maxBytes?: number | undefined;
  /** Told how far it is, also while images are checked. */
  readonly meter?: ReadingMeter;
}

/**
 * All archives that `endpoint` names: a directory of them is as many. Throws image-not-found where nothing is
 * there, usage for what cannot be read, integrity for the first thing in it that is wrong, naming the file.
 */
export async function openArchives(
  endpoint: ArchiveEndpoint,
  options: ReadOptions,
): Promise<readonly Archive[]> {
  return openAll(endpoint, options).catch(async (error: unknown) => {
    throw (await whereColonEndsPath(endpoint, error)) ?? error;
  });
}

/** A path ends at its first colon, as skopeo has it: what stands behind it may have been meant to be a part of it. */
async function whereColonEndsPath(
  { path, reference }: ArchiveEndpoint,
  error: unknown,
): Promise<ImgmvError | undefined> {
  if (!(error instanceof ImgmvError) || error.code !== 'image-not-found' || reference === undefined)
    return undefined;
  const whole = `${path}:${reference}`;
  if (!(await lstatIfAny(whole).catch(() => undefined))) return undefined;
  return new ImgmvError('image-not-found', error.message, {
    cause: error,
    hint: `the path ends at its first colon, and ${whole} exists: give that file another name, or pass it on standard input, as docker-archive:-`,
  });
}

async function openAll(endpoint: ArchiveEndpoint, options: ReadOptions): Promise<readonly Archive[]> {
  const { signal } = options;
  const { kind, path } = endpoint;
  const reading = { ...options, meter: options.meter ?? new ReadingMeter() };
  const label = archiveText({ kind, path });
  switch (kind) {
    case 'oci':
      return [await archiveOf(label, reading, () => openOciLayout(path, signal), ociImages)];
    case 'dir': {
      const open = () => DirectoryContents.open(path, [''], isDirFile, signal);
      return [await archiveOf(label, reading, open, dirImages)];
    }
    case 'docker-archive':
    case 'oci-archive': {
      const archives: Archive[] = [];
      try {
        const { files, found } = await filesAt(path);
        reading.meter.begin('index', await sizeOf(files));
        for (const file of files)
          archives.push(
            await archiveOf(
              file === '-' ? 'standard input' : file,
              reading,
              (inflation) => openTar(file, { ...reading, found, inflation }),
              kind === 'oci-archive' ? ociImages : eitherImages,
            ),
          );
        return archives;
      } catch (error) {
        for (const archive of archives) await archive[Symbol.asyncDispose]();
        throw error;
      }
    }
    default:
      return kind satisfies never;
  }
}

/**
 * As `docker load` on a containerd store: where there is an OCI side, it is what counts. What that one lacks, or has
 * not whole, and manifest.json has, is taken from there: some releases of Docker 25 wrote such archives.
 */
function eitherImages(contents: Contents): Described {
  if (!contents.files.has(LAYOUT)) return dockerArchiveImages(contents);
  const oci = ociImages(contents);
  if (!contents.files.has(MANIFEST) || (oci.images.length > 0 && oci.setAside.length === 0)) return oci;
  const known = new Set(oci.images.map(({ image }) => image.config));
  const docker = dockerArchiveImages(contents);
  const images = docker.images.filter(({ image }) => !known.has(image.config));
  const there = new Set(images.flatMap(({ image }) => image.names.map(({ target }) => target)));
  // By its name it is one of those, which manifest.json describes better.
  const isThere = (aside: SetAside) => callings(aside).every((text) => there.has(text));
  const lacking = oci.images.length === 0 && oci.setAside.length === 0 ? docker.setAside : oci.setAside;
  return {
    images: [...oci.images, ...images],
    setAside: lacking.filter((one) => !isThere(one)),
    warnings: [...new Set([...oci.warnings, ...docker.warnings])],
  };
}

type Reading = Required<Pick<ReadOptions, 'meter'>> & ReadOptions;

async function openTar(
  file: string,
  options: Reading & { readonly found: boolean; readonly inflation: Inflation },
): Promise<TarContents> {
  const input = await openInput(file, options);
  try {
    return await TarContents.open(input, options);
  } catch (error) {
    await using _ = input;
    const { code, message, hint: known } = toImgmvError(error);
    const hint = code === 'integrity' && !known ? await seemsToBegin(input, options.signal) : undefined;
    throw hint === undefined ? error : new ImgmvError(code, message, { cause: error, hint });
  }
}

async function archiveOf(
  label: string,
  { maxBytes = INFLATED_MAX_BYTES, meter }: Reading,
  open: (inflation: Inflation) => Promise<Contents>,
  imagesOf: (contents: Contents) => Described,
): Promise<Archive> {
  const inflation = new Inflation(maxBytes, meter);
  let contents: Contents | undefined;
  try {
    const opened = await open(inflation);
    contents = opened;
    const check = new LayerCheck(opened, inflation, meter);
    const described = imagesOf(contents);
    if (described.images.length === 0 && described.setAside[0]) throw noneUsable(described.setAside);
    return {
      ...described,
      label,
      contents,
      check: (images, signal) =>
        check.check(images, signal).catch((error: unknown) => {
          throw ofArchive(label, error);
        }),
      checked: (image) => check.checked.get(image),
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  } catch (error) {
    await contents?.[Symbol.asyncDispose]();
    throw ofArchive(label, error);
  }
}

function noneUsable(setAside: readonly SetAside[]): ImgmvError {
  const [first, ...others] = [...new Map(setAside.map(({ why }) => [why.message, why])).values()];
  const more = others.slice(0, REASONS_SHOWN_MAX - 1).map(({ message }) => message);
  const left = others.length - more.length;
  const message = [first?.message, ...more, ...(left > 0 ? [`and ${left} more`] : [])].join('; ');
  return integrity(message, { cause: first, hint: first?.hint });
}

function ofArchive(label: string, error: unknown): unknown {
  const { code, message, hint } = toImgmvError(error);
  if (code !== 'integrity') return error;
  // It may name a thing of the archive, which may be called by 4 MiB of text.
  const short = message.length > TEXT_MAX_CHARACTERS ? `${message.slice(0, TEXT_MAX_CHARACTERS)}…` : message;
  return new ImgmvError(code, `${label} is not a good archive: ${short}`, { cause: error, hint });
}

/** All of their bytes; undefined where one of them is a stream. */
async function sizeOf(files: readonly string[]): Promise<number | undefined> {
  let sum = 0;
  for (const file of files) {
    const found = file === '-' ? undefined : await stat(file).catch(() => undefined);
    if (!found?.isFile()) return undefined;
    sum += found.size;
  }
  return sum;
}

/** `path` itself, or the archives in the directory that it is: those are `found`, and nobody has named them. */
async function filesAt(path: string): Promise<{ files: readonly string[]; found: boolean }> {
  // Opening what cannot be looked at says why.
  const there = path === '-' ? undefined : await stat(path).catch(() => undefined);
  if (!there?.isDirectory()) return { files: [path], found: false };
  const names = (await readdir(path)).filter((name) => ARCHIVE_ENDING.test(name) && !name.startsWith('.'));
  if (names.length === 0)
    throw new ImgmvError('image-not-found', `there is no archive in ${path}`, {
      hint: 'imgmv looks for files that end in .tar, .tar.gz, .tgz or .tar.zst; oci:DIR is an OCI layout',
    });
  if (names.length > ARCHIVES_IN_DIRECTORY_MAX)
    throw usage(`${names.length} archives in ${path}, more than ${ARCHIVES_IN_DIRECTORY_MAX}`);
  return { files: names.sort().map((name) => join(path, name)), found: true };
}
