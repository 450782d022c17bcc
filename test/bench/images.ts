/** The images that the bench moves: real Debian packages in real layers, built once and kept as archives. */
import { createHash } from 'node:crypto';
import { access, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../rig/chroot.ts';
import { run } from '../rig/command.ts';
import { startEngine } from '../rig/engine.ts';
import { scratchDirectory } from '../rig/scratch.ts';

export const IMAGE_SIZES = ['small', 'large'] as const;
export type ImageSize = (typeof IMAGE_SIZES)[number];

export interface BenchImage {
  readonly size: ImageSize;
  /** The name it is loaded under. */
  readonly reference: string;
  /** What `docker save` made of it. */
  readonly archive: string;
}

interface Recipe {
  readonly name: string;
  /** The packages of each layer above the base system. */
  readonly layers: readonly (readonly string[])[];
}

const SUITE = 'bookworm';
const BUILD_BYTES = 12 * 2 ** 30;

const RECIPES: Readonly<Record<ImageSize, Recipe>> = {
  /** A web server with its application runtime: about 0.3 GB. */
  small: {
    name: 'web',
    layers: [['nginx', 'php-fpm', 'php-mysql', 'php-gd', 'php-xml', 'php-mbstring', 'php-curl', 'php-intl']],
  },
  /** A scientist's workbench: about 2 GB. */
  large: {
    name: 'science',
    layers: [
      ['python3-scipy', 'python3-pandas', 'python3-matplotlib', 'python3-sklearn', 'ipython3'],
      ['default-jdk-headless', 'maven'],
      ['nodejs', 'npm'],
      ['r-base-core', 'r-recommended', 'gfortran', 'g++', 'git', 'cmake'],
    ],
  },
};

/** Finds the image in the cache, or builds it: minutes, and Debian's archive must be reachable. */
export async function benchImage(size: ImageSize): Promise<BenchImage> {
  const recipe = RECIPES[size];
  const reference = `imgmv-bench-${recipe.name}:1`;
  const text = dockerfile(recipe);
  const key = createHash('sha256').update(`${SUITE}\n${BASE}\n${text}`).digest('hex').slice(0, 12);
  const archive = join(cacheDirectory(), 'bench', `${recipe.name}-${key}.tar`);
  const image = { size, reference, archive };
  if (
    await access(archive).then(
      () => true,
      () => false,
    )
  )
    return image;

  await using directory = await scratchDirectory();
  const base = join(directory.path, 'base.tar');
  await run(['sh', '-euc', BASE, 'base', SUITE, join(directory.path, 'base'), base]);
  await using engine = await startEngine({ flavour: '20', tmpfsBytes: BUILD_BYTES });
  await engine.docker(['import', base, 'base']);
  await engine.docker(['build', '--network', 'host', '--tag', reference, '-'], { input: text });
  await mkdir(join(cacheDirectory(), 'bench'), { recursive: true });
  const unfinished = `${archive}.${process.pid}`;
  await engine.docker(['save', '--output', unfinished, reference]);
  await rename(unfinished, archive);
  return image;
}

/** $1 the Debian release, $2 where to make it, $3 the archive to make of it. */
const BASE = `
  unshare --mount debootstrap --variant=minbase "$1" "$2" >"$2.log" 2>&1 || { tail -n 2 "$2.log" >&2; exit 1; }
  rm -rf "$2"/var/cache/apt/* "$2"/var/lib/apt/lists/*
  tar --create --directory "$2" --file "$3" .
`;

function dockerfile({ layers }: Recipe): string {
  const install = 'apt-get install --yes --no-install-recommends';
  const clean = 'rm -rf /var/cache/apt/* /var/lib/apt/lists/*';
  return [
    'FROM base',
    'ENV DEBIAN_FRONTEND=noninteractive',
    ...layers.map((packages) => `RUN apt-get update && ${install} ${packages.join(' ')} && ${clean}`),
    '',
  ].join('\n');
}
