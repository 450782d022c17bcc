/** What all rounds share, since it is slow to make: two hosts, the engines on both, and the images at the sources. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, type Flavour, startEngine } from '../rig/engine.ts';
import { type Hosts, twoHosts } from '../rig/hosts.ts';
import type { LoadedImage } from '../rig/images.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import type { Route } from './plan.ts';
import { loadPooled, makePool, POOL, type PoolImage, type PoolName } from './pool.ts';
import { type Shown, shown } from './shown.ts';

export interface Source {
  readonly engine: Engine;
  /** As this engine has them. */
  readonly images: ReadonlyMap<PoolName, LoadedImage>;
  /** What it shows before and after every round. */
  readonly shown: readonly Shown[];
}

export interface Stage extends AsyncDisposable {
  readonly hosts: Hosts;
  /** `a` runs the sender, `b` the receiver. */
  readonly sources: ReadonlyMap<Flavour, Source>;
  readonly targets: ReadonlyMap<Flavour, Engine>;
  readonly pool: ReadonlyMap<PoolName, PoolImage>;
  /** For what the processes of a round leave, which is to be nothing. */
  readonly directory: string;
  /** For files of this program. */
  readonly ownDirectory: string;
}

/** Twice what the images of a round take: spooled and unpacked, beside what an aborted load leaves for a day. */
const ENGINE_BYTES = 2 * 2 ** 30;

export async function startStage(
  seed: number,
  routes: readonly Route[],
  names: readonly PoolName[] = POOL,
): Promise<Stage> {
  const made: AsyncDisposable[] = [];
  const keep = <T extends AsyncDisposable>(one: T): T => {
    made.unshift(one);
    return one;
  };
  const dispose = async () => {
    for (const one of made) await one[Symbol.asyncDispose]();
  };
  try {
    const { path } = keep(await scratchDirectory());
    const [directory, ownDirectory] = [join(path, 'run'), join(path, 'own')];
    for (const each of [directory, ownDirectory]) await mkdir(each);
    const hosts = keep(await twoHosts());
    const pool = new Map([...makePool(seed)].filter(([name]) => names.includes(name)));
    const start = async (flavour: Flavour) => keep(await startEngine({ flavour, tmpfsBytes: ENGINE_BYTES }));

    const sources = new Map<Flavour, Source>();
    for (const flavour of new Set(routes.map(({ source }) => source))) {
      const engine = await start(flavour);
      const images = new Map<PoolName, LoadedImage>();
      for (const [name, image] of pool) images.set(name, await loadPooled(engine, name, image));
      sources.set(flavour, { engine, images, shown: await shown(engine) });
    }
    const targets = new Map<Flavour, Engine>();
    for (const flavour of new Set(routes.map(({ target }) => target)))
      targets.set(flavour, await start(flavour));
    return { hosts, sources, targets, pool, directory, ownDirectory, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
