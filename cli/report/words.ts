/** What a report says in words, the same in every form for people. Nothing here is escaped: the forms do that. */

import { counted } from '../../proto/counted.ts';
import { short, shortSource } from '../names.ts';
import { isEngine } from '../progress-words.ts';
import { size } from '../sizes.ts';
import { statusWord } from '../status-word.ts';
import { arrived, type ImageStatus, isLost, type ReportData, type ReportImage, type Side } from './model.ts';

export type Verdict = 'done' | 'partial' | 'failed' | 'stopped';

export function titleOf({ command, source, target }: ReportData): string {
  if (command === 'copy') return `${placeOf(source)} → ${placeOf(target)}`;
  return `${hostOf(source)} → ${hostOf(target)}`;
}

export function verdictOf({ exit, error, images }: ReportData): Verdict {
  if (exit === 0) return 'done';
  if (error?.code === 'sighup' || error?.code === 'sigint' || error?.code === 'sigterm') return 'stopped';
  return images.some(arrived) ? 'partial' : 'failed';
}

/** A sentence on how it went, and one on names that are in no registry. */
export function headlineOf(report: ReportData): string {
  const notPushed = report.images.flatMap(({ pushed }) => pushed).filter(({ error }) => error !== null);
  const end = notPushed.length === 0 ? '' : ` ${counted(notPushed.length, 'name')} NOT pushed.`;
  return `${arrivalsOf(report)}${end}`;
}

function arrivalsOf(report: ReportData): string {
  const { images, totals, exit } = report;
  const there = images.filter(arrived).length;
  if (totals.planned > 0)
    return `Nothing was to move: the sender asked for the plan of ${counted(totals.images, 'image')}.`;
  if (images.length === 0) return exit === 0 ? 'There was nothing to move.' : 'Nothing has moved.';
  if (there === images.length)
    return images.length === 1
      ? 'The image is at its target, verified.'
      : `All ${there} images are at their target, verified.`;
  if (there === 0)
    return images.length === 1
      ? 'The image has not arrived.'
      : `None of ${images.length} images has arrived.`;
  return `${there} of ${counted(images.length, 'image')} ${there === 1 ? 'is at its' : 'are at their'} target, verified; ${images.length - there} ${images.length - there === 1 ? 'is' : 'are'} not.`;
}

function hostOf({ host, address }: Side): string {
  return host ?? address ?? 'the other host';
}

/** Host, address, and what keeps the images there. */
export function sideText(side: Side): string {
  const address = side.host !== null && side.address !== null ? ` (${side.address})` : '';
  return [`${hostOf(side)}${address}`, ...keeperTexts(side)].join(', ');
}

export function resultOf(image: ReportImage, { archives, engine }: Side): string {
  return statusWord(image, archives.length > 0 || (engine !== null && !isEngine(engine)));
}

function keeperTexts({ engine, archives }: Side): readonly string[] {
  const docker = engine?.kind === 'docker';
  const kept = docker ? `docker ${engine.version} (${engine.store} store)` : engine?.kind;
  return [...(kept === undefined ? [] : [kept]), ...archives];
}

function placeOf(side: Side): string {
  const [first, ...more] = keeperTexts(side);
  return first === undefined ? hostOf(side) : `${first}${more.length > 0 ? ` and ${more.length} more` : ''}`;
}

/** What it is called at the source; an id where it is called nothing. What it is called now is told by the notes. */
export function imageName({ id, refs }: ReportImage): string {
  const sources = [...new Set(refs.map(({ source }) => shortSource(source)))];
  return sources.length === 0 ? short(id) : sources.join(', ');
}

export interface Note {
  /** Only `error`, `hint` and `warning` may begin with text from elsewhere. */
  readonly kind: 'error' | 'hint' | 'warning' | 'change' | 'pushed' | 'plain';
  readonly text: string;
}

/** What is worth a line of its own about an image, the most important first. */
export function notesOf(image: ReportImage): readonly Note[] {
  const { error, id, idChange, kept, pushed, reason, refs, status, targetId, tries, warning } = image;
  const notes: Note[] = [];
  const note = (kind: Note['kind'], text: string | false | null | undefined) => {
    if (text) notes.push({ kind, text });
  };
  note('error', error?.message);
  note('hint', error?.hint);
  note('plain', status === 'unfinished' && 'the run ended before anything was told of it');
  if (kept > 0)
    note('plain', `${size(kept)} of its layers stay at the target: the next run does not send them again`);
  for (const { renamed, source, target } of refs)
    note('change', renamed && `renamed: ${shortSource(source)} is ${target} there`);
  for (const { replaced, target } of refs)
    if (replaced !== null)
      note('change', `replaced: ${target} was ${short(replaced)}, which has lost this name`);
  for (const { ref, digest, error, warning } of pushed) {
    note('error', error && `not pushed to ${ref}: ${error.message}`);
    note('hint', error?.hint);
    note('pushed', !error && `pushed: ${ref}${digest === null ? '' : ` is ${short(digest)}`}`);
    note('warning', !error && warning);
  }
  note('plain', refs.length === 0 && arrived(image) && 'arrived without a name');
  if (targetId !== null && targetId !== id)
    note('plain', `another id at the target${idChange === null ? '' : `: ${idChange}`}`);
  note('warning', warning);
  note('plain', error === null && reason !== null && `reason: ${reason}`);
  note('plain', tries > 1 && `tried ${tries} times`);
  return notes;
}

/** Images that did not move, those together to which the very same happened. */
export function losses({ images, target }: ReportData): readonly Loss[] {
  const groups = new Map<string, Loss & { readonly images: ReportImage[] }>();
  for (const image of images.filter(isLost)) {
    const what = { status: image.status, result: resultOf(image, target), notes: notesOf(image) };
    const key = JSON.stringify(what);
    const group = groups.get(key) ?? { ...what, images: [] };
    group.images.push(image);
    groups.set(key, group);
  }
  return [...groups.values()];
}

export interface Loss {
  readonly status: ImageStatus;
  /** The same in words. */
  readonly result: string;
  readonly notes: readonly Note[];
  readonly images: readonly ReportImage[];
}

/** Where its time went; empty for what took none. */
export function phasesText({ phases, rate }: ReportImage): string {
  const { transfer, load, push } = phases;
  const parts = [
    transfer > 0 && `transfer ${time(transfer)}${rate === null ? '' : ` at ${size(rate)}/s`}`,
    load > 0 && `load ${time(load)}`,
    push !== null && `push ${time(push)}`,
  ];
  return parts.filter(Boolean).join(', ');
}

export function time(seconds: number): string {
  if (seconds < 1) return seconds === 0 ? '0 s' : `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function percent(share: number): string {
  const whole = share * 100;
  return `${whole > 0 && whole < 9.95 ? whole.toFixed(1) : Math.round(whole)}%`;
}

/** To the second, in UTC. */
export function moment(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
