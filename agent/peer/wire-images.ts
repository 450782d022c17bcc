/** Images and their names on their way between hosts, as PROTOCOL.md section 6 has them; nothing goes further unchecked. */

import { counted } from '../../proto/counted.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import {
  LAYERS_MAX,
  LAYERS_OFFERED_MAX,
  NAMES_PER_IMAGE_MAX,
  OFFER_IMAGES_MAX,
  OFFER_PARTS_MAX,
  TEXT_MAX_CHARACTERS,
} from '../../proto/limits.ts';
import { type AnsweredItem, type OfferedItem, offerFault } from '../../proto/messages.ts';
import type { Digest, Image, Name } from '../model/image.ts';
import { familiarName, parseReference } from '../model/reference.ts';
import type { Answer } from '../model/sink.ts';
import { fromWire, saidBy } from './failure.ts';

type GivenName = Pick<AnsweredItem['names'][number], 'wanted' | 'target'>;

export function toOffer(image: Image, number: number): OfferedItem {
  const { id, root, store, platform, names, diffIds, config, layers, bytes, withheld } = image;
  return {
    item: number,
    kind: 'image',
    id,
    root,
    store,
    platform,
    names: names.map(({ source, target: wanted }) => ({ source, wanted })),
    diffIds: [...diffIds],
    config,
    layers: layers && [...layers],
    bytes,
    withheld: withheld?.slice(0, TEXT_MAX_CHARACTERS),
  };
}

/** Throws refused for images of which an offer has no room, all together. */
export function requireRoom(images: readonly Image[]): void {
  const requireUpTo = (max: number, count: number, what: string) => {
    if (count <= max) return;
    throw new ImgmvError('refused', `${count} ${what}: a session takes at most ${max}`, {
      about: 'too-many',
    });
  };
  requireUpTo(OFFER_IMAGES_MAX, images.length, 'images');
  requireUpTo(OFFER_PARTS_MAX, partsOf(images), 'names and layers');
}

/** Layers and names of all of them. */
export function partsOf(
  all: readonly { readonly [part in 'diffIds' | 'layers' | 'names']?: readonly unknown[] | undefined }[],
): number {
  return all.reduce(
    (sum, { diffIds = [], layers = [], names = [] }) => sum + diffIds.length + layers.length + names.length,
    0,
  );
}

/** Why an image cannot be offered to another host; undefined where it can. */
export function whyNotOffered(image: Image): string | undefined {
  const { names, diffIds, layers = [] } = image;
  if (names.length > NAMES_PER_IMAGE_MAX)
    return `it has ${counted(names.length, 'name')}, and at most ${NAMES_PER_IMAGE_MAX} can be sent; leave some out, for example with --except ${names[0]?.source ?? ''}`;
  if (diffIds.length > LAYERS_MAX)
    return `it has ${counted(diffIds.length, 'layer')}, and at most ${LAYERS_MAX} can be sent`;
  if (layers.length > LAYERS_OFFERED_MAX)
    return `its platforms have ${counted(layers.length, 'layer')} in all, and at most ${LAYERS_OFFERED_MAX} can be sent`;
  const offered = toOffer(image, 0);
  const fault = offerFault(offered);
  if (fault !== undefined) return `the engine describes it in a way that cannot be sent: ${fault}`;
  try {
    fromOffer(offered, 0, '');
    return undefined;
  } catch (error) {
    return `it cannot be sent: ${toImgmvError(error).message}`;
  }
}

/** The other side answers for what was offered, in its order, and for those names only. */
export function toAnswer(
  image: Image,
  number: number,
  answered: AnsweredItem | undefined,
  host: string,
): Answer {
  if (answered?.item !== number || !answersNames(image.names, answered.names))
    throw violation('an answer about something that was not offered');
  if (answered.error && answered.action !== 'refuse')
    throw violation('an error for an image that is not refused');
  if (new Set(answered.names.map(targetOf)).size < answered.names.length)
    throw violation('an answer that has a name twice');
  const { action, reason, warning, names, missing, error } = answered;
  return {
    image,
    action,
    refs: names.map(({ replaces, push, ...name }) => ({ ...fromWireName(image, name), replaces, push })),
    // What this side cannot give the other one refuses, without a word.
    reason: reason === undefined && action === 'refuse' ? image.withheld : saidBy(host, reason),
    warning: saidBy(host, warning),
    missing: missing && offeredOnly(missing, image.layers),
    error: error && fromWire(error, host),
  };
}

/**
 * All names that were offered, in their order: once, or as often as the other side gives one in place of it. With
 * rules of its own that make one name of several it may leave out all of these but one.
 */
function answersNames(names: readonly Name[], given: readonly GivenName[]): boolean {
  const offered = names.map(({ target }) => target);
  const answered = [...new Set(given.map(({ wanted }) => wanted))];
  const there = new Set(answered);
  const inOrder = offered.filter((target) => there.has(target));
  const renamed = given.some(({ target }) => target !== undefined);
  return inOrder.join(' ') === answered.join(' ') && (inOrder.length === offered.length || renamed);
}

/** What an image is called at the target. */
export function targetOf({ wanted, target = wanted }: GivenName): string {
  return target;
}

/** Which name the other side gives in place of the one that was offered is its own affair, if it is one. */
export function fromWireName(image: Image, { wanted, target }: GivenName): Name {
  const source = image.names.find((name) => name.target === wanted)?.source;
  if (source === undefined) throw violation('a name that was not offered');
  if (target === undefined) return { source, target: wanted };
  const parsed = parseReference(target);
  if (parsed?.tag === undefined || parsed.digest !== undefined)
    throw violation('a name for an image that is not NAME:TAG');
  return { source, target, offered: wanted };
}

/** The other side gets no layer but those that it was offered. */
export function offeredOnly(digests: readonly Digest[], layers: Image['layers']): readonly Digest[] {
  const offered = new Set(layers?.map(({ digest }) => digest));
  if (digests.some((digest) => !offered.has(digest)))
    throw violation('it asked for a layer that was not offered');
  return digests;
}

/** The sender knows its names as it has offered them. */
export function toWireName({ target, offered }: Name): GivenName {
  return offered === undefined ? { wanted: target } : { wanted: offered, target };
}

/** Names become part of requests to our engine: only well-formed ones go further. */
export function fromOffer(offered: OfferedItem, number: number, host: string): Image {
  if (offered.item !== number) throw violation(`image ${offered.item} in place of ${number}`);
  for (const { source, wanted } of offered.names) {
    if (parseReference(source) === undefined && !/^sha256:[0-9a-f]{64}$/.test(source))
      throw violation('a source name that is not a name');
    const reference = parseReference(wanted);
    if (reference?.tag === undefined || reference.digest !== undefined)
      throw violation('a target name that is not NAME:TAG');
    // moby refuses it, a containerd store may not: everybody would take it for an id.
    if (familiarName(reference) === 'sha256') throw violation('a target name that looks like an id');
  }
  const { id, root, store, platform, names, diffIds, config, layers, bytes, withheld } = offered;
  if (store === 'classic' && layers?.some(({ digest, diffId = digest }) => diffId !== digest))
    throw violation('a layer of a classic store that is not called by its diffID');
  return {
    id,
    root,
    store,
    platform,
    names: names.map(({ source, wanted: target }) => ({ source, target })),
    diffIds,
    config,
    layers,
    bytes,
    withheld: saidBy(host, withheld),
  };
}
