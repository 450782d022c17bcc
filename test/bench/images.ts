/** The images that the bench moves: real Debian packages in real layers, built once and kept as archives. */
import { basename, join } from 'node:path';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { type Archive, archive, layer } from './archives.ts';

export const IMAGE_SIZES = ['small', 'large'] as const;
export type ImageSize = (typeof IMAGE_SIZES)[number];

interface Recipe {
  readonly reference: string;
  /** What it is built on. */
  readonly from: string;
  /** The packages of each layer above that. */
  readonly layers: readonly (readonly string[])[];
}

const SUITE = 'bookworm';
/** The name of the base system where images are built. */
const BASE = 'base';

/** A web server with its application runtime: about 0.3 GB. */
const WEB: Recipe = {
  reference: 'imgmv-bench-web:1',
  from: BASE,
  layers: [['nginx', 'php-fpm', 'php-mysql', 'php-gd', 'php-xml', 'php-mbstring', 'php-curl', 'php-intl']],
};

/** What builds programs: about 0.7 GB. */
const BUILDER: Recipe = {
  reference: 'imgmv-bench-builder:1',
  from: BASE,
  layers: [
    ['default-jdk-headless', 'maven'],
    ['g++', 'make'],
  ],
};

/** A scientist's workbench: about 2 GB. */
const SCIENCE: Recipe = {
  reference: 'imgmv-bench-science:1',
  from: BASE,
  layers: [
    ['python3-scipy', 'python3-pandas', 'python3-matplotlib', 'python3-sklearn', 'ipython3'],
    ['default-jdk-headless', 'maven'],
    ['nodejs', 'npm'],
    ['r-base-core', 'r-recommended', 'gfortran', 'g++', 'git', 'cmake'],
  ],
};

/** The workbench with services in a layer of about 20 MB on top, and the same with one service more. */
const SERVICES = ['haproxy', 'redis-server', 'varnish'];
const OLDER: Recipe = {
  reference: 'imgmv-bench-service:1',
  from: SCIENCE.reference,
  layers: [SERVICES],
};
const NEWER: Recipe = {
  reference: 'imgmv-bench-service:2',
  from: SCIENCE.reference,
  layers: [[...SERVICES, 'memcached']],
};

const SIZED = {
  small: { name: 'web', recipe: WEB },
  large: { name: 'science', recipe: SCIENCE },
} satisfies Record<ImageSize, { name: string; recipe: Recipe }>;

/** One image by itself. */
export function oneImage(size: ImageSize): Promise<Archive> {
  const { name, recipe } = SIZED[size];
  return archive({
    name,
    references: [recipe.reference],
    ingredients: `${SUITE}\n${DEBOOTSTRAP}\n${dockerfile(recipe)}`,
    async build(engine) {
      await using directory = await scratchDirectory();
      const base = join(directory.path, 'base.tar');
      await run(['sh', '-euc', DEBOOTSTRAP, 'base', SUITE, join(directory.path, 'base'), base]);
      await engine.docker(['import', base, BASE]);
      await make(engine, recipe);
    },
  });
}

/** Two versions of an image of 2 GB, the older one first. They differ in the top layer alone. */
export async function twoVersions(): Promise<Archive> {
  const science = await oneImage('large');
  return archive({
    name: 'service',
    references: [OLDER.reference, NEWER.reference],
    ingredients: [basename(science.path), ...[OLDER, NEWER].map(dockerfile)].join('\n'),
    async build(engine) {
      await engine.docker(['load', '--input', science.path]);
      for (const recipe of [OLDER, NEWER]) await make(engine, recipe);
    },
  });
}

/** Images of 0.3, 0.7 and 2 GB that have the base system in common, as one layer, and nothing else. */
export async function threeImages(): Promise<Archive> {
  const science = await oneImage('large');
  return archive({
    name: 'three',
    references: [WEB, BUILDER, SCIENCE].map(({ reference }) => reference),
    ingredients: [basename(science.path), ...[WEB, BUILDER].map(dockerfile)].join('\n'),
    async build(engine) {
      await engine.docker(['load', '--input', science.path]);
      await using directory = await scratchDirectory();
      const base = join(directory.path, 'base.tar');
      // The layer as it was: imported again it has the same digest.
      await run(['sh', '-euc', `${await layer(science, SCIENCE.reference, 0)} > "$1"`, 'base', base]);
      await engine.docker(['import', base, BASE]);
      for (const recipe of [WEB, BUILDER]) await make(engine, recipe);
    },
  });
}

async function make(engine: Engine, recipe: Recipe): Promise<void> {
  const input = dockerfile(recipe);
  await engine.docker(['build', '--network', 'host', '--tag', recipe.reference, '-'], { input });
}

/** $1 the Debian release, $2 where to make it, $3 the archive to make of it. */
const DEBOOTSTRAP = `
  unshare --mount debootstrap --variant=minbase "$1" "$2" >"$2.log" 2>&1 || { tail -n 2 "$2.log" >&2; exit 1; }
  rm -rf "$2"/var/cache/apt/* "$2"/var/lib/apt/lists/*
  tar --create --directory "$2" --file "$3" .
`;

function dockerfile({ from, layers }: Recipe): string {
  const install = 'apt-get install --yes --no-install-recommends';
  const clean = 'rm -rf /var/cache/apt/* /var/lib/apt/lists/*';
  return [
    `FROM ${from}`,
    'ENV DEBIAN_FRONTEND=noninteractive',
    ...layers.map((packages) => `RUN apt-get update && ${install} ${packages.join(' ')} && ${clean}`),
    '',
  ].join('\n');
}
