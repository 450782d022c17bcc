/** Archives as they are named on the command line, read and checked; and which of their images are meant. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Digest, Image } from '../image.ts';
import { familiar, parseReference, withDefaultTag } from '../reference.ts';
import type { Archive, ChosenImage } from './archive-source.ts';
import { type ArchivedImage, named } from './archived-image.ts';
import type { Contents } from './contents.ts';
import { dirImages, isDirFile } from './dir-image.ts';
import { DirectoryContents } from './directory-contents.ts';
import { dockerArchiveImages } from './docker-archive.ts';
import { type ArchiveEndpoint, endpointText } from './endpoint.ts';
import { openInput } from './input.ts';
import { ARCHIVES_IN_DIRECTORY_MAX } from './limits.ts';
import { LAYOUT, ociImages } from './oci-images.ts';
import { openOciLayout } from './open-layout.ts';
import { TarContents } from './tar-contents.ts';

const ARCHIVE_ENDING = /\.(tar|tar\.gz|tgz|tar\.zst)$/;

export interface ReadOptions {
  readonly stdin: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
}

/**
 * All archives that `endpoint` names: a directory of them is as many. Throws image-not-found where nothing is
 * there, usage for what cannot be read, integrity for the first thing in it that is wrong, naming the file.
 */
export async function openArchives(
  endpoint: ArchiveEndpoint,
  { stdin, signal }: ReadOptions,
): Promise<readonly Archive[]> {
  const { kind, path } = endpoint;
  const whole = { kind, path };
  const label = (file: string) => (file === '-' ? 'standard input' : file);
  switch (kind) {
    case 'oci':
      return [await archiveOf(endpointText(whole), openOciLayout(path, signal), ociImages)];
    case 'dir':
      return [
        await archiveOf(
          endpointText(whole),
          DirectoryContents.open(path, [''], isDirFile, signal),
          dirImages,
        ),
      ];
    case 'docker-archive':
    case 'oci-archive': {
      const archives: Archive[] = [];
      try {
        for (const file of await filesAt(path))
          archives.push(
            await archiveOf(
              label(file),
              openTar(file, stdin, signal),
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

/** As `docker load` on a containerd store: where there is an OCI side, it is what counts. */
function eitherImages(contents: Contents): readonly ArchivedImage[] {
  return contents.files.has(LAYOUT) ? ociImages(contents) : dockerArchiveImages(contents);
}

async function openTar(
  file: string,
  stdin: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<TarContents> {
  const input = await openInput(file, stdin, signal);
  try {
    return await TarContents.open(input);
  } catch (error) {
    await input[Symbol.asyncDispose]();
    throw error;
  }
}

async function archiveOf(
  label: string,
  opening: Promise<Contents>,
  imagesOf: (contents: Contents) => readonly ArchivedImage[],
): Promise<Archive> {
  let contents: Contents | undefined;
  try {
    contents = await opening;
    const images = imagesOf(contents);
    const open = contents;
    return { label, contents, images, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
  } catch (error) {
    await contents?.[Symbol.asyncDispose]();
    const { code, message, hint } = toImgmvError(error);
    if (code !== 'integrity') throw error;
    // It may name a thing of the archive, which may be called by 4 MiB of text.
    const short =
      message.length > TEXT_MAX_CHARACTERS ? `${message.slice(0, TEXT_MAX_CHARACTERS)}…` : message;
    throw new ImgmvError(code, `${label} is not a good archive: ${short}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}

/** `path` itself, or the archives in the directory that it is. */
async function filesAt(path: string): Promise<readonly string[]> {
  if (path === '-') return [path];
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    // Opening it says why.
    () => false,
  );
  if (!isDirectory) return [path];
  const names = (await readdir(path)).filter((name) => ARCHIVE_ENDING.test(name) && !name.startsWith('.'));
  if (names.length === 0)
    throw new ImgmvError('image-not-found', `there is no archive in ${path}`, {
      hint: 'files that end in .tar, .tar.gz, .tgz or .tar.zst are looked for; oci:DIR is an OCI layout',
    });
  if (names.length > ARCHIVES_IN_DIRECTORY_MAX)
    throw new ImgmvError(
      'usage',
      `${names.length} archives in ${path}, more than ${ARCHIVES_IN_DIRECTORY_MAX}`,
    );
  return names.sort().map((name) => join(path, name));
}

/** One way to say which image, and how it is to be called. */
export interface Pick {
  /** A name, what the archive calls it, an id, or the beginning of one; all images where absent. */
  readonly reference?: string;
  readonly as?: string;
}

/** The images that are picked out of `archives`, each id once. Throws image-not-found, naming all that are missing. */
export function choose(archives: readonly Archive[], picks: readonly Pick[]): readonly ChosenImage[] {
  const chosen = new Map<Digest, ChosenImage>();
  const missing: string[] = [];
  for (const { reference, as } of picks) {
    const found = picked(archives, reference);
    if (found.length === 0 && reference !== undefined) missing.push(reference);
    if (as !== undefined && new Set(found.map(({ image }) => image.id)).size > 1)
      throw new ImgmvError('usage', `${as} is one name, and there are ${found.length} images`, {
        hint: `pick one of them: ${namesOf(archives).join(', ')}`,
      });
    for (const one of found) {
      const image = as === undefined ? one.image : renamed(one.image, as);
      const known = chosen.get(image.id);
      const names = [...(known?.image.names ?? []), ...image.names];
      const unique = names.filter(
        ({ target }, at) => names.findIndex((name) => name.target === target) === at,
      );
      chosen.set(image.id, { ...(known ?? one), image: { ...image, names: unique } });
    }
  }
  if (missing.length > 0)
    throw new ImgmvError(
      'image-not-found',
      `no such image in ${archives.map(({ label }) => label).join(', ')}: ${missing.join(', ')}`,
      { hint: `there are ${namesOf(archives).join(', ') || 'none'}` },
    );
  if (chosen.size === 0)
    throw new ImgmvError('image-not-found', `no image in ${archives.map(({ label }) => label).join(', ')}`);
  return [...chosen.values()];
}

/**
 * The images that `reference` means, with the names that go with that: a name before what an archive calls an image
 * besides, and both before the beginning of an id. Throws usage for the beginning of several.
 */
function picked(archives: readonly Archive[], reference: string | undefined): readonly ChosenImage[] {
  const all = archives.flatMap((archive) =>
    archive.images.map((found): ChosenImage => ({ archive, found, image: found.image })),
  );
  if (reference === undefined) return all;
  const parsed = parseReference(reference);
  const name = parsed && familiar(withDefaultTag(parsed));
  const byName = all.filter(({ image }) => image.names.some(({ target }) => target === name));
  if (name !== undefined && byName.length > 0)
    return byName.map((one) => ({ ...one, image: named(one.image, [name]) }));
  const byLabel = all.filter(({ found }) => found.labels.includes(reference));
  if (byLabel.length > 0) return byLabel;
  const hex = reference.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{4,64}$/.test(hex)) return [];
  const begins = (id: Digest | undefined) => id?.startsWith(`sha256:${hex}`) === true;
  const byId = all.filter(({ image }) => begins(image.id));
  const found = byId.length > 0 ? byId : all.filter(({ image }) => begins(image.config));
  const ids = new Set(found.map(({ image }) => image.id));
  if (ids.size > 1)
    throw new ImgmvError('usage', `${reference} is the beginning of ${ids.size} ids`, {
      hint: `more digits tell them apart: ${[...ids].slice(0, 10).join(', ')}`,
    });
  return found.map((one) => ({ ...one, image: named(one.image, []) }));
}

function renamed(image: Image, as: string): Image {
  const source = image.names[0]?.source ?? image.id;
  return { ...image, names: [{ source, target: as }] };
}

function namesOf(archives: readonly Archive[]): readonly string[] {
  return archives.flatMap(({ images }) =>
    images.flatMap(({ image }) =>
      image.names.length > 0 ? image.names.map(({ target }) => target) : [image.id.slice(7, 19)],
    ),
  );
}
