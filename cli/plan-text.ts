/** A plan as a table: a line an image, and its layers below where only some of them are to travel. */
import prettyBytes from 'pretty-bytes';
import type { PlanImage } from '../agent/events.ts';
import { escapeText } from './escape.ts';
import { nameOf, short } from './names.ts';
import { tableLines } from './table.ts';

const HEADINGS = ['IMAGE', 'PLATFORM', 'ACTION', 'LAYERS', 'TO SEND', 'OF'] as const;
/** With more images their layers would bury them; --json tells all. */
const LAYERS_SHOWN_FOR_IMAGES = 5;

/** Ends with a newline. Sizes are those before compression. */
export function planText(images: readonly PlanImage[]): string {
  const [headings = '', ...rows] = tableLines(HEADINGS, images.map(rowOf));
  const lines = [headings];
  for (const [at, image] of images.entries()) {
    lines.push(rows[at] ?? '');
    lines.push(...notesOf(image).map((note) => `  ${escapeText(note)}`));
    const partly = image.layersMissing > 0 && image.layersMissing < image.layers;
    if (partly && images.length <= LAYERS_SHOWN_FOR_IMAGES) lines.push(...layersOf(image));
  }
  return `${lines.join('\n')}\n`;
}

function rowOf(image: PlanImage): readonly string[] {
  const missing = image.action === 'send' ? `${image.layersMissing} of ${image.layers}` : `${image.layers}`;
  return [
    escapeText(nameOf(image)),
    escapeText(image.platform),
    image.action,
    missing,
    image.action === 'send' ? prettyBytes(image.bytesMissing) : '-',
    prettyBytes(image.bytes),
  ];
}

function notesOf({ refs, reason, warning, idChange, action }: PlanImage): readonly string[] {
  return [
    ...(reason === null ? [] : [action === 'refuse' ? `refused: ${reason}` : reason]),
    ...refs.flatMap(({ target, replaces }) =>
      replaces === null ? [] : [`${target} is ${short(replaces)} there now and will lose this name`],
    ),
    ...(refs.length === 0 ? ['chosen by id: it arrives without a name (--as NAME:TAG gives one)'] : []),
    ...(warning === null ? [] : [`warning: ${warning}`]),
    ...(idChange === null || action === 'refuse' ? [] : [`another id at the target: ${idChange}`]),
  ];
}

function layersOf({ layerList = [] }: PlanImage): readonly string[] {
  return layerList.map(
    ({ digest, bytes, missing }) =>
      `  ${short(digest)}   ${missing ? 'send ' : 'there'}   ${prettyBytes(bytes)}`,
  );
}
