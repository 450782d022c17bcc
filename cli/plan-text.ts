/** A plan as a table: a line an image, and its layers below where only some of them are to travel. */
import type { PlanImage, PlanLayer } from '../agent/model/events.ts';
import { escapeText } from './escape.ts';
import { namingLines, short, sourceNameOf } from './names.ts';
import { size } from './sizes.ts';
import { tableLines } from './table.ts';

const HEADINGS = ['IMAGE', 'PLATFORM', 'ACTION', 'LAYERS', 'TO SEND', 'OF'] as const;
/** With more images their layers would bury them; --json tells all. */
const LAYERS_SHOWN_FOR_IMAGES = 5;

/** Ends with a newline. Sizes are those before compression. `receiver`: whoever reads it is at the target. */
export function planText(images: readonly PlanImage[], { receiver = false } = {}): string {
  const [headings = '', ...rows] = tableLines(HEADINGS, images.map(rowOf));
  const lines = [headings];
  const bringers = bringersOf(images);
  for (const [at, image] of images.entries()) {
    lines.push(rows[at] ?? '');
    lines.push(...notesOf(image, receiver).map((note) => `  ${escapeText(note)}`));
    const partly = image.layersMissing > 0 && image.layersMissing < image.layers;
    if (partly && images.length <= LAYERS_SHOWN_FOR_IMAGES) lines.push(...layersOf(image, bringers));
  }
  return `${lines.join('\n')}\n`;
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

function rowOf(image: PlanImage): readonly string[] {
  const missing = image.action === 'send' ? `${image.layersMissing} of ${image.layers}` : `${image.layers}`;
  return [
    escapeText(sourceNameOf(image)),
    escapeText(image.platform),
    image.action,
    missing,
    image.action === 'send' ? size(image.bytesMissing) : '-',
    size(image.bytes),
  ];
}

function notesOf(image: PlanImage, receiver: boolean): readonly string[] {
  const { refs, reason, warning, idChange, action, pushes } = image;
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
    idChange !== null && !refused && `another id at the target: ${idChange}`,
  ].filter((note) => note !== false);
}

function layersOf({ layerList = [] }: PlanImage, bringers: ReadonlyMap<string, string>): readonly string[] {
  const how = ({ digest, missing }: PlanLayer) => {
    if (missing) return 'send';
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
