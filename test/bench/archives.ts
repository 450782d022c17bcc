/** The archives of images that the bench keeps: built once on an engine of their own, then only read. */
import { createHash } from 'node:crypto';
import { access, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../rig/chroot.ts';
import { run } from '../rig/command.ts';
import { type Engine, startEngine } from '../rig/engine.ts';

/** Images in a file, as one `docker save` gave them. */
export interface Archive {
  readonly path: string;
  /** The names that they are loaded under. */
  readonly references: readonly string[];
}

export interface Making {
  /** What the file's name begins with. */
  readonly name: string;
  readonly references: readonly string[];
  /** All that the images are made of: an archive of something else is not taken for this one. */
  readonly ingredients: string;
  /** Puts the images on an empty engine. */
  build(engine: Engine): Promise<void>;
}

const BUILD_BYTES = 12 * 2 ** 30;

/** Finds the archive in the cache, or makes it: minutes, and Debian's archive must be reachable. */
export async function archive({ name, references, ingredients, build }: Making): Promise<Archive> {
  const directory = join(cacheDirectory(), 'bench');
  const key = createHash('sha256').update(ingredients).digest('hex').slice(0, 12);
  const path = join(directory, `${name}-${key}.tar`);
  const made = { path, references };
  if (
    await access(path).then(
      () => true,
      () => false,
    )
  )
    return made;

  await using engine = await startEngine({ flavour: '20', tmpfsBytes: BUILD_BYTES });
  await build(engine);
  await mkdir(directory, { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  await engine.docker(['save', '--output', unfinished, ...references]);
  await rename(unfinished, path);
  return made;
}

/**
 * The shell command that writes the tar of one layer of an image in the archive. Layers count from the bottom, or
 * if negative from the top.
 */
export async function layer({ path }: Archive, reference: string, number: number): Promise<string> {
  const manifest = await run(['tar', '--extract', '--to-stdout', '--file', path, 'manifest.json']);
  const images = JSON.parse(manifest) as { RepoTags: string[]; Layers: string[] }[];
  const entry = images.find(({ RepoTags }) => RepoTags.includes(reference))?.Layers.at(number);
  if (entry === undefined) throw new Error(`${path}: no layer ${number} of ${reference} in it`);
  return `tar --extract --to-stdout --file '${path}' '${entry}'`;
}
