/** The other host as a source: what it offers, the blobs that come on its lane, and the results it waits for. */
import type { EndHeader } from '../../proto/entry.ts';
import { EntryReader, type ReceivedBlob } from '../../proto/entry-reader.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import type { Lane } from '../../proto/lane.ts';
import {
  JOBS_MAX,
  LINGER_MS,
  LINGER_UNHEARD_MS,
  OFFER_IMAGES_MAX,
  OFFER_ITEMS_MAX,
  TEXT_MAX_CHARACTERS,
} from '../../proto/limits.ts';
import {
  type Message,
  type MessageOf,
  type OfferedImage,
  PLACES,
  PUSH,
  type WireFailure,
} from '../../proto/messages.ts';
import type { ProgressEvent } from '../model/events.ts';
import type { Answer, Blob, Digest, Image, Outcome, Retry, Source, Waits } from '../model/image.ts';
import { Discretion, shortId } from './discretion.ts';
import { fromWire, toWire } from './failure.ts';
import { pushedToWire } from './pushed.ts';
import type { Session } from './session.ts';
import { fromOffer, toWireName } from './wire-images.ts';

/** The message of a failed image may come after its end on the lane: another connection. */
const FAILURE_WAIT_MS = 5_000;
const LINGER_CHECK_MS = 1_000;

export class PeerSource implements Source {
  readonly #session: Session;
  readonly #laneComing: Promise<Lane>;
  readonly #offered: OfferedImage[] = [];
  #offeredItems = 0;
  readonly #failures = new Map<number, ImgmvError>();
  #images: readonly Image[] = [];
  #discretion = new Discretion([]);
  #numbers: ReadonlyMap<Image, number> = new Map();
  #lane: Lane | undefined;
  #entries: EntryReader | undefined;
  /** Images that were asked for and whose end has not come on the lane. */
  readonly #due = new Set<number>();
  /** Images whose first entry has come, and which have no outcome yet. */
  readonly #underWay = new Set<number>();
  /** What comes next on the lane, where somebody has asked. */
  #head: Promise<ReceivedBlob | EndHeader | undefined> | undefined;
  #wake: () => void = () => {};
  #offerDone = false;
  /** What the sender wants to try again, until it is looked at; and how many times it has. */
  #retry: MessageOf<'retry'> | undefined;
  #retries = 0;
  #finished = false;
  readonly #waits = { save: 0, compress: 0, network: 0 };
  #waitsSeen = 0;
  /** What the sender says that it waits for. */
  #theirs: 'save' | 'compress' | 'network' = 'network';

  constructor(session: Session, lane: Promise<Lane>) {
    this.#session = session;
    this.#laneComing = lane;
    void session.run((message) => this.#receive(message)).then(() => this.#ended());
    session.signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  async images(): Promise<readonly Image[]> {
    await this.#until(() => this.#offerDone);
    try {
      this.#images = this.#offered.map(fromOffer);
      if (new Set(this.#images.map(({ id }) => id)).size < this.#images.length)
        throw violation('an offer with an image twice');
      this.#discretion = new Discretion(this.#images);
      this.#numbers = new Map(this.#images.map((image, number) => [image, number]));
    } catch (error) {
      this.#session.fail(toImgmvError(error));
      throw error;
    }
    return this.#images;
  }

  async planned(answers: readonly Answer[]): Promise<readonly Answer[]> {
    for (const { image, action } of answers) if (action === 'send') this.#due.add(this.#numberOf(image));
    await this.#session.control.sendList({
      type: 'answer',
      last: true,
      images: answers.map(({ image, action, reason, warning, refs, missing, error }) => ({
        image: this.#numberOf(image),
        action,
        refs: refs.map(({ replaces, push, ...name }) => ({
          ...toWireName(name),
          ...(replaces && { replaces: shortId(replaces) }),
          ...(push && { push }),
        })),
        ...(reason !== undefined && { reason: this.#told(reason) }),
        ...(warning !== undefined && { warning: this.#told(warning) }),
        ...(missing !== undefined && { missing: [...missing] }),
        ...(error && { error: this.#failure(error) }),
      })),
    });
    return answers;
  }

  #told(text: string): string {
    return this.#discretion.text(text).slice(0, TEXT_MAX_CHARACTERS);
  }

  #failure(error: ImgmvError): WireFailure {
    return toWire(this.#discretion.error(error));
  }

  /** Undefined once the sender has said that it is done, or says nothing more. */
  async retry(failed: readonly Image[]): Promise<Retry | undefined> {
    await this.#linger(() => this.#retry !== undefined);
    if (!this.#retry) return undefined;
    const { images: numbers, attempt, waitMs } = this.#retry;
    this.#retry = undefined;
    const mayCome = new Set(failed);
    const images = new Set(numbers.flatMap((number) => this.#images[number] ?? []));
    if (images.size < numbers.length || [...images].some((image) => !mayCome.has(image))) {
      const error = violation('an image is to be tried again that did not fail');
      this.#session.fail(error);
      throw error;
    }
    for (const number of numbers) this.#failures.delete(number);
    return { images: [...images], attempt, waitMs };
  }

  async finished(error: ImgmvError | undefined): Promise<void> {
    const { peer, signal } = this.#session;
    if (signal.aborted || !peer.capabilities.includes(PLACES)) return;
    await this.#session.send({ type: 'placed', ...(error && { error: this.#failure(error) }) });
  }

  #numberOf(image: Image): number {
    const number = this.#numbers.get(image);
    if (number === undefined) throw new ImgmvError('internal', 'an image that was not offered');
    return number;
  }

  /** As the sender's entries come on the lane. */
  async next(): Promise<Image> {
    try {
      const item = await this.#peek();
      if (!item) throw violation('the lane ended before all images did');
      const image = this.#images[item.image];
      if (!image || !this.#due.has(item.image))
        throw violation(`a blob of image ${item.image}, which was not asked for`);
      this.#underWay.add(item.image);
      if (this.#underWay.size > JOBS_MAX)
        throw violation(`${this.#underWay.size} images at once, where ${JOBS_MAX} may be under way`);
      return image;
    } catch (error) {
      this.#session.fail(toImgmvError(error));
      throw error;
    }
  }

  /** The answer has asked for the first round; another one is for what turned out to be missing. */
  prepare(image: Image, wanted: readonly Digest[] | undefined): void {
    const number = this.#numberOf(image);
    if (this.#due.has(number)) return;
    this.#due.add(number);
    this.#session
      .send({ type: 'again', image: number, missing: [...(wanted ?? [])] })
      .catch((error: unknown) => this.#session.fail(toImgmvError(error)));
  }

  async *blobs(
    image: Image,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Blob> {
    const number = this.#numberOf(image);
    this.prepare(image, wanted);
    let blobs = 0;
    for (;;) {
      signal.throwIfAborted();
      const item = await this.#take(number);
      if ('type' in item) {
        this.#due.delete(number);
        if (!item.complete) throw await this.#failureOf(number);
        if (item.blobs !== blobs)
          throw violation(`image ${number} had ${blobs} blobs and ended with ${item.blobs}`);
        return;
      }
      yield { ...item, body: this.#explained(number, item.body) };
      blobs++;
    }
  }

  /** A blob that the other side gave up says only that; why comes as a message. */
  async *#explained(image: number, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    try {
      yield* body;
    } catch (error) {
      if (toImgmvError(error).code === 'peer-stopped') throw await this.#failureOf(image);
      throw error;
    }
  }

  async settled(outcome: Outcome): Promise<void> {
    // The session is lost: the other side knows by itself, and our ledger has the outcome.
    if (this.#session.signal.aborted) return;
    const number = this.#numberOf(outcome.image);
    const { status, targetId, refs, error, kept, pushed, pushMs } = outcome;
    // What was loaded is the sender's own; an image that was here may have a root that the sender has never seen.
    const id = targetId && (status === 'loaded' ? targetId : this.#discretion.id(targetId));
    this.#underWay.delete(number);
    // What broke the protocol on the lane left it where nobody knows what its next byte means.
    if (error?.code === 'protocol-violation' && error.host === undefined) return this.#session.fail(error);
    try {
      await this.#session.send({
        type: 'result',
        image: number,
        status,
        refs: refs.map(({ replaced, ...name }) => ({
          ...toWireName(name),
          ...(replaced && { replaced: shortId(replaced) }),
        })),
        ...(id !== undefined && { targetId: id }),
        ...(error && { error: this.#failure(error) }),
        ...(kept && { kept }),
        ...(pushed && id !== undefined && { pushed: pushedToWire(pushed, targetId, id) }),
        ...(pushMs !== undefined && { pushMs }),
      });
      await this.#skipRest(number);
    } catch (broken) {
      this.#session.fail(toImgmvError(broken));
    }
  }

  /** Tells the other side how far this one is. */
  report({ id, phase, bytes, bytesTotal, kept, bottleneck }: ProgressEvent): void {
    const { peer, signal } = this.#session;
    const image = this.#images.findIndex((one) => one.id === id);
    if (image < 0 || signal.aborted) return;
    if (phase === 'push' && !peer.capabilities.includes(PUSH)) return;
    const total = phase === 'push' ? { bytesTotal } : {};
    this.#session
      .send({ type: 'progress', image, phase, bytes, ...total, kept, ...(bottleneck && { bottleneck }) })
      .catch((error: unknown) => this.#session.fail(toImgmvError(error)));
  }

  /** Nothing on the lane means that the network is slow, or whatever the sender says that it waits for. */
  waits(): Waits {
    const waited = this.#lane?.waits.dataMs ?? 0;
    this.#waits[this.#theirs] += waited - this.#waitsSeen;
    this.#waitsSeen = waited;
    return { ...this.#waits };
  }

  /** Lingers until the sender says that it has all results, then ends by our own ledger. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.signal.aborted) return;
    await this.#linger(() => this.#retry !== undefined).catch(() => {});
    if (this.#retry) return this.#session.fail(violation('images are to be tried again, and none failed'));
    await this.#session.finish();
  }

  /**
   * Waits for `met`, or for the end: the sender has said so, or says nothing more. One that cannot be heard may
   * lack the last result, and be on its way back for it. Throws when the session is lost.
   */
  async #linger(met: () => boolean): Promise<void> {
    const startedAt = performance.now();
    let heardSince = startedAt;
    const timer = setInterval(() => {
      const now = performance.now();
      if (!this.#session.heard) heardSince = now;
      if (now - heardSince < LINGER_MS && now - startedAt < LINGER_UNHEARD_MS) return;
      this.#finished = true;
      this.#wake();
    }, LINGER_CHECK_MS);
    try {
      await this.#until(() => this.#finished || met());
    } finally {
      clearInterval(timer);
    }
  }

  /** What the sender still sends of an image that failed here goes nowhere. */
  async #skipRest(number: number): Promise<void> {
    while (this.#due.has(number)) if ('type' in (await this.#take(number))) this.#due.delete(number);
  }

  /** The next entry on the lane, which must be of this image. */
  async #take(number: number): Promise<ReceivedBlob | EndHeader> {
    const item = await this.#peek();
    this.#head = undefined;
    if (!item) throw violation('the lane ended before the image did');
    if (item.image !== number) throw violation(`a blob of image ${item.image} within image ${number}`);
    return item;
  }

  /** The next entry; the same until it is taken. Undefined at the end of the lane. */
  #peek(): Promise<ReceivedBlob | EndHeader | undefined> {
    this.#head ??= this.#readEntry();
    return this.#head;
  }

  async #readEntry(): Promise<ReceivedBlob | EndHeader | undefined> {
    this.#lane ??= await this.#laneComing;
    this.#entries ??= new EntryReader(this.#lane);
    return this.#entries.next();
  }

  async #failureOf(number: number): Promise<ImgmvError> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, FAILURE_WAIT_MS);
    await this.#until(() => this.#failures.has(number) || late);
    clearTimeout(timer);
    return this.#failures.get(number) ?? new ImgmvError('peer-stopped', 'the other host gave the image up');
  }

  /** Waits for a message to make `met` true. Throws when the session is lost. */
  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      this.#session.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'offer':
        this.#offeredItems += message.images.reduce(
          (sum, { diffIds, names, layers }) => sum + diffIds.length + names.length + (layers?.length ?? 0),
          0,
        );
        if (
          this.#offerDone ||
          this.#offered.length + message.images.length > OFFER_IMAGES_MAX ||
          this.#offeredItems > OFFER_ITEMS_MAX
        )
          throw violation('an offer that is too long');
        this.#offered.push(...message.images);
        this.#offerDone = message.last;
        break;
      case 'failed':
        if (message.image >= this.#offered.length)
          throw violation(`image ${message.image} failed and was not offered`);
        this.#failures.set(message.image, fromWire(message.error, this.#session.peer.name));
        break;
      case 'progress':
        this.#theirs =
          message.bottleneck === 'save' || message.bottleneck === 'compress' ? message.bottleneck : 'network';
        break;
      case 'probe':
        return;
      case 'retry':
        if (this.#finished || this.#retry || message.attempt !== ++this.#retries)
          throw violation(`images are to be tried again, for the ${message.attempt}. time`);
        this.#retry = message;
        break;
      case 'finish':
        this.#finished = true;
        break;
      default:
        throw violation(`a sender sent ${message.type}`);
    }
    this.#wake();
  }

  /** The sender's END. */
  #ended(): void {
    if (!this.#finished || !this.#offerDone)
      this.#session.fail(violation('a sender ended its control lane before it had offered and said finish'));
    this.#wake();
  }
}
