/** One image on its way from a source to a sink, from its first blob to what became of it; with its counters. */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Emit, PushedRef } from '../model/events.ts';
import type {
  Answer,
  Blob,
  Bottleneck,
  Committed,
  Digest,
  Image,
  ImageWriter,
  Incomplete,
  Outcome,
  Pushed,
  Sink,
  Source,
  Waits,
} from '../model/image.ts';
import { bytesMissing, layerCount, platformName, refusal } from '../model/plan.ts';
import { Phases } from './phases.ts';

const PROGRESS_INTERVAL_MS = 500;
const BOTTLENECK_SHARE_MIN = 0.3;
/** How often layers may be asked for again. */
const ROUNDS_MAX = 3;

export interface CopyOptions {
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** Bytes on the wire so far, both ways; 0 where there is no wire. */
  readonly wireBytes: () => number;
}

/**
 * Takes turns: `travel`, then `commit`, and both again while the sink finds layers gone that it had counted
 * on. What is under way ends by an outcome; neither method throws.
 */
export class Copy {
  readonly answer: Answer;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #options: CopyOptions;
  /** The try before this one. */
  readonly #before: Copy | undefined;
  #writer: ImageWriter | undefined;
  #wanted: readonly Digest[] | undefined;
  #rounds = 0;
  #bytes = 0;
  #layers = 0;
  /** Of the rounds that are over. */
  #wireBytes = 0;
  /** Counter at the start of the round that goes on. */
  #wireBefore: number | undefined;
  #startedAt: number | undefined;
  readonly #phases = new Phases();
  #committing = false;
  #progress: NodeJS.Timeout | undefined;
  #outcome: Outcome | undefined;

  constructor(source: Source, sink: Sink, answer: Answer, options: CopyOptions, before?: Copy) {
    this.#source = source;
    this.#sink = sink;
    this.answer = answer;
    this.#options = options;
    this.#before = before;
    this.#wanted = answer.missing;
  }

  get image(): Image {
    return this.answer.image;
  }

  /** Undefined while it is under way, or waits for its turn. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** Whether it has had a turn. */
  get begun(): boolean {
    return this.#startedAt !== undefined;
  }

  /** Uncompressed bytes that were moved, in all tries. */
  get bytes(): number {
    return this.#tries.reduce((sum, copy) => sum + copy.#bytes, 0);
  }

  /** This one last. */
  get #tries(): readonly Copy[] {
    return [...(this.#before ? this.#before.#tries : []), this];
  }

  /** Brings the wanted blobs to the sink. `onFirstBlob` is called when the source has begun to give. */
  async travel(onFirstBlob: () => void): Promise<void> {
    this.#begin();
    const { signal, wireBytes } = this.#options;
    this.#wireBefore = wireBytes();
    this.#phases.enter('transfer');
    try {
      signal.throwIfAborted();
      this.#writer ??= await this.#sink.writer(this.answer, signal);
      if (this.answer.withdrawn) throw refusal(this.answer);
      let blobs = 0;
      for await (const blob of this.#source.blobs(this.image, this.#wanted, signal)) {
        if (blobs++ === 0) onFirstBlob();
        await this.#writer.write(this.#counted(blob));
      }
    } catch (error) {
      await this.fail(error);
    } finally {
      this.#phases.leave();
      this.#wireBytes += wireBytes() - this.#wireBefore;
      this.#wireBefore = undefined;
    }
  }

  /** Without an outcome afterwards it has to travel again. */
  async commit(): Promise<void> {
    try {
      // Before anything is waited for: the peer's end of this image must go out before the next image's blobs.
      await this.#commit(this.#writer as ImageWriter);
    } catch (error) {
      await this.fail(error);
    }
  }

  /** For what does not travel: it is there already, or it was refused. */
  async settle(): Promise<void> {
    this.#begin();
    const { signal } = this.#options;
    try {
      if (this.answer.action === 'refuse') throw refusal(this.answer);
      signal.throwIfAborted();
      this.#writer = await this.#sink.writer(this.answer, signal);
      await this.#commit(this.#writer);
    } catch (error) {
      await this.fail(error);
    }
  }

  /** Ends it; what stops the whole run is the better reason. */
  async fail(error: unknown): Promise<void> {
    const { signal } = this.#options;
    const refused = this.answer.action === 'refuse' && this.answer.error === undefined;
    const reason = toImgmvError(signal.aborted && !refused ? signal.reason : error);
    const { image, refs, action } = this.answer;
    // Only what is there and verified is pushed.
    if (this.#writer?.pushing?.() !== undefined) {
      const pushed = refs.map(({ target }) => ({ target, error: reason }));
      const status = action === 'present' ? 'present' : 'loaded';
      const sameId = this.#sink.store === undefined || this.#sink.store === image.store;
      return this.#end({ image, status, refs, pushed, ...(sameId && { targetId: image.id }) });
    }
    await this.#writer?.abort(reason);
    const kept = this.#writer?.keptBytes() ?? 0;
    this.#end({ image, status: refused ? 'refused' : 'failed', refs, error: reason, kept });
  }

  /** It had arrived, and is not there after all: the sink could not finish. */
  undo(error: ImgmvError): void {
    if (this.#outcome?.error) return;
    const { image, refs } = this.answer;
    this.#end({ image, status: 'failed', refs, error });
  }

  async #commit(writer: ImageWriter): Promise<void> {
    const { image, action } = this.answer;
    this.#committing = true;
    this.#phases.enter('load');
    const end = await this.#committed(writer);
    if ('targetId' in end)
      return this.#end({ image, status: action === 'present' ? 'present' : 'loaded', ...end });
    this.#committing = false;
    this.#wanted = end.missing;
    if (this.#rounds++ === ROUNDS_MAX)
      throw new ImgmvError(
        'engine-refused',
        `layers of the image vanish on the target as fast as they come: ${end.missing.length} are gone again`,
        { hint: 'does something prune images on the target?' },
      );
    this.#source.prepare?.(image, end.missing, this.#options.signal);
  }

  async #committed(writer: ImageWriter): Promise<Committed | Incomplete> {
    try {
      const end = await writer.commit();
      if ('pushMs' in end && end.pushMs !== undefined) this.#phases.count('push', end.pushMs);
      return end;
    } finally {
      this.#phases.leave();
    }
  }

  #begin(): void {
    this.#startedAt ??= performance.now();
    this.#progress ??= this.#reportProgress();
  }

  #end(outcome: Outcome): void {
    clearInterval(this.#progress);
    this.#outcome = outcome;
  }

  #counted(blob: Blob): Blob {
    if (blob.kind === 'layer') this.#layers++;
    const count = (bytes: number) => {
      this.#bytes += bytes;
    };
    const body = async function* () {
      for await (const chunk of blob.body) {
        count(chunk.length);
        yield chunk;
      }
    };
    return { ...blob, body: body() };
  }

  #reportProgress(): NodeJS.Timeout {
    const { emit } = this.#options;
    const { image, refs } = this.answer;
    let before = { bytes: 0, pushed: 0, at: performance.now(), waits: this.#waits() };
    let movedAt = before.at;
    return setInterval(() => {
      const pushing = this.#committing ? this.#writer?.pushing?.() : undefined;
      const pushed = pushing?.bytes ?? 0;
      const now = { bytes: this.#bytes, pushed, at: performance.now(), waits: this.#waits() };
      // A load is silent for long; a push is not.
      const loads = this.#committing && !pushing;
      if (now.bytes !== before.bytes || now.pushed !== before.pushed || loads) movedAt = now.at;
      const loading = this.#committing ? this.#writer : undefined;
      // One push ends and the next begins anew.
      const moved = pushing ? Math.max(0, now.pushed - before.pushed) : now.bytes - before.bytes;
      emit({
        event: 'progress',
        id: image.id,
        refs,
        phase: pushing ? 'push' : loading ? 'load' : 'transfer',
        bytes: pushing ? pushing.bytes : loading ? loading.loadedBytes() : this.#bytes,
        bytesTotal: pushing ? pushing.bytesTotal : Math.max(bytesMissing(this.answer), this.#bytes),
        wireBytes: this.#wireSoFar(),
        kept: this.#writer?.keptBytes() ?? 0,
        rate: Math.round((moved * 1000) / (now.at - before.at)),
        bottleneck: pushing
          ? null
          : loading
            ? 'load'
            : bottleneck(before.waits, now.waits, now.at - before.at),
        stalledSeconds: Math.floor((now.at - movedAt) / 1000),
      });
      before = now;
    }, PROGRESS_INTERVAL_MS);
  }

  #wireSoFar(): number {
    const round = this.#wireBefore === undefined ? 0 : this.#options.wireBytes() - this.#wireBefore;
    return this.#wireBytes + round;
  }

  #waits(): Waits {
    return { ...this.#source.waits(), ...this.#sink.waits() };
  }

  /**
   * What is told of it once it has an outcome, with all that the tries before took. `plannedAt` is when the run's
   * plan was told, by performance.now().
   */
  event({ image, status, targetId, refs, error, kept, pushed }: Outcome, plannedAt: number) {
    const arrived = status === 'present' || status === 'loaded';
    const tries = this.#tries;
    const layersSent = tries.reduce((sum, copy) => sum + copy.#layers, 0);
    const startedAt = (tries[0] ?? this).#startedAt ?? performance.now();
    return {
      event: 'image',
      id: image.id,
      platform: platformName(image.platform),
      refs: refs.map(({ source, target, replaced }) => ({ source, target, replaced: replaced ?? null })),
      status,
      targetId: targetId ?? null,
      bytes: this.bytes,
      wireBytes: tries.reduce((sum, copy) => sum + copy.#wireSoFar(), 0),
      layersSent,
      layersSkipped: arrived ? Math.max(0, layerCount(image) - layersSent) : 0,
      startedAt: Math.max(0, Math.round(startedAt - plannedAt)) / 1000,
      seconds: Math.round(performance.now() - startedAt) / 1000,
      phases: Phases.seconds(tries.map((copy) => copy.#phases)),
      kept: kept ?? 0,
      error: error ? told(error) : null,
      ...(pushed && { pushed: pushed.map(pushedRef) }),
    } as const;
  }
}

function told({ code, message, hint }: ImgmvError) {
  return { code, message, hint: hint ?? null };
}

function pushedRef({ target, digest, warning, error }: Pushed): PushedRef {
  return {
    ref: target,
    digest: digest ?? null,
    warning: warning ?? null,
    error: error ? told(error) : null,
  };
}

/** The part that was waited for longest between two looks; null where this process itself was busy for most of it. */
export function bottleneck(before: Waits, now: Waits, elapsedMs: number): Bottleneck | null {
  let longest: Bottleneck | null = null;
  let longestMs = elapsedMs * BOTTLENECK_SHARE_MIN;
  for (const part of ['save', 'compress', 'network', 'load'] as const) {
    const ms = (now[part] ?? 0) - (before[part] ?? 0);
    if (ms > longestMs) {
      longest = part;
      longestMs = ms;
    }
  }
  return longest;
}
