/** Archives as they are named on the command line, read and checked. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Archive } from './archive-source.ts';
import type { ArchivedImage } from './archived-image.ts';
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
