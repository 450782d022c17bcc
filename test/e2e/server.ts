/** A server that is to move: an engine with what gathers on one, and a registry that the next one pushes to. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { busyboxLayer } from '../rig/layers.ts';
import type { Registry } from '../rig/registry.ts';

const MIB = 2 ** 20;

export interface Server {
  readonly web: LoadedImage;
  readonly dev: LoadedImage;
  readonly db: LoadedImage;
  /** It has ten names, `many:v0` to `many:v9`. */
  readonly many: LoadedImage;
  readonly proxy: LoadedImage;
  /** What compose calls the service `worker` of the project `shop`, which only has a build. */
  readonly worker: LoadedImage;
  /** Of a container that runs. */
  readonly live: LoadedImage;
  /** Id of the image that has lost its name. */
  readonly dangling: string;
}

/** All on one base, but for the one that is without a name. */
export async function furnish(engine: Engine): Promise<Server> {
  const base = await busyboxLayer();
  let seed = 100;
  const load = (name: string, bytes = 100_000) =>
    loadImage(engine, { name, layers: [base, { data: { bytes, seed: ++seed }, name }] });
  const web = await load('team/web:1.0', 3 * MIB);
  const dev = await load('team/web:dev');
  const db = await load('team/db:16', 2 * MIB);
  const many = await load('many:v0');
  for (let at = 1; at < 10; at++) await engine.docker(['tag', 'many:v0', `many:v${at}`]);
  const proxy = await load('old.example/infra/proxy:3');
  const worker = await load('shop-worker:latest');
  const live = await load('live/app:2');
  const lost = await loadImage(engine, { name: 'lost:1', layers: [{ a: 'lost' }] });
  await engine.docker(['tag', proxy.id, 'lost:1']);
  await engine.docker(['image', 'rm', 'lost:1']);
  await engine.docker([
    'run',
    '--detach',
    '--network',
    'none',
    '--name',
    'live',
    'live/app:2',
    'sleep',
    '600',
  ]);
  return { web, dev, db, many, proxy, worker, live, dangling: lost.id };
}

/** A compose project `shop` in `directory`: two services, of which one is only built. */
export async function writeProject(directory: string): Promise<string> {
  const shop = join(directory, 'shop');
  await mkdir(shop);
  const services = [
    'services:',
    '  web:',
    '    image: team/web:$' + '{WEB_VERSION}',
    '  worker:',
    '    build: .',
    '',
  ];
  await writeFile(join(shop, 'compose.yaml'), services.join('\n'));
  await writeFile(join(shop, '.env'), 'WEB_VERSION=1.0\n');
  return shop;
}

/** `team/web:1.0` and others of one repository each, as the registry lists them: `repository:tag`, sorted. */
export async function catalogOf({ address }: Registry): Promise<readonly string[]> {
  const get = async (path: string) =>
    (await fetch(`http://${address}/v2/${path}`)).json() as Promise<unknown>;
  const { repositories } = (await get('_catalog')) as { readonly repositories: readonly string[] };
  const lists = repositories.map(async (repository) => {
    const { tags } = (await get(`${repository}/tags/list`)) as { readonly tags: readonly string[] };
    return tags.map((tag) => `${repository}:${tag}`);
  });
  return (await Promise.all(lists)).flat().sort();
}

/** The names that an engine shows, sorted. */
export async function namesAt(engine: Engine): Promise<readonly string[]> {
  const said = await engine.docker(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}']);
  return said
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}
