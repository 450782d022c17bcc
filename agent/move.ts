/**
 * A move: source to sink, image by image, the same for every pair of ends. It plans, copies, settles each
 * image, and tells what happens as events; it never prints and knows neither docker nor the network.
 */
import { ImgmvError, toImgmvError } from '../proto/errors.ts';
import type { Emit, PlanImage, PlanLayer } from './events.ts';
import {
  type Answer,
  type Blob,
  type Bottleneck,
  bytesToCome,
  type Committed,
  type Image,
  type ImageWriter,
  type LayerBlob,
  type Outcome,
  type Platform,
  type Sink,
  type Source,
  type Store,
  type Waits,
} from './image.ts';

const PROGRESS_INTERVAL_MS = 500;
const BOTTLENECK_SHARE_MIN = 0.3;
/** How often layers may be asked for again. */
const ROUNDS_MAX = 3;

export interface MoveOptions {
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** Bytes on the wire so far, both ways; 0 where there is no wire. */
  readonly wireBytes: () => number;
  /** Ends with the plan: no blob is asked for, no image settled. */
  readonly planOnly?: boolean;
}

export interface Ledger {
  readonly outcomes: readonly Outcome[];
  /** Exit status that the run earned. */
  readonly exit: number;
}

/** Moves all that `source` offers. Throws for what ends the whole run; the failure of one image is an outcome. */
export async function move(source: Source, sink: Sink, options: MoveOptions): Promise<Ledger> {
  const { signal, emit } = options;
  const started = performance.now();
  const images = await source.images();
  const answers = await sink.plan(images);
  await source.planned(answers);
  const planOnly = options.planOnly ?? false;
  emit({
    event: 'plan',
    images: answers.map((answer) => planImage(answer, sink.store, planOnly)),
    only: planOnly,
  });
  const outcomes: Outcome[] = planOnly
    ? answers.filter(({ action }) => action === 'refuse').map(refusal)
    : [];
  let bytes = 0;
  const sending = answers.filter(({ action }) => action === 'send');
  for (const answer of planOnly ? [] : answers) {
    // While this one is loaded, the engine at the source can get the next one ready.
    const next = answer.action === 'send' ? sending[sending.indexOf(answer) + 1] : undefined;
    const copy = new Copy(source, sink, answer, options, () => {
      if (next) source.prepare?.(next.image, next.missing, signal);
    });
    const outcome = await copy.run();
    bytes += copy.bytes;
    outcomes.push(outcome);
    await source.settled(outcome);
    emit(imageEvent(outcome, copy));
  }
  const partly = planOnly && outcomes.length > 0 && outcomes.length < answers.length;
  const earned = partly ? new ImgmvError('partial', '').exit : exitOf(outcomes);
  const exit = signal.aborted ? toImgmvError(signal.reason).exit : earned;
  emit({
    event: 'done',
    images: answers.length,
    failed: outcomes.filter((outcome) => outcome.error !== undefined).length,
    bytes,
    wireBytes: options.wireBytes(),
    seconds: secondsSince(started),
    exit,
  });
  return { outcomes, exit };
}

/** When all fail alike that code, 17 when they differ. */
export function exitOf(outcomes: readonly Outcome[]): number {
  const exits = new Set(outcomes.map((outcome) => outcome.error?.exit ?? 0));
  return exits.size > 1 ? new ImgmvError('partial', '').exit : ([...exits][0] ?? 0);
}

/** One image of a move, with its counters. */
class Copy {
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #answer: Answer;
  readonly #options: MoveOptions;
  readonly #started = performance.now();
  readonly #wireBefore: number;
  /** Called when all blobs of a round have been taken. */
  readonly #onSent: () => void;
  bytes = 0;
  layers = 0;
  /** Set once all bytes are in. */
  #committing: ImageWriter | undefined;

  constructor(source: Source, sink: Sink, answer: Answer, options: MoveOptions, onSent: () => void) {
    this.#source = source;
    this.#sink = sink;
    this.#answer = answer;
    this.#options = options;
    this.#onSent = onSent;
    this.#wireBefore = options.wireBytes();
  }

  get seconds(): number {
    return secondsSince(this.#started);
  }

  get wireBytes(): number {
    return this.#options.wireBytes() - this.#wireBefore;
  }

  async run(): Promise<Outcome> {
    const { image, action, refs } = this.#answer;
    if (action === 'refuse') return refusal(this.#answer);
    const { signal } = this.#options;
    const stopProgress = this.#reportProgress();
    try {
      signal.throwIfAborted();
      const writer = await this.#sink.writer(this.#answer, signal);
      try {
        const { targetId, refs: set } = await this.#moved(writer);
        return { image, status: action === 'present' ? 'present' : 'loaded', targetId, refs: set };
      } catch (error) {
        await writer.abort(toImgmvError(signal.aborted ? signal.reason : error));
        throw error;
      }
    } catch (error) {
      return { image, status: 'failed', refs, error: toImgmvError(signal.aborted ? signal.reason : error) };
    } finally {
      stopProgress();
    }
  }

  /** Again and again while the sink finds layers gone that it had counted on, within reason. */
  async #moved(writer: ImageWriter): Promise<Committed> {
    const { image, action, missing } = this.#answer;
    let wanted = missing;
    for (let round = 0; ; round++) {
      if (action === 'send')
        for await (const blob of this.#source.blobs(image, wanted, this.#options.signal))
          await writer.write(this.#counted(blob));
      this.#committing = writer;
      this.#onSent();
      const end = await writer.commit();
      if ('targetId' in end) return end;
      this.#committing = undefined;
      wanted = end.missing;
      if (round === ROUNDS_MAX)
        throw new ImgmvError(
          'engine-refused',
          `layers of the image vanish on the target as fast as they come: ${wanted.length} are gone again`,
          { hint: 'does something prune images there?' },
        );
    }
  }

  #counted(blob: Blob): Blob {
    if (blob.kind === 'layer') this.layers++;
    const count = (bytes: number) => {
      this.bytes += bytes;
    };
    const body = async function* () {
      for await (const chunk of blob.body) {
        count(chunk.length);
        yield chunk;
      }
    };
    return { ...blob, body: body() };
  }

  #reportProgress(): () => void {
    const { emit } = this.#options;
    const { image, refs } = this.#answer;
    let before = { bytes: 0, at: performance.now(), waits: this.#waits() };
    const timer = setInterval(() => {
      const now = { bytes: this.bytes, at: performance.now(), waits: this.#waits() };
      const loading = this.#committing;
      emit({
        event: 'progress',
        id: image.id,
        refs,
        phase: loading ? 'load' : 'transfer',
        bytes: loading ? loading.loadedBytes() : this.bytes,
        bytesTotal: Math.max(bytesMissing(this.#answer), this.bytes),
        wireBytes: this.wireBytes,
        rate: Math.round(((now.bytes - before.bytes) * 1000) / (now.at - before.at)),
        bottleneck: loading ? 'load' : bottleneck(before.waits, now.waits, now.at - before.at),
      });
      before = now;
    }, PROGRESS_INTERVAL_MS);
    return () => clearInterval(timer);
  }

  #waits(): Waits {
    return { ...this.#source.waits(), ...this.#sink.waits() };
  }
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

export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/');
}

/** How many layers the source has, as far as it knows. */
function layerCount({ layers, diffIds }: Image): number {
  return layers?.length ?? diffIds.length;
}

function layersMissing({ image, action, missing }: Answer): number {
  return action === 'send' ? (missing?.length ?? layerCount(image)) : 0;
}

function bytesMissing({ image, action, missing }: Answer): number {
  return action === 'send' ? bytesToCome(image, missing) : 0;
}

function refusal({ image, refs, reason }: Answer): Outcome {
  const error = new ImgmvError('refused', reason ?? 'the receiver refused it');
  return { image, status: 'refused', refs, error };
}

function planImage(answer: Answer, store: Store, withLayers: boolean): PlanImage {
  const { image, action, reason, warning, refs } = answer;
  return {
    id: image.id,
    platform: platformName(image.platform),
    refs: refs.map(({ source, target, replaces }) => ({ source, target, replaces: replaces ?? null })),
    action,
    reason: reason ?? null,
    warning: warning ?? null,
    layers: layerCount(image),
    layersMissing: layersMissing(answer),
    bytes: image.bytes,
    bytesMissing: bytesMissing(answer),
    idChange:
      image.store === store ? null : `${image.store} store at the source, ${store} store at the target`,
    ...(withLayers && image.layers && { layerList: layerList(answer, image.layers) }),
  };
}

function layerList({ action, missing }: Answer, layers: readonly LayerBlob[]): readonly PlanLayer[] {
  const wanted = missing && new Set(missing);
  return layers.map(({ digest, size }) => ({
    digest,
    bytes: size,
    missing: action === 'send' && (wanted?.has(digest) ?? true),
  }));
}

function imageEvent(outcome: Outcome, copy: Copy) {
  const { image, status, targetId, refs, error } = outcome;
  return {
    event: 'image',
    id: image.id,
    platform: platformName(image.platform),
    refs: refs.map(({ source, target, replaced }) => ({ source, target, replaced: replaced ?? null })),
    status,
    targetId: targetId ?? null,
    bytes: copy.bytes,
    wireBytes: copy.wireBytes,
    layersSent: copy.layers,
    layersSkipped:
      status === 'present' || status === 'loaded' ? Math.max(0, layerCount(image) - copy.layers) : 0,
    seconds: copy.seconds,
    error: error ? { code: error.code, message: error.message, hint: error.hint ?? null } : null,
  } as const;
}

function secondsSince(started: number): number {
  return Math.round(performance.now() - started) / 1000;
}
