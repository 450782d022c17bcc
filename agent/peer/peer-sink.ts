/** The other host as a sink: offers images, sends their blobs on a lane, and takes its word on what became of them. */
import { Compressor } from '../../proto/compression.ts';
import { type Deferred, deferred } from '../../proto/deferred.ts';
import { encodeBlob } from '../../proto/entry-body.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import type { Lane } from '../../proto/lane.ts';
import {
  type AnsweredItem,
  KEEPS_IDS,
  type Kind,
  type Message,
  type MessageOf,
  PLACES,
} from '../../proto/messages.ts';
import type { Blob, Digest, Image } from '../model/image.ts';
import { unless } from '../model/plan.ts';
import { type Planned, type Retry, refused, type Sink, type SinkFacts } from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import type { Measured } from '../move/ledger.ts';
import type { Progress } from '../move/passage.ts';
import { LevelPolicy } from '../streams/level.ts';
import { onAbort } from '../streams/on-abort.ts';
import { fromWire } from './failure.ts';
import { PeerWaits } from './peer-waits.ts';
import { type LinkRate, measureRate } from './rate.ts';
import { SentImage } from './sent-image.ts';
import type { Session } from './session.ts';
import { requireRoom, toAnswer, toOffer, whyNotOffered } from './wire-images.ts';

export interface PeerSinkOptions {
  readonly session: Session;
  /** A zstd level; absent: it follows the link. */
  readonly level?: number | undefined;
  /** Nothing is sent and no results are due: the session ends with the plan, unless `proceed` is called. */
  readonly planOnly?: boolean;
  /** The other side has been asked to push, and owes word of each name. */
  readonly pushes?: boolean;
}

interface Question {
  readonly asked: readonly SentImage[];
  readonly answers: AnsweredItem[];
  readonly answered: Deferred<true>;
}

/** What the other side may have sent that has not arrived. */
const UNDER_WAY_BYTES = 64 * 1024;

export class PeerSink implements Sink {
  readonly facts: SinkFacts;
  readonly #session: Session;
  #planOnly: boolean;
  /** Why images cannot be offered, by their ids. */
  readonly #withheld = new Map<Digest, string>();
  /** Why nothing is to move after all. */
  #declined: string | undefined;
  readonly #pushes: boolean;
  readonly #policy: LevelPolicy;
  readonly #compressor = new Compressor();
  #question: Question | undefined;
  #finishSaid = false;
  readonly #placed = deferred<MessageOf<'placed'>>();
  /** Until it says otherwise, the other side is taken to keep up. */
  #readerWaits = true;
  readonly #forReader: PeerWaits<'load'>;
  #offered: readonly SentImage[] = [];
  #byId: ReadonlyMap<Digest, SentImage> = new Map();
  #link: LinkRate | undefined;
  #offeredAt = 0;
  #measured: Measured = {};
  #laneComing: Promise<Lane> | undefined;
  #lane: Lane | undefined;

  constructor({ session, level, planOnly = false, pushes = false }: PeerSinkOptions) {
    const { capabilities, engine } = session.peer;
    this.facts = {
      store: capabilities.includes(KEEPS_IDS) ? undefined : engine.store,
      atomic: capabilities.includes(PLACES),
    };
    this.#session = session;
    this.#planOnly = planOnly;
    this.#pushes = pushes;
    this.#forReader = new PeerWaits(session, 'load');
    this.#policy = new LevelPolicy(level, () => {
      const { network = 0, ownLimit = 0, peerLimit = 0 } = this.waits();
      return { linkMs: network + ownLimit + peerLimit, readerWaits: this.#readerWaits };
    });
    void session.run((message) => this.#receive(message)).then(() => this.#ended());
    onAbort(session.signal, () => this.#lost(toImgmvError(session.signal.reason)));
  }

  /** Images that cannot be offered are refused here: the other side does not hear of them. */
  async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    // What is tried again has been asked for by `retrying`.
    const first = this.#question ? [] : images;
    requireRoom(first);
    const { capabilities, name } = this.#session.peer;
    const taken = capabilities.includes('image' satisfies Kind);
    for (const image of first) {
      const reason = taken ? whyNotOffered(image) : `${name} takes no images`;
      if (reason !== undefined) this.#withheld.set(image.id, reason);
    }
    this.#question ??= await this.#offer(images.filter(({ id }) => !this.#withheld.has(id)));
    const { asked, answers, answered } = this.#question;
    await answered.promise;
    if (this.#planOnly && this.#declined === undefined) this.#link = await measureRate(this.#session);
    const places = new Map(asked.map((one, at) => [one, answers[at]]));
    const planned = async () =>
      images.map((image) => {
        const reason = this.#withheld.get(image.id);
        if (reason !== undefined) return refused({ image, action: 'refuse', reason, refs: image.names });
        const sent = this.#sent(image);
        return unless(this.#declined, sent.planned(toAnswer(image, sent.number, places.get(sent), name)));
      });
    return this.#session.during(planned());
  }

  /** After a plan, of a session whose sender asks: all of it is to be done, and planned once more. */
  async proceed(): Promise<void> {
    this.#planOnly = false;
    this.#ask(this.#offered);
    await this.#session.send({ type: 'proceed' });
  }

  get declined(): boolean {
    return this.#declined !== undefined;
  }

  /** In place of `proceed`: what is planned next is refused for this reason, and the other side hears that nothing moves. */
  async decline(reason: string): Promise<void> {
    this.#declined = reason;
    await this.#sayFinish();
  }

  async #offer(images: readonly Image[]): Promise<Question> {
    const sending = {
      session: this.#session,
      encode: (blob: Blob) => encodeBlob(blob, this.#compressor, () => this.#policy.level()),
      lane: () => this.#blobLane(),
      sinceOffer: () => this.#sinceOffer(),
    };
    this.#offeredAt = performance.now();
    this.#offered = images.map((image, number) => new SentImage(image, number, sending));
    this.#byId = new Map(this.#offered.map((sent) => [sent.image.id, sent]));
    const question = this.#ask(this.#offered);
    await this.#session.control.sendList({ type: 'offer', items: images.map(toOffer), last: true });
    return question;
  }

  async retrying({ images, attempt, waitMs }: Retry): Promise<void> {
    const again = images.map((image) => this.#sent(image));
    // Where an image failed here first, the other side still owes the result of that try.
    await Promise.all(again.map((sent) => sent.settled()));
    this.#ask(again);
    await this.#session.send({ type: 'retry', items: again.map(({ number }) => number), attempt, waitMs });
  }

  #ask(asked: readonly SentImage[]): Question {
    const question = { asked, answers: [], answered: deferred<true>() };
    this.#question = question;
    if (!this.#planOnly) for (const sent of asked) sent.begin();
    return question;
  }

  #sent({ id }: Image): SentImage {
    const sent = this.#byId.get(id);
    if (!sent) throw new ImgmvError('internal', 'an image that was not offered');
    return sent;
  }

  /** From the plan to its last word, by that one. */
  get measured(): Measured {
    return this.#measured;
  }

  #sinceOffer(): number {
    return Math.round(performance.now() - this.#offeredAt);
  }

  /** It cannot have taken longer than here, nor have counted much that is not known here. */
  #measuredThere({ runMs, wireBytes }: Pick<MessageOf<'placed'>, 'runMs' | 'wireBytes'>): void {
    const mostBytes = this.#session.wireBytes + UNDER_WAY_BYTES;
    this.#measured = {
      tookMs: later(this.#measured.tookMs, runMs, this.#sinceOffer()),
      wireBytes: later(this.#measured.wireBytes, wireBytes, mostBytes),
    };
  }

  /** Known after a plan that is the whole run. */
  get link(): LinkRate | undefined {
    return this.#link;
  }

  report(progress: Progress): void {
    const { id, phase, bytes } = progress;
    const sent = this.#byId.get(id as Digest);
    if (!sent || phase !== 'transfer') return;
    const waits = this.#forReader.told(progress);
    void this.#session.tell({ type: 'progress', item: sent.number, phase, bytes, ...waits });
  }

  wireBytesOf(id: Digest): number {
    return this.#byId.get(id)?.wireBytes ?? 0;
  }

  limitOf(whose: 'ownLimit' | 'peerLimit') {
    return this.#forReader.limitOf(whose);
  }

  /** The other side counts on this lane: without it there is no session. */
  async #blobLane(): Promise<Lane> {
    this.#laneComing ??= this.#session.during(this.#session.nextLane());
    this.#lane = await this.#laneComing;
    return this.#lane;
  }

  waits(): Waits {
    const { socketMs = 0, creditMs = 0, paceMs = 0 } = this.#lane?.waits ?? {};
    const reader = this.#forReader.split(creditMs);
    return { network: socketMs, ownLimit: paceMs, ...reader, compress: this.#compressor.busyMs };
  }

  async finish(): Promise<void> {
    await this.#sayFinish();
    if (!this.facts.atomic || this.#planOnly) return;
    const { error } = await this.#placed.promise;
    if (error) throw fromWire(error, this.#session.peer.name);
  }

  async #sayFinish(): Promise<void> {
    if (this.#finishSaid || this.#session.signal.aborted) return;
    this.#finishSaid = true;
    await this.#session.tell({ type: 'finish' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sayFinish();
    // The other side waits for this word, and a connection that is broken now would never bring it.
    if (this.#planOnly) await this.#session.delivered();
    if (!this.#session.signal.aborted) await this.#session.finish();
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'answer':
        return this.#receiveAnswer(message);
      case 'progress':
        if (message.phase === 'transfer') this.#hearReader(message);
        return this.#of(message).told(message);
      case 'again':
        return this.#of(message).askedAgain(message);
      case 'result':
        this.#measuredThere(message);
        return this.#of(message).ended(message, this.#pushes);
      case 'pushed':
        this.#measuredThere(message);
        return this.#of(message).pushed(message);
      case 'placed':
        if (!this.facts.atomic || !this.#finishSaid || this.#placed.value)
          throw violation('placed at the wrong time');
        this.#measuredThere(message);
        return this.#placed.resolve(message);
      default:
        throw violation(`a receiver sent ${message.type}`);
    }
  }

  #hearReader({ bottleneck, limit }: MessageOf<'progress'>): void {
    this.#readerWaits = bottleneck !== undefined && bottleneck !== 'load';
    this.#forReader.hear('load', limit);
  }

  #of({ type, item }: { readonly type: string; readonly item: number }): SentImage {
    const sent = this.#offered[item];
    if (!sent) throw violation(`${type} of image ${item}, which was not offered`);
    return sent;
  }

  #receiveAnswer({ items, last }: MessageOf<'answer'>): void {
    const { asked = [], answers, answered } = this.#question ?? {};
    if (!answers || answers.length + items.length > asked.length)
      throw violation('more answers than were asked for');
    answers.push(...items);
    if (last) answered?.resolve(true);
  }

  /** The other side's END: whoever still waits for a word of it would wait for ever. */
  #ended(): void {
    const owed =
      this.#offered.some((sent) => sent.owed) ||
      (this.facts.atomic && !this.#planOnly && !this.#placed.value);
    if (owed || !this.#question?.answered.value)
      this.#session.fail(
        violation('a receiver ended its control lane before it had sent its answer and all results'),
      );
  }

  #lost(error: ImgmvError): void {
    this.#question?.answered.reject(error);
    this.#placed.reject(error);
    for (const sent of this.#offered) sent.lost(error);
  }
}

/** Counters of the other side only rise, whatever it says; `most` is what can be. */
function later(before: number | undefined, now: number | undefined, most: number): number | undefined {
  return now === undefined ? before : Math.max(before ?? 0, Math.min(now, most));
}
