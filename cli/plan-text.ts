/** A plan as a table: a line an image, and its layers below where only some of them are to travel. */
import type { PlanImage, PlanLayer } from '../agent/model/events.ts';
import { escapeText } from './escape.ts';
import { namingLines, short, sourceNameOf } from './names.ts';
import { readings } from './readings.ts';
import { size } from './sizes.ts';
import { tableLines } from './table.ts';
import { wrap } from './wrap.ts';

/** With more images their layers would bury them; --json tells all. */
const LAYERS_SHOWN_FOR_IMAGES = 5;

interface PlanTextOptions {
  /** Whoever reads it is at the target. */
  readonly receiver?: boolean;
  /** The images are copied on this host: nothing is sent. */
  readonly copies?: boolean;
  readonly columns?: number;
}

/** Whether all that is there already, so that there are only names to set. */
export function setsOnlyNames(images: readonly PlanImage[]): boolean {
  const wanted = images.filter(({ action }) => action !== 'refuse');
  return wanted.every(({ action }) => action === 'present') && wanted.some(({ refs }) => refs.length > 0);
}

/** Of a plan by which no layer is sent, with a newline. */
export function nothingToSend(images: readonly PlanImage[]): string {
  if (setsOnlyNames(images)) return 'No layers to send, only names to set.\n';
  return images.some(({ action }) => action === 'send') ? 'No layers to send.\n' : 'Nothing to send.\n';
}

/** Ends with a newline. Sizes are those before compression. Where a table does not fit there is a list. */
export function planText(images: readonly PlanImage[], options: PlanTextOptions = {}): string {
  const { receiver = false, copies = false, columns = Number.POSITIVE_INFINITY } = options;
  const verb = copies ? 'copy' : 'send';
  const headings = ['IMAGE', 'PLATFORM', 'ACTION', 'LAYERS', `TO ${verb.toUpperCase()}`, 'OF'];
  const [heading = '', ...rows] = tableLines(
    headings,
    images.map((image) => rowOf(image, verb)),
  );
  const fits = [heading, ...rows].every(({ length }) => length <= columns);
  const lines = fits ? [heading] : [];
  const bringers = bringersOf(images);
  for (const [at, image] of images.entries()) {
    lines.push(...(fits ? [rows[at] ?? ''] : listed(image, verb)));
    lines.push(...notesOf(image, receiver).map((note) => `  ${escapeText(note)}`));
    const partly = image.layersMissing > 0 && image.layersMissing < image.layers;
    if (partly && images.length <= LAYERS_SHOWN_FOR_IMAGES) lines.push(...layersOf(image, bringers, verb));
  }
  return wrap(
    [
      ...lines,
      ...changedIds(images),
      ...readings(images.filter(({ action }) => action === 'send')).map(escapeText),
      '',
    ].join('\n'),
    columns,
  );
}

function rowOf(image: PlanImage, verb: string): readonly string[] {
  const { action, bytes, bytesMissing, layers, layersMissing } = image;
  const moves = action === 'send';
  return [
    escapeText(sourceNameOf(image)),
    escapeText(image.platform),
    moves ? verb : action,
    moves ? `${layersMissing} of ${layers}` : `${layers}`,
    moves ? size(bytesMissing) : '-',
    size(bytes),
  ];
}

/** The same as two lines. */
function listed(image: PlanImage, verb: string): readonly string[] {
  const [name = '', platform, action, layers, bytes, of] = rowOf(image, verb);
  const amount = image.action === 'send' ? `${bytes} of ${of}` : of;
  return [name, `  ${platform}, ${action}, ${layers} ${image.layers === 1 ? 'layer' : 'layers'}, ${amount}`];
}

/** Once for all images, or for those whose ids change if others do not. */
export function changedIds(images: readonly PlanImage[]): readonly string[] {
  const arriving = images.filter(({ action }) => action !== 'refuse');
  const reasons = new Set(arriving.flatMap(({ idChange }) => idChange ?? []));
  return [...reasons].map((reason) => {
    const changed = arriving.filter(({ idChange }) => idChange === reason);
    const whose = changed.length === arriving.length ? '' : ` of ${changed.map(sourceNameOf).join(', ')}`;
    return escapeText(`The ids${whose} will be others at the target: ${reason}.`);
  });
}

function notesOf(image: PlanImage, receiver: boolean): readonly string[] {
  const { refs, reason, warning, action, pushes } = image;
  const refused = action === 'refuse';
  const [here, nameless] = receiver ? ['here', ''] : ['there', ' (--as NAME:TAG gives one)'];
  return [
    ...namingLines(image),
    reason !== null && (refused ? `refused: ${reason}` : reason),
    ...refs.map(
      ({ target, replaces }) =>
        replaces !== null &&
        !refused &&
        `${target} is ${short(replaces)} ${here} now, which will lose this name`,
    ),
    ...(pushes ?? []).map((name) => `will be pushed: ${name}`),
    pushes?.length === 0 && !refused && 'cannot be pushed: no name of it has a registry',
    refs.length === 0 && `goes by its id: it arrives without a name${nameless}`,
    warning !== null && `warning: ${warning}`,
  ].filter((note) => note !== false);
}

function layersOf(
  { layerList = [] }: PlanImage,
  bringers: ReadonlyMap<string, string>,
  verb: string,
): readonly string[] {
  const how = ({ digest, missing }: PlanLayer) => {
    if (missing) return verb;
    const bringer = bringers.get(digest);
    return bringer === undefined ? 'there' : `with ${bringer}`;
  };
  const rows = layerList.map((layer) => [short(layer.digest), escapeText(how(layer)), size(layer.bytes)]);
  return tableLines(['', '', ''], rows)
    .slice(1)
    .map((line) => `  ${line}`);
}

/** Which image brings a layer that others have, too: the first that does, by what it is called. */
function bringersOf(images: readonly PlanImage[]): ReadonlyMap<string, string> {
  const bringers = new Map<string, string>();
  for (const image of images)
    for (const { digest, missing } of image.layerList ?? [])
      if (missing && !bringers.has(digest)) bringers.set(digest, sourceNameOf(image));
  return bringers;
}
