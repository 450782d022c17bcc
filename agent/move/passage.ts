/**
 * One image on its way into a sink, from its plan to what became of it, over all tries; with its counters. The host
 * that moves and the host that serves a sink keep one for each image.
 */

import { BlobGivenUp } from '../../proto/entry.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { type Emit, type EventOf, type LinkLimit, type PushedRef, tellError } from '../model/events.ts';
import type { Blob, Digest, Image, ReadBy } from '../model/image.ts';
import { bytesMissing, layerCount, platformName, readWords, refusal } from '../model/plan.ts';
import type { Answer, Committed, ImageWriter, Outcome, Planned, Pushed } from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import { tap } from '../streams/tap.ts';
import { Phases } from './phases.ts';

const PROGRESS_INTERVAL_MS = 500;
/** Share of the time: who waits less is busy itself. */
const WAIT_SHARE_MIN = 0.3;
/** How often layers may be asked for again. */
const ROUNDS_MAX = 3;

/** How far an image is: measured once for whoever shows it, here or on another host. */
export type Progress = Omit<EventOf<'progress'>, 'event'>;

export interface PassageOptions {
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** Told what `emit` is told of progress. */
  readonly watch?: (progress: Progress) => void;
  /** Bytes on the wire so far, both ways; 0 where there is no wire. */
  readonly wireBytes: () => number;
  /** Of them those of an image's entries, over all tries: both hosts count the same. Absent where there is no wire. */
  readonly imageWireBytes?: (id: Digest) => number;
  /** A limit that was waited for. */
  readonly limitOf?: (whose: 'ownLimit' | 'peerLimit') => LinkLimit | null;
  readonly waits: () => Waits;
}

/**
 * Takes turns: `write` for each blob, then `commit`, and both again while the sink finds layers gone that it had
 * counted on. What is under way ends by an outcome; `commit`, `settle`, `pushed` and `fail` do not throw.
 */
export class Passage {
  readonly #options: PassageOptions;
  #planned: Planned;
  #writer: ImageWriter | undefined;
  #wanted: readonly Digest[] | undefined;
  #rounds = 0;
  #bytes = 0;
  #layers = 0;
  #readBy: ReadBy | undefined;
  #travels = false;
  #startedAt: number | undefined;
  readonly #phases = new Phases();
  #committing = false;
  #committed: Committed | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #outcome: Outcome | undefined;
  readonly #plannedAt: number;
  #endedAt: number | undefined;

  /** `plannedAt` is when the plan of the run was told, by performance.now(). */
  constructor(planned: Planned, options: PassageOptions, plannedAt: number) {
    this.#planned = planned;
    this.#options = options;
    this.#plannedAt = plannedAt;
    this.#wanted = planned.answer.missing;
  }

  get answer(): Answer {
    return this.#planned.answer;
  }

  get image(): Image {
    return this.answer.image;
  }

  get travels(): boolean {
    return this.answer.action === 'send';
  }

  /** The layers that are to come now; undefined: all of them. */
  get wanted(): readonly Digest[] | undefined {
    return this.#wanted;
  }

  /** Undefined while it is under way, or waits for its turn. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** What it has become in the sink: it is there, whatever becomes of a push. */
  get committed(): Committed | undefined {
    return this.#committed;
  }

  /** Whether it has had a turn in this try. */
  get begun(): boolean {
    return this.#ticking !== undefined;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** From its first turn to its end, in milliseconds; undefined before it has ended. */
  get tookMs(): number | undefined {
    if (this.#endedAt === undefined) return undefined;
    return this.#planned.tookMs?.() ?? Math.round(this.#endedAt - (this.#startedAt ?? this.#endedAt));
  }

  /** From the plan to its end, in milliseconds; undefined before it has ended. */
  get endedMs(): number | undefined {
    return this.#endedAt === undefined ? undefined : Math.round(this.#endedAt - this.#plannedAt);
  }

  /** Its first blob has been asked for, elsewhere: it has its turn, and nothing of it is on the wire yet. */
  awaited(): void {
    if (this.begun) return;
    this.#begin();
    this.#phases.enter('transfer');
  }

  /** Its blobs travel from now on, until `travelled`. */
  travelling(): void {
    this.#begin();
    if (this.#travels) return;
    this.#travels = true;
    this.#phases.enter('transfer');
  }

  travelled(): void {
    if (!this.#travels) return;
    this.#travels = false;
    this.#phases.leave();
  }

  async open(): Promise<ImageWriter> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    this.#writer ??= await this.#planned.open(signal);
    return this.#writer;
  }

  /** Whether it was taken; false for one that was given up on the way, and may come again. */
  async write(blob: Blob): Promise<boolean> {
    const writer = await this.open();
    try {
      await writer.write(this.#counted(blob));
    } catch (error) {
      if (error instanceof BlobGivenUp) return false;
      throw error;
    }
    if (blob.kind === 'layer') this.#layers++;
    return true;
  }

  /** How its source has read it. */
  wasRead(by: ReadBy | undefined): void {
    this.#readBy = by;
  }

  /** Afterwards it is committed, or has an outcome, or has to travel again for what is `wanted`. */
  async commit(): Promise<void> {
    try {
      // Before anything is waited for: the peer's end of this image must go out before the next image's blobs.
      const end = await this.#loading(this.#writer ?? (await this.open()));
      if ('targetId' in end) return this.#arrived(end);
      this.#wanted = end.missing;
      if (this.#rounds++ === ROUNDS_MAX)
        throw new ImgmvError(
          'engine-refused',
          `layers of the image vanish from the target as fast as they arrive: ${end.missing.length} are gone again`,
          { hint: 'does something prune images on the target?' },
        );
    } catch (error) {
      await this.fail(error);
    }
  }

  /** For what does not travel: it is there already, or it was refused. */
  async settle(): Promise<void> {
    this.#begin();
    if (this.answer.action === 'refuse') await this.fail(refusal(this.answer));
    else await this.commit();
  }

  /** Waits for the push behind the commit, where there is one: with it, it has its outcome. */
  async pushed(): Promise<void> {
    const push = this.#committed?.push;
    if (!push || this.#outcome) return;
    this.#phases.enter('push');
    const pushed = await push.done;
    this.#phases.leave();
    this.#end({ ...this.#there(), pushed });
  }

  /** Ends it; what stops the whole run is the better reason. */
  async fail(error: unknown): Promise<void> {
    const { signal } = this.#options;
    const refused = this.answer.action === 'refuse' && this.answer.error === undefined;
    const reason = toImgmvError(signal.aborted && !refused ? signal.reason : error);
    await this.#writer?.abort(reason);
    const kept = this.#writer?.keptBytes() ?? 0;
    const { image, refs } = this.answer;
    this.#end({ image, status: refused ? 'refused' : 'failed', refs, error: reason, kept });
  }

  /** It had arrived, and is not there after all: the sink could not finish. */
  undo(error: ImgmvError): void {
    if (this.#outcome?.error) return;
    const { image, refs } = this.answer;
    this.#end({ image, status: 'failed', refs, error });
  }

  again(planned: Planned): void {
    this.#planned = planned;
    this.#wanted = planned.answer.missing;
    this.#writer = undefined;
    this.#committed = undefined;
    this.#outcome = undefined;
    this.#endedAt = undefined;
    this.#rounds = 0;
  }

  #arrived(end: Committed): void {
    this.#committed = end;
    if (!end.push) this.#end(this.#there());
  }

  #there(): Outcome {
    const { image, action } = this.answer;
    const { targetId, refs } = this.#committed as Committed;
    return { image, status: action === 'present' ? 'present' : 'loaded', targetId, refs };
  }

  async #loading(writer: ImageWriter) {
    this.#committing = true;
    this.#phases.enter('load');
    try {
      return await writer.commit();
    } finally {
      this.#committing = false;
      this.#phases.leave();
    }
  }

  #begin(): void {
    this.#startedAt ??= performance.now();
    this.#ticking ??= this.#tick();
  }

  #end(outcome: Outcome): void {
    clearInterval(this.#ticking);
    this.#ticking = undefined;
    this.travelled();
    this.#phases.leave();
    this.#endedAt = performance.now();
    this.#outcome = outcome;
  }

  #counted(blob: Blob): Blob {
    const body = tap(blob.body, ({ length }) => {
      this.#bytes += length;
    });
    return { ...blob, body };
  }

  #tick(): NodeJS.Timeout {
    const { emit, waits, watch, wireBytes } = this.#options;
    const look = (pushed: number) => {
      return { bytes: this.#bytes, wire: wireBytes(), pushed, at: performance.now(), waits: waits() };
    };
    let before = look(0);
    let movedAt = before.at;
    return setInterval(() => {
      const push = this.#committed?.push?.progress();
      const now = look(push?.bytes ?? 0);
      // A load is silent for long; a push is not.
      if (now.bytes !== before.bytes || now.pushed !== before.pushed || this.#committing) movedAt = now.at;
      // One push ends and the next begins anew.
      const moved = push ? Math.max(0, now.pushed - before.pushed) : now.bytes - before.bytes;
      const elapsedMs = now.at - before.at;
      const waited = this.#committing ? 'load' : longestWait(before.waits, now.waits, elapsedMs);
      const progress: Progress = {
        id: this.image.id,
        refs: this.answer.refs,
        ...(push ? { phase: 'push', ...push } : this.#progress()),
        wireBytes: this.#wireSoFar(),
        kept: this.#writer?.keptBytes() ?? 0,
        rate: Math.round((moved * 1000) / elapsedMs),
        wireRate: Math.round(((now.wire - before.wire) * 1000) / elapsedMs),
        ...this.#heldUp(push ? null : waited),
        stalledSeconds: Math.floor((now.at - movedAt) / 1000),
      };
      emit({ event: 'progress', ...progress });
      watch?.(progress);
      before = now;
    }, PROGRESS_INTERVAL_MS);
  }

  #progress(): Pick<Progress, 'phase' | 'bytes' | 'bytesTotal'> {
    const bytesTotal = Math.max(bytesMissing(this.answer), this.#bytes);
    return this.#committing
      ? { phase: 'load', bytes: this.#writer?.loadedBytes() ?? 0, bytesTotal }
      : { phase: 'transfer', bytes: this.#bytes, bytesTotal };
  }

  #heldUp(waited: keyof Waits | null): Pick<Progress, 'bottleneck' | 'limit'> {
    if (waited !== 'ownLimit' && waited !== 'peerLimit') return { bottleneck: waited, limit: null };
    return { bottleneck: 'network', limit: this.#options.limitOf?.(waited) ?? null };
  }

  #wireSoFar(): number {
    return this.#options.imageWireBytes?.(this.image.id) ?? 0;
  }

  /** What is told of it once it has an outcome. */
  event({ image, status, targetId, refs, error, kept, pushed }: Outcome) {
    const arrived = status === 'present' || status === 'loaded';
    const startedAt = this.#startedAt ?? performance.now();
    return {
      event: 'image',
      id: image.id,
      platform: platformName(image.platform),
      refs: refs.map(({ source, target, replaced }) => ({ source, target, replaced: replaced ?? null })),
      status,
      targetId: targetId ?? null,
      bytes: this.#bytes,
      wireBytes: this.#wireSoFar(),
      layersSent: this.#layers,
      layersSkipped: arrived ? Math.max(0, layerCount(image) - this.#layers) : 0,
      ...readWords(this.#readBy),
      startedAt: Math.max(0, Math.round(startedAt - this.#plannedAt)) / 1000,
      seconds: (this.tookMs ?? 0) / 1000,
      phases: this.#phases.seconds(this.tookMs ?? 0),
      kept: kept ?? 0,
      error: error ? tellError(error) : null,
      ...(pushed && { pushed: pushed.map(pushedRef) }),
    } as const;
  }
}

function pushedRef({ target, digest, warning, error }: Pushed): PushedRef {
  return {
    ref: target,
    digest: digest ?? null,
    warning: warning ?? null,
    error: error ? tellError(error) : null,
  };
}

/** The part that was waited for longest between two looks; null where this process itself was busy for most of it. */
export function longestWait(before: Waits, now: Waits, elapsedMs: number): keyof Waits | null {
  let longest: keyof Waits | null = null;
  let longestMs = elapsedMs * WAIT_SHARE_MIN;
  for (const part of ['save', 'compress', 'network', 'load', 'ownLimit', 'peerLimit'] as const) {
    const ms = (now[part] ?? 0) - (before[part] ?? 0);
    if (ms > longestMs) {
      longest = part;
      longestMs = ms;
    }
  }
  return longest;
}
