/** Where the images of a run come from: an engine, archives, or both; all of it checked before anything else. */
import { tmpdir } from 'node:os';
import { ImgmvError } from '../proto/errors.ts';
import { type Archive, ArchiveSource, type ChosenImage } from './archive/archive-source.ts';
import { type ArchiveEndpoint, endpointText, type ImageEndpoint } from './archive/endpoint.ts';
import { choose, openArchives, type Pick } from './archive/open-archives.ts';
import type { EndpointOptions } from './engine/endpoint.ts';
import { Engine } from './engine/engine.ts';
import { type Choice, EngineSource } from './engine/engine-source.ts';
import type { Emit } from './events.ts';
import { archiveHost, engineEvent, type Host } from './hello.ts';
import type { Source } from './image.ts';
import { JoinedSource } from './joined-source.ts';

export interface OriginOptions {
  /** Undefined: the engine. */
  readonly from?: readonly ImageEndpoint[];
  /** Images of the engine; with `from` those of the archives, and all where there are none. */
  readonly choices: readonly Choice[];
  /** What the one image is to be called, however it is chosen. */
  readonly as?: string;
  readonly engine: EndpointOptions;
  /** Save images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
  readonly stdin: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

/** Disposing of the source is all that is to be done. */
export interface Origin {
  readonly source: Source;
  readonly host: Host;
}

/** Throws image-not-found where one of the images is not there, integrity for an archive that is not good. */
export async function openOrigin(options: OriginOptions): Promise<Origin> {
  const { from, choices, as, engine: endpoint, ignoreSpace, emit } = options;
  const sources: Source[] = [];
  try {
    const archives = (from ?? []).filter((one): one is ArchiveEndpoint => one.kind !== 'docker-daemon');
    if (archives.length > 0) sources.push(await openArchiveSource(archives, options));
    const wanted = from ? choicesOf(from, as) : choices;
    let host = archiveHost(archives[0]?.kind ?? 'docker-archive');
    if (wanted.length > 0) {
      const engine = await Engine.connect(endpoint);
      emit(engineEvent(engine));
      host = engine;
      sources.push(new EngineSource(engine, { choices: wanted, ignoreSpace }));
    }
    const source = sources.length === 1 ? (sources[0] as Source) : new JoinedSource(sources);
    await source.images();
    return { source, host };
  } catch (error) {
    for (const source of sources) await source[Symbol.asyncDispose]();
    throw error;
  }
}

function choicesOf(from: readonly ImageEndpoint[], as: string | undefined): readonly Choice[] {
  return from.flatMap((one) => {
    if (one.kind !== 'docker-daemon') return [];
    if (one.reference === '')
      throw new ImgmvError('usage', 'docker-daemon: as a source wants the name of an image');
    return [{ reference: one.reference, ...(as !== undefined && { as }) }];
  });
}

async function openArchiveSource(
  endpoints: readonly ArchiveEndpoint[],
  { as, choices, emit, stdin, signal }: OriginOptions,
): Promise<ArchiveSource> {
  if (endpoints.filter(({ path }) => path === '-').length > 1)
    throw new ImgmvError('usage', 'standard input holds one archive, and is named twice');
  const opened: (readonly Archive[])[] = [];
  try {
    for (const endpoint of endpoints) {
      const spool = endpoint.path === '-' ? tmpdir() : null;
      emit({ event: 'reading', archive: endpointText(endpoint), spool });
      opened.push(await openArchives(endpoint, { stdin, signal }));
    }
    const all = opened.flat();
    // With an image picked by its endpoint there is nothing left to pick.
    const picks: readonly Pick[] = choices.map((choice) => ({ ...choice, ...(as !== undefined && { as }) }));
    const chosen = picks.length > 0 ? choose(all, picks) : byEndpoint(endpoints, opened, as);
    return new ArchiveSource(all, chosen);
  } catch (error) {
    for (const archive of opened.flat()) await archive[Symbol.asyncDispose]();
    throw error;
  }
}

function byEndpoint(
  endpoints: readonly ArchiveEndpoint[],
  opened: readonly (readonly Archive[])[],
  as: string | undefined,
): readonly ChosenImage[] {
  return endpoints.flatMap(({ reference }, at) =>
    choose(opened[at] ?? [], [
      { ...(reference !== undefined && { reference }), ...(as !== undefined && { as }) },
    ]),
  );
}
