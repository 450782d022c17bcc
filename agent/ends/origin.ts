/** Where the images of a run come from: an engine, archives, or both; what is chosen of these is checked before anything else. */

import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Archive } from '../archive/archive.ts';
import { ArchiveCatalogue } from '../archive/archive-catalogue.ts';
import { ArchiveSource, allOf, checkImages, originsOf } from '../archive/archive-source.ts';
import { callings, familiarly, type SetAside } from '../archive/described.ts';
import type { ArchiveEndpoint } from '../archive/endpoint.ts';
import { openArchives } from '../archive/open-archives.ts';
import { merged, type Naming, named, requireOne } from '../choose/meant.ts';
import { type Pattern, parsePatterns } from '../choose/pattern.ts';
import { choose, picks, picksNothing, type Selection } from '../choose/selection.ts';
import type { EngineOptions } from '../docker/engine.ts';
import { EngineCatalogue } from '../docker/engine-catalogue.ts';
import { EngineSource } from '../docker/engine-source.ts';
import type { Catalogue, Chosen, Listed, Meant } from '../model/catalogue.ts';
import { type Emit, warnBy } from '../model/events.ts';
import type { Digest, Image } from '../model/image.ts';
import type { Source } from '../model/source.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../streams/at-once.ts';
import { usage } from '../streams/errors.ts';
import type { SourceEndpoint } from './endpoint.ts';
import { archiveHost, connectEngine, type Host } from './host.ts';
import { JoinedSource } from './joined-source.ts';
import { Reading } from './reading.ts';

export interface PlaceOptions {
  /** One at least. */
  readonly from: readonly SourceEndpoint[];
  /** Which of the images there; where it picks none, those that `from` names, and all of its archives. */
  readonly selection: Selection;
  /** Asked where neither `from` nor `selection` picks anything; gives what is left to be picked. */
  readonly pick?: Pick | undefined;
  readonly stdin: AsyncIterable<Buffer>;
  /** Images of engines are read from their stores, where that can be done. */
  readonly direct: boolean;
  /** What an archive may inflate to in all; its default where left out. */
  readonly maxBytes?: number | undefined;
  /** Aborted with an ImgmvError to stop. */
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

export interface OriginOptions extends PlaceOptions {
  readonly naming: Naming;
  /** Save images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
}

export interface Origin extends AsyncDisposable {
  readonly source: Source;
  readonly host: Host;
  /** Something that was meant is no image that could be moved: a warning has said so. */
  readonly lacking: boolean;
}

/** Which of these are meant; they are what is there. Throws usage where none is. */
export type Pick = (there: readonly Listed[]) => Promise<readonly Chosen[]>;

export interface Place extends AsyncDisposable {
  readonly host: Host;
  readonly catalogue: Catalogue;
  readonly chosen: readonly Chosen[];
  /** Something that was meant there is no image that could be moved. */
  readonly lacking: boolean;
  /** All images there, and what was chosen, without their names; what goes meanwhile is left out. */
  describe(): Promise<readonly Image[]>;
  /** Of an archive it takes what is to be disposed of along. */
  source(meant: readonly Meant[], ignoreSpace: boolean): Source;
}

/** Throws image-not-found where one of the images is not there, integrity for an archive that is not good. */
export async function openOrigin(options: OriginOptions): Promise<Origin> {
  const { ignoreSpace, naming } = options;
  const places = await openPlaces(options, { check: true });
  const sources: Source[] = [];
  const dispose = async () => {
    for (const opened of [...sources, ...places]) await opened[Symbol.asyncDispose]();
  };
  try {
    if (naming.as !== undefined)
      requireOne(
        places.flatMap(({ chosen }) => chosen),
        naming.as,
      );
    for (const place of places) sources.push(place.source(named(place.chosen, naming), ignoreSpace));
    naming.renaming.warnings().forEach(warnBy(options.emit));
    const source = sources.length === 1 ? (sources[0] as Source) : new JoinedSource(sources);
    await source.images();
    const lacking = places.some((place) => place.lacking);
    return { source, host: (places.at(-1) as Place).host, lacking, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * At least one; engines come last. `check`: the layers of what is chosen in archives are read and checked, without
 * which there is no source of it. Throws as `openOrigin`.
 */
export async function openPlaces(
  options: PlaceOptions,
  { check }: { readonly check: boolean },
): Promise<readonly Place[]> {
  const places: Place[] = [];
  try {
    const archives = options.from.filter((one) => one.kind !== 'docker-daemon');
    if (archives.length > 0) places.push(await openArchivePlace(archives, options, check));
    const references = new Map<EngineOptions, string[]>();
    for (const one of options.from)
      if (one.kind === 'docker-daemon')
        references.set(one.engine, [...(references.get(one.engine) ?? []), one.reference]);
    for (const [engine, named] of references) places.push(await openEnginePlace(engine, named, options));
    return places;
  } catch (error) {
    for (const place of places) await place[Symbol.asyncDispose]();
    throw error;
  }
}

/** `references`: '' for what `selection` picks. */
async function openEnginePlace(
  found: EngineOptions,
  references: readonly string[],
  { direct, emit, pick, selection }: PlaceOptions,
): Promise<Place> {
  const patterns = references.flatMap((one) => (one === '' ? [] : parsePatterns(one)));
  const engine = await connectEngine(found, emit);
  const catalogue = new EngineCatalogue(engine, warnBy(emit));
  let lacking = false;
  const leftOut = (message: string) => {
    lacking = true;
    warnBy(emit)(message);
  };
  const chosen =
    pick && picksNothing(selection)
      ? await pick(await catalogue.list())
      : await choose(catalogue, patterns.length > 0 ? { ...selection, patterns } : selection, warnBy(emit));
  return {
    host: engine,
    catalogue,
    chosen,
    get lacking() {
      return lacking;
    },
    async describe() {
      await using source = new EngineSource(engine, { meant: [], ignoreSpace: true, direct, leftOut });
      const all = new Map(
        [...(await catalogue.list()), ...chosen].map((one): [Digest, Chosen] => [one.id, one]),
      );
      const images = await atOnce(LOOKUPS_AT_ONCE, [...all.values()], (one) =>
        source.describeOrLeaveOut(one),
      );
      return images.filter((image) => image !== undefined);
    },
    source: (meant, ignoreSpace) => new EngineSource(engine, { meant, ignoreSpace, direct, leftOut }),
    [Symbol.asyncDispose]: async () => engine[Symbol.dispose](),
  };
}

async function openArchivePlace(
  endpoints: readonly ArchiveEndpoint[],
  options: PlaceOptions,
  check: boolean,
): Promise<Place> {
  const { emit, selection, signal } = options;
  if (endpoints.filter(({ path }) => path === '-').length > 1)
    throw usage('standard input holds one archive, but is named twice');
  const opened: (readonly Archive[])[] = [];
  const close = async () => {
    for (const archive of opened.flat()) await archive[Symbol.asyncDispose]();
  };
  try {
    const readings: Reading[] = [];
    for (const endpoint of endpoints) {
      const reading = new Reading(endpoint, emit);
      readings.push(reading);
      opened.push(await reading.during((meter) => openArchives(endpoint, { ...options, meter })));
    }
    const all = opened.flat();
    const catalogue = new ArchiveCatalogue(all);
    const chosen = picks(selection)
      ? await choose(catalogue, selection, warnBy(emit))
      : await byEndpoint(endpoints, opened, selection);
    let lacking = false;
    for (const [at, { reference }] of endpoints.entries())
      for (const archive of opened[at] ?? []) {
        archive.warnings.forEach(warnBy(emit));
        for (const aside of archive.setAside) {
          const meant = isMeant(aside, reference, selection);
          lacking ||= meant;
          warnBy(emit)(warningOf(aside, archive.label, meant));
        }
      }
    const ids = chosen.map(({ id }) => id);
    const origins = originsOf(all);
    for (const [at, archives] of check ? opened.entries() : []) {
      const own = ids.filter((id) => archives.includes(origins.get(id)?.archive as Archive));
      await readings[at]?.during(() => checkImages(archives, own, signal));
    }
    return {
      host: archiveHost(endpoints[0]?.kind ?? 'docker-archive'),
      catalogue,
      chosen,
      lacking,
      describe: async () =>
        allOf(all).flatMap(({ id, names }) => {
          const found = origins.get(id)?.found;
          return found ? [{ ...found.image, names }] : [];
        }),
      source: (meant) => new ArchiveSource(all, meant),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What each names, or all that it has; of that what `selection` leaves. */
async function byEndpoint(
  endpoints: readonly ArchiveEndpoint[],
  opened: readonly (readonly Archive[])[],
  selection: Selection,
): Promise<readonly Chosen[]> {
  const chosen: Chosen[] = [];
  for (const [at, { reference }] of endpoints.entries()) {
    const picked =
      reference === undefined ? { all: true, dangling: true } : { patterns: parsePatterns(reference) };
    chosen.push(...(await choose(new ArchiveCatalogue(opened[at] ?? []), { ...selection, ...picked })));
  }
  return merged(chosen);
}

/** What narrows the choice to images that have something leaves out what is none. */
function isMeant(aside: SetAside, reference: string | undefined, selection: Selection): boolean {
  const { all, except, labels, since } = selection;
  const fits = (pattern: Pattern) =>
    callings(aside).some((text) =>
      pattern.kind === 'exact' ? familiarly(pattern.text) === text : pattern.matches(text),
    );
  if (labels.length > 0 || since !== undefined || except.some(fits)) return false;
  if (all === true || (!picks(selection) && reference === undefined)) return true;
  const patterns = picks(selection) ? selection.patterns : parsePatterns(reference ?? '');
  return patterns.some(fits);
}

function warningOf({ called, why }: SetAside, label: string, meant: boolean): string {
  const name = JSON.stringify(called[0]?.slice(0, TEXT_MAX_CHARACTERS / 4));
  const what = meant ? 'is left out' : 'is ignored';
  return `${name} in ${label} ${what}: ${why.message}`.slice(0, TEXT_MAX_CHARACTERS);
}
