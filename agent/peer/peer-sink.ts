/** The other host as a sink: offers images, sends their blobs on a lane, and takes its word on what became of them. */
import { Compressor } from '../../proto/compression.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import type { Lane } from '../../proto/lane.ts';
import {
  type AnsweredImage,
  KEEPS_IDS,
  type Message,
  type MessageOf,
  PLACES,
  type Result,
} from '../../proto/messages.ts';
import type { ProgressEvent } from '../model/events.ts';
import type {
  Answer,
  Blob,
  Committed,
  Image,
  ImageWriter,
  Incomplete,
  PushProgress,
  Retry,
  Sink,
  Store,
  Waits,
} from '../model/image.ts';
import { type Awaited, awaited } from '../streams/awaited.ts';
import { fromWire, toWire } from './failure.ts';
import { LevelPolicy } from './level.ts';
import { checkPushed, pushedFromWire } from './pushed.ts';
import { measureRate } from './rate.ts';
import type { Session } from './session.ts';
import { fromWireName, notOffered, offeredOnly, toAnswer, toOffer, whyNotOffered } from './wire-images.ts';

export interface PeerSinkOptions {
  readonly session: Session;
  readonly openLane: (lane: number) => Promise<Lane>;
  /** A zstd level; absent: it follows the link. */
  readonly level?: number;
  /** Nothing is sent and no results are due: the session ends with the plan. */
  readonly planOnly?: boolean;
  /** The other side has been asked to push, and owes word of each name. */
  readonly pushes?: boolean;
}

/** What the other side is asked to answer. */
interface Question {
  readonly images: readonly Image[];
  readonly answers: AnsweredImage[];
  readonly answered: Awaited<true>;
}

export class PeerSink implements Sink {
  readonly store: Store | undefined;
  readonly #session: Session;
  readonly #planOnly: boolean;
  readonly #pushes: boolean;
  readonly #openLane: (lane: number) => Promise<Lane>;
  readonly #policy: LevelPolicy;
  readonly #compressor = new Compressor();
  #question: Question | undefined;
  /** Of a receiver whose images are there only at the end. */
  readonly finish?: () => Promise<void>;
  #finishSaid = false;
  readonly #placed = awaited<MessageOf<'placed'>>();
  readonly #results = new Map<number, Awaited<Result>>();
  /** Images whose end has been sent, and what the other side may ask for again. */
  readonly #ends = new Map<number, Awaited<Incomplete>>();
  /** Bytes that the other side has loaded, by image. */
  readonly #loaded = new Map<number, number>();
  /** How far the other side is with a push, by image. */
  readonly #pushing = new Map<number, PushProgress>();
  /** Bytes that would stay there, by image. */
  readonly #kept = new Map<number, number>();
  /** Until it says otherwise, the other side is taken to keep up. */
  #readerWaits = true;
  #offered: readonly Image[] = [];
  /** Of the offered images, as they go over the wire. */
  #numbers: ReadonlyMap<Image, number> = new Map();
  #rate: number | undefined;
  #lane: Lane | undefined;

  constructor({ session, openLane, level, planOnly = false, pushes = false }: PeerSinkOptions) {
    this.store = session.peer.capabilities.includes(KEEPS_IDS) ? undefined : session.peer.engine.store;
    this.#session = session;
    this.#planOnly = planOnly;
    this.#pushes = pushes;
    if (session.peer.capabilities.includes(PLACES)) this.finish = () => this.#finish();
    this.#openLane = openLane;
    this.#policy = new LevelPolicy(level, () => ({
      socketMs: this.#lane?.waits.socketMs ?? 0,
      readerWaits: this.#readerWaits,
    }));
    void session.run((message) => this.#receive(message)).then(() => this.#ended());
    session.signal.addEventListener('abort', () => this.#lost(toImgmvError(session.signal.reason)), {
      once: true,
    });
  }

  async plan(images: readonly Image[]): Promise<readonly Answer[]> {
    // What is tried again has been asked by `retry`.
    const reasons = this.#question ? [] : images.map((image) => whyNotOffered(image));
    this.#question ??= await this.#offer(images.filter((_, at) => reasons[at] === undefined));
    const { images: asked, answers, answered } = this.#question;
    const places = new Map(asked.map((image, at) => [image, at]));
    await answered.promise;
    if (this.#planOnly) this.#rate = await measureRate(this.#session);
    try {
      return images.map((image, number) => {
        const at = places.get(image);
        if (at === undefined) return notOffered(image, reasons[number]);
        return toAnswer(image, this.#numberOf(image), answers[at], this.#session.peer.name);
      });
    } catch (error) {
      this.#session.fail(toImgmvError(error));
      throw error;
    }
  }

  async #offer(images: readonly Image[]): Promise<Question> {
    this.#offered = images;
    this.#numbers = new Map(images.map((image, number) => [image, number]));
    const question = this.#ask(images);
    await this.#session.control.sendList({ type: 'offer', images: images.map(toOffer), last: true });
    return question;
  }

  async retry({ images, attempt, waitMs }: Retry): Promise<void> {
    const numbers = images.map((image) => this.#numberOf(image));
    // Where an image failed here first, the other side still owes the result of that try.
    await Promise.all(numbers.map((number) => this.#results.get(number)?.promise));
    this.#ask(images);
    await this.#session.send({ type: 'retry', images: numbers, attempt, waitMs });
  }

  #ask(images: readonly Image[]): Question {
    const question = { images, answers: [], answered: awaited<true>() };
    this.#question = question;
    if (!this.#planOnly) for (const image of images) this.#results.set(this.#numberOf(image), awaited());
    return question;
  }

  #numberOf(image: Image): number {
    const number = this.#numbers.get(image);
    if (number === undefined) throw new ImgmvError('internal', 'an image that was not offered');
    return number;
  }

  /** Of the link, in bytes a second; known after a plan that is the whole run. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** Tells the other side what this one waits for. */
  report({ id, phase, bytes, bottleneck }: ProgressEvent): void {
    const image = this.#offered.findIndex((one) => one.id === id);
    if (image < 0 || phase !== 'transfer' || this.#session.signal.aborted) return;
    this.#session
      .send({ type: 'progress', image, phase, bytes, ...(bottleneck !== null && { bottleneck }) })
      .catch((error: unknown) => this.#session.fail(toImgmvError(error)));
  }

  async writer(answer: Answer): Promise<ImageWriter> {
    const number = this.#numberOf(answer.image);
    const result = this.#results.get(number) as Awaited<Result>;
    if (answer.action === 'present')
      return {
        write: refuseBlob,
        commit: () => this.#outcome(number, result),
        loadedBytes: () => 0,
        pushing: () => this.#pushing.get(number),
        keptBytes: () => 0,
        abort: async () => {},
      };
    const lane = await this.#blobLane();
    const entries = new EntryWriter(lane, this.#compressor);
    let blobs = 0;
    let ended = false;
    return {
      write: async (blob) => {
        await entries.blob(
          number,
          untilSettled(blob, () => this.#failureOf(result)),
          () => this.#policy.level(),
        );
        blobs++;
      },
      commit: async () => {
        const again = awaited<Incomplete>();
        this.#ends.set(number, again);
        ended = true;
        await entries.end(number, blobs, true);
        const outcome = this.#outcome(number, result);
        const end = await Promise.race([outcome, again.promise]);
        if ('missing' in end) {
          // The next round counts its own; a session that ends meanwhile is told by what it does next.
          outcome.catch(() => {});
          ended = false;
          blobs = 0;
        }
        return end;
      },
      loadedBytes: () => this.#loaded.get(number) ?? 0,
      pushing: () => this.#pushing.get(number),
      keptBytes: () => this.#kept.get(number) ?? 0,
      abort: async (error) => {
        // A session that is lost has no lane to end the image on; the other side knows by itself.
        if (ended || this.#session.signal.aborted) return;
        try {
          if (!result.value)
            await this.#session.send({ type: 'failed', image: number, error: toWire(error) });
          await entries.end(number, blobs, false);
        } catch (broken) {
          this.#session.fail(toImgmvError(broken));
        }
      },
    };
  }

  /** The other side waits for this lane: without it there is no session. */
  async #blobLane(): Promise<Lane> {
    try {
      this.#lane ??= await this.#openLane(1);
      return this.#lane;
    } catch (error) {
      this.#session.fail(toImgmvError(error));
      throw error;
    }
  }

  waits(): Waits {
    const { socketMs = 0, creditMs = 0 } = this.#lane?.waits ?? {};
    return { network: socketMs, load: creditMs, compress: this.#compressor.busyMs };
  }

  async #finish(): Promise<void> {
    await this.#sayFinish();
    const { error } = await this.#placed.promise;
    if (error) throw fromWire(error, this.#session.peer.name);
  }

  /** Tells the other side that this one has all results. */
  async #sayFinish(): Promise<void> {
    if (this.#finishSaid) return;
    this.#finishSaid = true;
    await this.#session.send({ type: 'finish' });
  }

  /** Ends the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.signal.aborted) return;
    await this.#sayFinish().catch((error: unknown) => this.#session.fail(toImgmvError(error)));
    await this.#session.finish();
  }

  /** The results are in and the other side has ended: nothing is lost any more. */
  async #outcome(number: number, result: Awaited<Result>): Promise<Committed> {
    const { status, targetId, refs, pushed, pushMs } = await result.promise;
    const failure = this.#failureOf(result);
    if (failure) throw failure;
    if ((status !== 'loaded' && status !== 'present') || targetId === undefined)
      throw violation(`image ${number} is ${status} without an error`);
    return {
      targetId,
      refs: refs.map(({ replaced, ...name }) => ({
        ...fromWireName(this.#offered[number], name),
        ...(replaced !== undefined && { replaced }),
      })),
      ...(pushed && { pushed: pushedFromWire(pushed, this.#session.peer.name) }),
      ...(pushMs !== undefined && { pushMs }),
    };
  }

  /** The failure that the other side has told of this image, as soon as it has. */
  #failureOf({ value }: Awaited<Result>): ImgmvError | undefined {
    return value?.error && fromWire(value.error, this.#session.peer.name);
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'answer':
        return this.#receiveAnswer(message);
      case 'progress':
        this.#kept.set(message.image, message.kept ?? 0);
        if (message.phase === 'push') {
          const { image, bytes, bytesTotal = 0 } = message;
          this.#pushing.set(image, { bytes, bytesTotal });
        } else if (message.phase === 'load') this.#loaded.set(message.image, message.bytes);
        else this.#readerWaits = message.bottleneck !== undefined && message.bottleneck !== 'load';
        return;
      case 'again': {
        const end = this.#ends.get(message.image);
        const layers = this.#offered[message.image]?.layers;
        if (!end || this.#results.get(message.image)?.value)
          throw violation(`image ${message.image} asked for again`);
        this.#ends.delete(message.image);
        return end.resolve({ missing: offeredOnly(message.missing, layers) });
      }
      case 'result': {
        const result = this.#results.get(message.image);
        if (!result || result.value) throw violation(`a result for image ${message.image}`);
        for (const name of message.refs) fromWireName(this.#offered[message.image], name);
        checkPushed(message, this.#pushes);
        this.#kept.set(message.image, message.kept ?? 0);
        return result.resolve(message);
      }
      case 'placed':
        if (!this.finish || !this.#finishSaid || this.#placed.value) throw violation('placed out of place');
        return this.#placed.resolve(message);
      default:
        throw violation(`a receiver sent ${message.type}`);
    }
  }

  #receiveAnswer({ images, last }: MessageOf<'answer'>): void {
    const { images: asked = [], answers, answered } = this.#question ?? {};
    if (!answers || answers.length + images.length > asked.length)
      throw violation('more answers than were asked for');
    answers.push(...images);
    if (last) answered?.resolve(true);
  }

  /** The other side's END: whoever still waits for a word of it would wait for ever. */
  #ended(): void {
    const results = [...this.#results.values()].some(({ value }) => value === undefined);
    const owed = results || (this.finish !== undefined && !this.#planOnly && !this.#placed.value);
    if (owed || !this.#question?.answered.value)
      this.#session.fail(violation('a receiver ended its control lane and owes its answer or results'));
  }

  #lost(error: ImgmvError): void {
    this.#question?.answered.reject(error);
    this.#placed.reject(error);
    for (const result of this.#results.values()) result.reject(error);
  }
}

function refuseBlob(): Promise<never> {
  return Promise.reject(new ImgmvError('internal', 'a blob of an image that is present'));
}

/** Stops a body as soon as the other side has given the image up: the rest would go for nothing. */
function untilSettled(blob: Blob, failure: () => ImgmvError | undefined): Blob {
  const body = async function* () {
    for await (const chunk of blob.body) {
      const failed = failure();
      if (failed) throw failed;
      yield chunk;
    }
  };
  return { ...blob, body: body() };
}
