/** What source and sink have agreed on, as the `plan` event tells it, and in which order it is to be done. */
import { ImgmvError } from '../../proto/errors.ts';
import type { PlanImage, PlanLayer } from './events.ts';
import {
  bytesToCome,
  type Digest,
  diffIdOf,
  type Image,
  type LayerBlob,
  type Name,
  type Platform,
  type ReadBy,
  type Store,
} from './image.ts';
import { familiar, parseTarget } from './reference.ts';
import { type Answer, type Planned, refused } from './sink.ts';

export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/');
}

export function layerCount({ layers, diffIds }: Image): number {
  return layers?.length ?? diffIds.length;
}

export function bytesMissing({ image, action, missing }: Answer): number {
  return action === 'send' ? bytesToCome(image, missing) : 0;
}

export function refusal({ reason, error }: Answer): ImgmvError {
  return error ?? new ImgmvError('refused', reason ?? 'the receiver refused it');
}

/** The plan as it is to be done: what its own source cannot give is refused, if it would have to come. */
export function decided(planned: Planned): Planned {
  const { action, image, refs } = planned.answer;
  const { withheld: reason } = image;
  return action === 'send' && reason !== undefined
    ? refused({ image, action: 'refuse', reason, refs })
    : planned;
}

/** Refuses an image for `reason`, unless it has been refused before. The sender then learns nothing about this host. */
export function unless(reason: string | undefined, planned: Planned): Planned {
  const { image, action } = planned.answer;
  if (reason === undefined || action === 'refuse') return planned;
  const refs = planned.answer.refs.map(({ replaces: _, ...name }) => name);
  return refused({ image, action: 'refuse', refs, reason });
}

/**
 * Why images cannot have their names: two that would take one name are neither of them what the name is to be.
 * Names are compared as docker shows them. In the order of the images; undefined for those that can.
 */
export function clashes(images: readonly Image[]): readonly (string | undefined)[] {
  const takers = new Map<string, number[]>();
  for (const [at, image] of images.entries())
    for (const name of new Set(image.names.map(shownName)))
      takers.set(name, [...(takers.get(name) ?? []), at]);
  const found: (string | undefined)[] = images.map(() => undefined);
  for (const [name, all] of takers)
    for (const at of all.length > 1 ? all : []) {
      const other = images[all.find((one) => one !== at) as number];
      found[at] ??= `${name} would also be the name of ${sourceOf(other, name)}`;
    }
  return found;
}

/** As docker shows it: a name may come with its registry spelled out, and is the same name then. */
export function shownName({ target }: Name): string {
  return familiar(parseTarget(target, 'the target name'));
}

/** How the image is called that is to be called `name`, and which it is. */
function sourceOf(image: Image | undefined, name: string): string {
  const source = image?.names.find((one) => shownName(one) === name)?.source;
  return source === undefined || source === name || source === image?.id
    ? `${image?.id}`
    : `${source} (${image?.id})`;
}

/**
 * Those first whose layers others wait for, before these; otherwise as they are. What several images share
 * travels with the first of them in the plan.
 */
export function sharedFirst<T extends { readonly answer: Answer }>(all: readonly T[]): readonly T[] {
  const owners = ownersOf(all.map(({ answer }) => answer));
  /** How many wait in line behind an image, each for the one before. */
  const waiting = new Map<Answer, number>();
  const waitingFor = (answer: Answer) => waiting.get(answer) ?? 0;
  for (const { answer } of [...all].reverse())
    for (const owner of owners.get(answer) ?? [])
      waiting.set(owner, Math.max(waitingFor(owner), waitingFor(answer) + 1));
  return [...all].sort((a, b) => waitingFor(b.answer) - waitingFor(a.answer));
}

/** For each, those before it that bring layers which it has and does not ask for. */
function ownersOf(answers: readonly Answer[]): ReadonlyMap<Answer, ReadonlySet<Answer>> {
  const bringers = new Map<Digest, Answer>();
  const owners = new Map<Answer, Set<Answer>>();
  for (const answer of answers) {
    const wanted = new Set(answer.missing);
    const own = new Set<Answer>();
    for (const layer of answer.missing ? (answer.image.layers ?? []) : []) {
      const bringer = bringers.get(diffIdOf(layer));
      if (wanted.has(layer.digest)) bringers.set(diffIdOf(layer), bringer ?? answer);
      else if (bringer) own.add(bringer);
    }
    owners.set(answer, own);
  }
  return owners;
}

export interface PlanDetails {
  readonly layers: boolean;
  readonly pushes: boolean;
}

/** `store` is the sink's; undefined where it takes images as they come. */
export function planImage(answer: Answer, store: Store | undefined, details: PlanDetails): PlanImage {
  const { image, action, missing, reason, warning, refs } = answer;
  return {
    id: image.id,
    platform: platformName(image.platform),
    refs: refs.map(({ source, target, replaces }) => ({ source, target, replaces: replaces ?? null })),
    action,
    reason: reason ?? null,
    warning: warning ?? null,
    ...readWords(image.readBy),
    layers: layerCount(image),
    layersMissing: action === 'send' ? (missing?.length ?? layerCount(image)) : 0,
    bytes: image.bytes,
    bytesMissing: bytesMissing(answer),
    idChange:
      store === undefined || image.store === store
        ? null
        : `${image.store} store at the source, ${store} store at the target`,
    ...(details.pushes && { pushes: refs.filter(({ push }) => push).map(({ target }) => target) }),
    ...(details.layers && image.layers && { layerList: layerList(answer, image.layers) }),
  };
}

/** As events tell it; nothing where there is but one way. */
export function readWords(by: ReadBy | undefined) {
  return by && { read: by.way, readReason: by.why ?? null };
}

function layerList({ action, missing }: Answer, layers: readonly LayerBlob[]): readonly PlanLayer[] {
  const wanted = missing && new Set(missing);
  return layers.map(({ digest, size }) => ({
    digest,
    bytes: size,
    missing: action === 'send' && (wanted?.has(digest) ?? true),
  }));
}
