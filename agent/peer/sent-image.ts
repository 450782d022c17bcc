/** One image that was offered to the other host: what it says of it, and the way in. */
import { type Deferred, deferred } from '../../proto/deferred.ts';
import type { EncodedBlob } from '../../proto/entry-body.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import { type ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import type { Lane } from '../../proto/lane.ts';
import type { MessageOf, Result } from '../../proto/messages.ts';
import type { Blob, Image } from '../model/image.ts';
import {
  ALL_PUSHABLE,
  type Answer,
  type Committed,
  type ImageWriter,
  type Incomplete,
  type Planned,
  type Push,
  type PushProgress,
  presentWriter,
  refused,
} from '../model/sink.ts';
import { tap } from '../streams/tap.ts';
import { fromWire, toWire } from './failure.ts';
import { checkPushed, checkPushes, pushedFromWire } from './pushed.ts';
import type { Session } from './session.ts';
import { fromWireName, offeredOnly } from './wire-images.ts';

export interface Sending {
  readonly session: Session;
  /** What a blob becomes before it goes onto the lane. */
  readonly encode: (blob: Blob) => EncodedBlob;
  /** The lane for blobs; the same for all. */
  readonly lane: () => Promise<Lane>;
  /** Milliseconds since the offer: nothing can have taken the other side longer. */
  readonly sinceOffer: () => number;
}

export class SentImage {
  readonly image: Image;
  readonly number: number;
  readonly #sending: Sending;
  /** Undefined while nothing is owed. */
  #result: Deferred<Result> | undefined;
  #pushed = deferred<MessageOf<'pushed'>>();
  /** Its end has been sent, and the other side may ask for layers again. */
  #again: Deferred<Incomplete> | undefined;
  /** Bytes that the other side has loaded, and that would stay there; and how far it is with a push. */
  #loaded = 0;
  #kept = 0;
  #push: PushProgress = { bytes: 0, bytesTotal: 0 };
  #tookMs: number | undefined;
  /** One a try. */
  readonly #entries: EntryWriter[] = [];

  constructor(image: Image, number: number, sending: Sending) {
    this.image = image;
    this.number = number;
    this.#sending = sending;
  }

  /** From here on a result is owed, of this try. */
  begin(): void {
    this.#result = deferred();
    this.#pushed = deferred();
    this.#again = undefined;
    this.#tookMs = undefined;
  }

  /** Bytes of its entries so far, over all tries. */
  get wireBytes(): number {
    return this.#entries.reduce((sum, { wireBytes }) => sum + wireBytes, 0);
  }

  get owed(): boolean {
    const result = this.#result?.value;
    return this.#result !== undefined && (!result || (result.pushes === true && !this.#pushed.value));
  }

  /** Resolves when the try that has begun has its result. */
  async settled(): Promise<void> {
    await this.#result?.promise;
  }

  planned(answer: Answer): Planned {
    const { action } = answer;
    if (action === 'refuse') return refused({ ...answer, action });
    const tookMs = () => this.#tookMs;
    if (action === 'present')
      return { answer, open: async () => presentWriter(() => this.#outcome()), tookMs };
    return { answer, open: () => this.#open(), tookMs };
  }

  async #open(): Promise<ImageWriter> {
    const { lane, session } = this.#sending;
    // Its first byte may be seconds away, and the other side can only know from here what it waits for.
    void session.tell({
      type: 'progress',
      item: this.number,
      phase: 'transfer',
      bytes: 0,
      bottleneck: 'save',
    });
    return this.#writer(await lane());
  }

  #writer(lane: Lane): ImageWriter {
    const { encode, session } = this.#sending;
    const entries = new EntryWriter(lane);
    this.#entries.push(entries);
    const { number } = this;
    let blobs = 0;
    let ended = false;
    return {
      write: async (blob) => {
        await entries.blob(number, encode(this.#untilFailed(blob)));
        blobs++;
      },
      commit: async () => {
        const again = deferred<Incomplete>();
        this.#again = again;
        ended = true;
        await entries.end(number, blobs, true);
        const outcome = this.#outcome();
        const end = await Promise.race([outcome, again.promise]);
        if ('missing' in end) {
          // The next round counts its own; a session that ends meanwhile is told by what it does next.
          outcome.catch(() => {});
          ended = false;
          blobs = 0;
        }
        return end;
      },
      loadedBytes: () => this.#loaded,
      keptBytes: () => this.#kept,
      abort: async (error) => {
        // A session that is lost has no lane to end the image on; the other side knows by itself.
        if (ended || session.signal.aborted) return;
        try {
          if (!this.#result?.value)
            await session.send({ type: 'failed', item: number, error: toWire(error) });
          await entries.end(number, blobs, false);
        } catch (broken) {
          session.fail(toImgmvError(broken));
        }
      },
    };
  }

  async #outcome(): Promise<Committed> {
    const result = await (this.#result as Deferred<Result>).promise;
    const failure = this.#failure;
    if (failure) throw failure;
    const { status, targetId, names: given, pushes } = result;
    if ((status !== 'loaded' && status !== 'present') || targetId === undefined)
      throw violation(`image ${this.number} is ${status} without an error`);
    const named = given.map(({ replaces, ...name }) => ({
      ...fromWireName(this.image, name),
      replaced: replaces,
    }));
    const names = named.length > 0 ? named.map(({ target }) => target) : [targetId];
    const push = pushes ? this.#pushOf(names) : undefined;
    return { targetId, refs: named, pushable: ALL_PUSHABLE, push };
  }

  /** Of what the other side could not tell any more nobody knows whether it was pushed. */
  #pushOf(names: readonly string[]): Push {
    const { name } = this.#sending.session.peer;
    const done = this.#pushed.promise.then(
      ({ pushed }) => pushedFromWire(pushed, name),
      (error: unknown) => names.map((target) => ({ target, error: toImgmvError(error) })),
    );
    return { done, progress: () => this.#push };
  }

  /** The failure that the other side has told, as soon as it has. */
  get #failure(): ImgmvError | undefined {
    const error = this.#result?.value?.error;
    return error && fromWire(error, this.#sending.session.peer.name);
  }

  /** Stops a body as soon as the other side has given the image up: the rest would go for nothing. */
  #untilFailed(blob: Blob): Blob {
    const body = tap(blob.body, () => {
      const failure = this.#failure;
      if (failure) throw failure;
    });
    return { ...blob, body };
  }

  /** What the other side says of it. Each throws protocol-violation for what is out of place. */
  told({ phase, bytes, bytesTotal = 0, kept = 0 }: MessageOf<'progress'>): void {
    this.#kept = kept;
    if (phase === 'push') this.#push = { bytes, bytesTotal };
    if (phase === 'load') this.#loaded = bytes;
  }

  askedAgain({ missing }: MessageOf<'again'>): void {
    const again = this.#again;
    if (!again || this.#result?.value) throw violation(`image ${this.number} asked for again`);
    this.#again = undefined;
    again.resolve({ missing: offeredOnly(missing, this.image.layers) });
  }

  /** `pushes`: the other side was asked to push, and owes word of that. */
  ended(result: Result, pushes: boolean): void {
    if (!this.#result || this.#result.value) throw violation(`a result for image ${this.number}`);
    for (const name of result.names) fromWireName(this.image, name);
    checkPushes(result, pushes);
    this.#kept = result.kept ?? 0;
    this.#took(result);
    this.#result.resolve(result);
  }

  pushed(message: MessageOf<'pushed'>): void {
    const result = this.#result?.value;
    if (!result?.pushes || this.#pushed.value)
      throw violation(`news of a push of image ${this.number} that is not under way`);
    checkPushed(message, result);
    this.#took(message);
    this.#pushed.resolve(message);
  }

  #took({ imageMs }: Pick<Result, 'imageMs'>): void {
    if (imageMs !== undefined) this.#tookMs = Math.min(imageMs, this.#sending.sinceOffer());
  }

  lost(error: ImgmvError): void {
    this.#result?.reject(error);
    this.#pushed.reject(error);
  }
}
