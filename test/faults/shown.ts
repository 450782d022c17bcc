/** What an engine shows and holds: its images, the files of an unfinished save or load, and one image in full. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import type { Engine } from '../rig/engine.ts';
import type { LoadedImage } from '../rig/images.ts';
import { FILES_DIRECTORY, type PoolImage } from './pool.ts';

/** A line of `docker image ls`. */
export interface Shown {
  /** `web:1`, or `<none>:<none>`. */
  readonly name: string;
  readonly id: string;
}

const BLOBS = 'containerd/daemon/io.containerd.content.v1.content/blobs/sha256';

/** All images, helpers included, sorted. */
export async function shown(engine: Engine): Promise<readonly Shown[]> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}';
  const list = await engine.docker(['image', 'ls', '--all', '--no-trunc', '--format', format]);
  return list
    .split('\n')
    .filter((line) => line !== '')
    .sort()
    .map((line) => {
      const [name = '', id = ''] = line.split(' ');
      return { name, id };
    });
}

/** The files that a classic engine keeps while it saves or loads. */
export async function spooled(engine: Engine): Promise<readonly string[]> {
  return readdir(join(engine.dataRoot, 'tmp')).catch(() => []);
}

/** What is wrong with the image that `name` stands for, which should be `want`; undefined if nothing. */
export async function faultOf(engine: Engine, name: string, want: LoadedImage): Promise<string | undefined> {
  const [found] = JSON.parse(await engine.docker(['image', 'inspect', name])) as readonly {
    readonly Id: string;
    readonly RootFS: { readonly Layers?: readonly string[] };
  }[];
  if (!found) return 'inspect shows nothing';
  const layers = found.RootFS.Layers ?? [];
  if (layers.join() !== want.diffIds.join())
    return `it has the layers [${layers.join()}], not [${want.diffIds.join()}]`;
  const config = engine.flavour === '28c' ? await configOf(engine, found.Id) : found.Id;
  if (config !== want.config) return `its config is ${config}, not ${want.config}`;
  return engine.flavour === '28c' ? unavailable(engine, name) : undefined;
}

/** What is wrong with the files in a container made from the image; undefined if nothing. */
export async function wrongFiles(
  engine: Engine,
  name: string,
  image: PoolImage,
): Promise<string | undefined> {
  const container = (await engine.docker(['create', '--network', 'none', name, 'unused'])).trim();
  try {
    const archive = await ask(engine, `/containers/${container}/archive?path=/${FILES_DIRECTORY}`);
    const digests = new Map<string, string>();
    for await (const entry of archive.pipe(extract())) {
      const hash = createHash('sha256');
      for await (const chunk of entry as AsyncIterable<Buffer>) hash.update(chunk);
      if (entry.header.type === 'file') digests.set(entry.header.name, hash.digest('hex'));
    }
    const [got, want] = [digests, image.files].map((files) => JSON.stringify([...files].sort()));
    return got === want ? undefined : `a container has the files ${got}, not ${want}`;
  } finally {
    await engine.docker(['rm', '--force', container]);
  }
}

/** The containerd store names an image by its manifest. */
async function configOf(engine: Engine, id: string): Promise<string> {
  const manifest = await readFile(join(engine.dataRoot, BLOBS, id.replace('sha256:', '')), 'utf8');
  return (JSON.parse(manifest) as { config: { digest: string } }).config.digest;
}

/** It lists images whose blobs are not all there. */
async function unavailable(engine: Engine, name: string): Promise<string | undefined> {
  const answer = await ask(engine, `/images/${name}/json?manifests=1`);
  const { Manifests = [] } = (await json(answer)) as { Manifests?: readonly { Available: boolean }[] };
  return Manifests.length > 0 && Manifests.every(({ Available }) => Available)
    ? undefined
    : `not all of it is available: ${JSON.stringify(Manifests)}`;
}

function ask({ socketPath }: Engine, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => {
      if (response.statusCode === 200) return resolve(response);
      response.resume();
      reject(new Error(`GET ${path}: ${response.statusCode}`));
    }).once('error', reject);
  });
}
