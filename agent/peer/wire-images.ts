/** Images and their names on their way between hosts, as PROTOCOL.md section 6 has them; nothing goes further unchecked. */
import { toImgmvError, violation } from '../../proto/errors.ts';
import {
  LAYERS_MAX,
  LAYERS_OFFERED_MAX,
  NAMES_PER_IMAGE_MAX,
  TEXT_MAX_CHARACTERS,
} from '../../proto/limits.ts';
import { type AnsweredImage, type OfferedImage, offerFault } from '../../proto/messages.ts';
import type { Digest, Image, LayerBlob, Name } from '../model/image.ts';
import { familiarName, parseReference } from '../model/reference.ts';
import type { Answer } from '../model/sink.ts';
import { fromWire, saidBy } from './failure.ts';

export function toOffer(image: Image, number: number): OfferedImage {
  const { id, root, store, platform, names, diffIds, config, layers, bytes, withheld } = image;
  return {
    image: number,
    id,
    root: { ...root },
    store,
    platform: { ...platform },
    names: [...names],
    diffIds: [...diffIds],
    ...(config && { config }),
    ...(layers && { layers: layers.map((layer) => ({ ...layer })) }),
    bytes,
    ...(withheld !== undefined && { withheld: withheld.slice(0, TEXT_MAX_CHARACTERS) }),
  };
}

/** Why an image cannot be offered to another host; undefined where it can. */
export function whyNotOffered(image: Image): string | undefined {
  const { names, diffIds, layers = [] } = image;
  if (names.length > NAMES_PER_IMAGE_MAX)
    return `it would go with ${names.length} names, and ${NAMES_PER_IMAGE_MAX} is the most; --except leaves some out, such as --except ${names[0]?.source ?? ''}`;
  if (diffIds.length > LAYERS_MAX)
    return `it has ${diffIds.length} layers, and ${LAYERS_MAX} are the most that can be sent`;
  if (layers.length > LAYERS_OFFERED_MAX)
    return `its platforms have ${layers.length} layers together, and ${LAYERS_OFFERED_MAX} are the most that can be sent`;
  const offered = toOffer(image, 0);
  const fault = offerFault(offered);
  if (fault !== undefined) return `what the engine tells of it cannot be sent: ${fault}`;
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
  answered: AnsweredImage | undefined,
  host: string,
): Answer {
  if (answered?.image !== number || !answersNames(image.names, answered.refs))
    throw violation('an answer to something else than was offered');
  if (answered.error && answered.action !== 'refuse') throw violation('an error with what is not refused');
  if (new Set(answered.refs.map(({ target, as = target }) => as)).size < answered.refs.length)
    throw violation('an answer with a name twice');
  const refs = answered.refs.map(({ replaces, push, ...name }) => ({
    ...fromWireName(image, name),
    ...(replaces !== undefined && { replaces }),
    ...(push && { push }),
  }));
  return {
    image,
    action: answered.action,
    refs,
    ...reasonOf(image, answered, host),
    ...(answered.warning !== undefined && { warning: saidBy(host, answered.warning) }),
    ...(answered.missing !== undefined && { missing: offeredOnly(answered.missing, image.layers) }),
    ...(answered.error && { error: fromWire(answered.error, host) }),
  };
}

/** What this side cannot give the other one refuses, without a word: the reason is here. */
function reasonOf({ withheld }: Image, { action, reason }: AnsweredImage, host: string): { reason?: string } {
  if (reason !== undefined) return { reason: saidBy(host, reason) };
  return action === 'refuse' && withheld !== undefined ? { reason: withheld } : {};
}

/**
 * All names that were offered, in their order: once, or as often as the other side gives one in place of it. With
 * rules of its own that make one name of several it may leave out all of these but one.
 */
function answersNames(names: readonly Name[], refs: AnsweredImage['refs']): boolean {
  const offered = names.map(({ target }) => target);
  const answered = [...new Set(refs.map(({ target }) => target))];
  const there = new Set(answered);
  const inOrder = offered.filter((target) => there.has(target));
  const renamed = refs.some(({ as }) => as !== undefined);
  return inOrder.join(' ') === answered.join(' ') && (inOrder.length === offered.length || renamed);
}

/** Which name the other side gives in place of the one that was offered is its own affair, if it is one. */
export function fromWireName(image: Image | undefined, { target, as }: AnsweredImage['refs'][number]): Name {
  const source = image?.names.find((name) => name.target === target)?.source;
  if (source === undefined) throw violation('a name that was not offered');
  if (as === undefined) return { source, target };
  const parsed = parseReference(as);
  if (parsed?.tag === undefined || parsed.digest !== undefined)
    throw violation('an image is to be called what is no NAME:TAG');
  return { source, target: as, offered: target };
}

/** The other side gets no layer but those that it was offered. */
export function offeredOnly(digests: readonly string[], layers: Image['layers']): readonly Digest[] {
  const offered = new Set<string>(layers?.map(({ digest }) => digest));
  if (digests.some((digest) => !offered.has(digest)))
    throw violation('a layer is asked for that was not offered');
  return digests as readonly Digest[];
}

/** The sender knows its names as it has offered them. */
export function toWireName({ source, target, offered }: Name): {
  source: string;
  target: string;
  as?: string;
} {
  return { source, target: offered ?? target, ...(offered !== undefined && { as: target }) };
}

/** Names become part of requests to our engine: only well-formed ones go further. */
export function fromOffer(offered: OfferedImage, number: number, host: string): Image {
  if (offered.image !== number) throw violation(`image ${offered.image} in place of ${number}`);
  for (const { source, target } of offered.names) {
    if (parseReference(source) === undefined && !/^sha256:[0-9a-f]{64}$/.test(source))
      throw violation('a source name that is no name');
    const reference = parseReference(target);
    if (reference?.tag === undefined || reference.digest !== undefined)
      throw violation('a target name that is no NAME:TAG');
    // moby refuses it, a containerd store may not: everybody would take it for an id.
    if (familiarName(reference) === 'sha256') throw violation('a target name that looks like an id');
  }
  const { id, root, store, platform, names, diffIds, config, layers, bytes, withheld } = offered;
  return {
    id: id as Digest,
    root: { ...root, digest: root.digest as Digest },
    store,
    platform: {
      os: platform.os,
      architecture: platform.architecture,
      ...(platform.variant !== undefined && { variant: platform.variant }),
    },
    names,
    diffIds: diffIds as Digest[],
    ...(config !== undefined && { config: config as Digest }),
    ...(layers && { layers: layers.map(layerOf) }),
    bytes,
    ...(withheld !== undefined && { withheld: saidBy(host, withheld) }),
  };
}

function layerOf({ digest, size, diffId }: NonNullable<OfferedImage['layers']>[number]): LayerBlob {
  return { digest: digest as Digest, size, ...(diffId !== undefined && { diffId: diffId as Digest }) };
}
