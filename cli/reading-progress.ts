/** What people see of an archive while it is read: that it is, once, and from then on how far. */
import type { EventOf } from '../agent/model/events.ts';
import type { BarState } from './bar-line.ts';
import { escapeText } from './escape.ts';
import { size } from './sizes.ts';

/** Between two lines of what has no bar. */
export const PLAIN_INTERVAL_MS = 5_000;

type ReadingEvent = EventOf<'reading'>;

export class ReadingProgress {
  /** Archives by when something was said of them. */
  readonly #saidAt = new Map<string, number>();

  /** The line that is due; undefined where none is. */
  line(event: ReadingEvent): string | undefined {
    const { archive, spool } = event;
    const now = performance.now();
    const saidAt = this.#saidAt.get(archive);
    if (saidAt !== undefined && (!hasBegun(event) || now - saidAt < PLAIN_INTERVAL_MS)) return undefined;
    this.#saidAt.set(archive, now);
    if (saidAt !== undefined) return `${archive}: ${doing(event)}, ${howFar(event)}`;
    return `Reading ${archive}${spool === null ? '' : `, kept in ${spool} until the end`}.`;
  }

  /** Undefined as long as there is nothing to show. */
  bar(event: ReadingEvent): BarState | undefined {
    if (!this.#saidAt.has(event.archive) || !hasBegun(event)) return undefined;
    return {
      name: escapeText(event.archive),
      shortName: escapeText(event.archive),
      bytes: event.bytes,
      bytesTotal: event.bytesTotal ?? 0,
      words: { state: `${doing(event)}: ${howFar(event)}`, shortState: size(event.bytes) },
    };
  }
}

function hasBegun({ bytes, inflated }: ReadingEvent): boolean {
  return bytes > 0 || inflated > 0;
}

function doing({ phase }: ReadingEvent): string {
  return phase === 'index' ? 'looking through' : 'checking';
}

function howFar({ bytes, bytesTotal, inflated }: ReadingEvent): string {
  const of = bytesTotal === null ? '' : ` of ${size(bytesTotal)}`;
  return `${size(bytes)}${of}${inflated === 0 ? '' : `, ${size(inflated)} decompressed`}`;
}
