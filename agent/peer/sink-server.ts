/**
 * Serves a sink to the other host: what it offers is planned here, the entries that come on its lane are written, and
 * every image gets a word. PROTOCOL.md sections 6 and 7. What is moved, when, and tried again is the sender's to decide.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { counted } from '../../proto/counted.ts';
import { deferred } from '../../proto/deferred.ts';
import { EntryReader } from '../../proto/entry-reader.ts';
import { type ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import type { Lane } from '../../proto/lane.ts';
import {
  IMAGE_BYTES_ALLOWANCE,
  IMAGE_BYTES_FACTOR_MAX,
  JOBS_MAX,
  OFFER_IMAGES_MAX,
  OFFER_PARTS_MAX,
  TEXT_MAX_CHARACTERS,
} from '../../proto/limits.ts';
import { type Message, type MessageOf, type OfferedItem, PLACES, PUSH } from '../../proto/messages.ts';
import type { Image } from '../model/image.ts';
import { decided, unless } from '../model/plan.ts';
import type { Answer, Planned, Sink } from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import { Ledger, type LedgerOptions, type Settled } from '../move/ledger.ts';
import type { Passage, Progress } from '../move/passage.ts';
import { planAgain } from '../move/plan-again.ts';
import { onAbort } from '../streams/on-abort.ts';
import { Decision } from './decision.ts';
import { Discretion, shortId } from './discretion.ts';
import { fromWire, toWire } from './failure.ts';
import { lingering } from './lingering.ts';
import { PeerWaits } from './peer-waits.ts';
import { ReceivedImage } from './received-image.ts';
import type { Session } from './session.ts';
import { fromOffer, partsOf, toWireName } from './wire-images.ts';

export interface ServeOptions extends Pick<LedgerOptions, 'emit' | 'planOnly' | 'pushes'> {
  /** Of a sender where somebody decides: what plans for them, before `sink` does; undefined where nobody is asked. */
  readonly shown?: Sink | undefined;
}

/** What the sender may say once images have their results. */
type Said = MessageOf<'retry'> | MessageOf<'finish'>;

export class SinkServer implements AsyncDisposable {
  readonly #session: Session;
  readonly #offered: OfferedItem[] = [];
  #offeredParts = 0;
  readonly #offer = deferred<true>();
  #discretion = new Discretion([]);
  /** By their numbers; none before the plan. */
  #images: readonly ReceivedImage[] = [];
  /** The image whose entries come now. */
  #current: ReceivedImage | undefined;
  /** Those whose entries have begun to come; some have their result by now. */
  readonly #begun = new Set<ReceivedImage>();
  /** Those that the sender is at work on, and whose first entry has not come. */
  readonly #awaited = new Set<ReceivedImage>();
  #lane: Lane | undefined;
  #said = deferred<Said>();
  readonly #decision = new Decision();
  #retries = 0;
  #finished = false;
  #entries: EntryReader | undefined;
  /** Bytes of the session on the wire, as the sender was told last. */
  #toldWireBytes: number | undefined;
  /** Nothing on the lane means that the network is slow, or whatever the sender says that it waits for. */
  readonly #forSender: PeerWaits<'save' | 'compress' | 'network'>;

  /** Messages are taken from now on, and wait for the sink. */
  constructor(session: Session) {
    this.#session = session;
    this.#forSender = new PeerWaits(session, 'network');
    void session.run((message) => this.#receive(message)).then(() => this.#ended());
    onAbort(session.signal, () => this.#lost(toImgmvError(session.signal.reason)));
  }

  /** All of a session, but its end. Throws what ends the session; the failure of one image is an outcome. */
  async serve(sink: Sink, options: ServeOptions): Promise<Settled> {
    const { signal } = this.#session;
    await this.#offer.promise;
    const images = await this.#session.during(this.#readOffer());
    const { shown, ...others } = options;
    const proposed = shown && (await shown.plan(images)).map(decided);
    const proceeds = proposed && (await this.#decided(proposed, options));
    const planOnly = options.planOnly === true && !proceeds;
    const ledger = new Ledger({
      ...others,
      planOnly,
      store: sink.facts.store,
      signal,
      wireBytes: () => this.#session.wireBytes,
      measured: () => ({ wireBytes: this.#toldWireBytes }),
      imageWireBytes: (id) => this.#entries?.wireBytesOf(this.#numberOf(id)) ?? 0,
      waits: () => ({ ...this.#waited(), ...sink.waits() }),
      limitOf: (whose) => this.#forSender.limitOf(whose),
      watch: (progress) => this.#report(progress),
    });
    if (proposed && !proceeds) return this.#declined(proposed, ledger, planOnly);
    const planned = (await sink.plan(images)).map(decided);
    const passages = ledger.plan(planned);
    const wireBytes = () => this.#countWire();
    const receiving = { session: this.#session, discretion: this.#discretion, wireBytes };
    if (!planOnly)
      this.#images = passages.map((passage, number) => new ReceivedImage(number, passage, receiving));
    await this.#answer(planned.map(({ answer }, number) => [number, answer]));
    if (planOnly) return ledger.close();
    void this.#readLane();
    try {
      for (let round = this.#images; round.length > 0; round = await this.#again(sink, ledger))
        await this.#round(round, sink, ledger);
      await this.#finish(sink, ledger);
    } finally {
      ledger.tellHeld();
    }
    return ledger.close();
  }

  /** Shows the sender the plan, and waits for the word of whoever is asked there. Throws what ends the session. */
  async #decided(proposed: readonly Planned[], { emit }: ServeOptions): Promise<boolean> {
    const { name } = this.#session.peer;
    this.#decision.open();
    await this.#answer(proposed.map(({ answer }, number) => [number, answer]));
    emit({ event: 'confirming', peer: name });
    return this.#session.during(this.#decision.made(name));
  }

  /** Who asked for the plan has it; who wanted a move has it refused, by somebody of their own. */
  async #declined(proposed: readonly Planned[], ledger: Ledger, planOnly: boolean): Promise<Settled> {
    const reason = `it was not confirmed at ${this.#session.peer.name}`;
    const passages = ledger.plan(planOnly ? proposed : proposed.map((one) => unless(reason, one)));
    for (const passage of planOnly ? [] : passages) {
      await passage.settle();
      ledger.tell(passage);
    }
    return ledger.close();
  }

  async #readOffer(): Promise<readonly Image[]> {
    const images = this.#offered.map((one, number) => fromOffer(one, number, this.#session.peer.name));
    if (new Set(images.map(({ id }) => id)).size < images.length)
      throw violation('an offer with an image twice');
    this.#discretion = new Discretion(images);
    return images;
  }

  async #answer(answers: readonly (readonly [number, Answer])[]): Promise<void> {
    await this.#session.control.sendList({
      type: 'answer',
      last: true,
      items: answers.map(([number, { image, action, reason, warning, refs, missing, error }]) => ({
        item: number,
        action,
        names: refs.map(({ replaces, push, ...name }) => ({
          ...toWireName(name),
          replaces: replaces && shortId(replaces),
          push,
        })),
        // What it withholds itself the sender knows better.
        reason: reason === image.withheld ? undefined : this.#told(reason),
        warning: this.#told(warning),
        missing: missing && [...missing],
        error: error && toWire(this.#discretion.error(error)),
      })),
    });
  }

  #told(text: string | undefined): string | undefined {
    return text && this.#discretion.text(text).slice(0, TEXT_MAX_CHARACTERS);
  }

  /** Resolves when each has its outcome, and nothing more of it comes. */
  async #round(round: readonly ReceivedImage[], sink: Sink, ledger: Ledger): Promise<void> {
    const settling = round.map(async (image) => {
      await image.settled;
      this.#settled(image.passage, sink, ledger);
    });
    for (const image of round) if (!image.passage.travels) await image.settle();
    const { signal } = this.#session;
    if (signal.aborted) await this.#abandon();
    await Promise.all(settling);
  }

  /** What the sender may try again is told when it has, or has not; where images are there only at the end, at the end. */
  #settled(passage: Passage, sink: Sink, ledger: Ledger): void {
    const error = passage.outcome?.error;
    const open = error ? error.retry && !this.#session.signal.aborted : sink.facts.atomic;
    if (open) ledger.hold(passage);
    else ledger.tell(passage);
  }

  /** The images that the sender wants to try again, planned anew; none once it is done, or says nothing more. */
  async #again(sink: Sink, ledger: Ledger): Promise<readonly ReceivedImage[]> {
    const { signal } = this.#session;
    const failed = this.#images.filter(({ passage }) => passage.outcome?.error !== undefined);
    if (signal.aborted || (failed.length === 0 && !sink.facts.atomic)) return [];
    try {
      const said = await this.#linger();
      if (said?.type !== 'retry') return [];
      const again = this.#readRetry(said, failed);
      const { attempt, waitMs } = said;
      const passages = again.map(({ passage }) => passage);
      for (const passage of passages) ledger.announce(passage, attempt, waitMs);
      await sink.retrying({ images: passages.map(({ image }) => image), attempt, waitMs });
      await sleep(waitMs, undefined, { signal });
      const planned = await planAgain(sink, passages, signal);
      for (const [at, image] of again.entries()) {
        ledger.release(image.passage);
        image.passage.again(planned[at] as Planned);
        image.begin();
      }
      await this.#answer(again.map(({ number, passage: { answer } }) => [number, answer]));
      return again;
    } catch (error) {
      // What has stopped the whole run is told by whoever did.
      if (!signal.aborted) throw error;
      return [];
    }
  }

  #readRetry({ items }: MessageOf<'retry'>, failed: readonly ReceivedImage[]): readonly ReceivedImage[] {
    const again = failed.filter(({ number }) => items.includes(number));
    if (again.length === items.length) return items.map((number) => this.#images[number] as ReceivedImage);
    const error = violation('it retries an image that did not fail');
    this.#session.fail(error);
    throw error;
  }

  /** Where images are there all together or not at all: now, or not. */
  async #finish(sink: Sink, ledger: Ledger): Promise<void> {
    const { peer, signal } = this.#session;
    if (!sink.facts.atomic) return;
    let failure: ImgmvError | undefined;
    let runMs: number | undefined;
    try {
      signal.throwIfAborted();
      await sink.finish();
      runMs = ledger.finished();
    } catch (error) {
      failure = toImgmvError(signal.aborted ? signal.reason : error);
      for (const { passage } of this.#images) passage.undo(failure);
    }
    if (signal.aborted || !peer.capabilities.includes(PLACES)) return;
    const error = failure && toWire(this.#discretion.error(failure));
    await this.#session.send({ type: 'placed', error, runMs, wireBytes: this.#countWire() });
  }

  #countWire(): number {
    this.#toldWireBytes = this.#session.wireBytes;
    return this.#toldWireBytes;
  }

  async #readLane(): Promise<void> {
    try {
      this.#lane = await this.#session.nextLane();
      const entries = new EntryReader(this.#lane, (item) => mostBytesOf(this.#offered[item]));
      this.#entries = entries;
      for (let item = await entries.next(); item; item = await entries.next()) {
        const image = this.#takes(item.item);
        if ('type' in item) {
          this.#current = undefined;
          image.end(item);
        } else await image.blob(item);
      }
      if (this.#images.some(({ due }) => due)) throw violation('the lane ended before all images did');
    } catch (error) {
      this.#session.fail(toImgmvError(error));
      await this.#abandon();
    }
  }

  /** The image that an entry is of. Throws protocol-violation for one that may not come now. */
  #takes(number: number): ReceivedImage {
    if (this.#current && this.#current.number !== number)
      throw violation(`a blob of image ${number} within image ${this.#current.number}`);
    const image = this.#images[number];
    if (!image?.due) throw violation(`a blob of image ${number}, which was not asked for`);
    for (const one of this.#begun) if (!one.underWay) this.#begun.delete(one);
    // What is left of an image that has failed goes nowhere.
    if (!image.passage.outcome) this.#begun.add(image);
    if (this.#begun.size > JOBS_MAX)
      throw violation(
        `${counted(this.#begun.size, 'image')} at once, and at most ${JOBS_MAX} may be under way`,
      );
    this.#current = image;
    return image;
  }

  /** The sender is at work on an image whose first entry has not come. It counts here, too, from now on. */
  #awaits({ item, phase }: MessageOf<'progress'>): void {
    const image = this.#images[item];
    if (phase !== 'transfer' || !image?.due || image.passage.begun) return;
    for (const one of this.#awaited) if (!one.awaiting) this.#awaited.delete(one);
    // They are due one after another; what an evil sender says besides goes unheard.
    if (this.#awaited.size < JOBS_MAX && image.awaited()) this.#awaited.add(image);
  }

  async #abandon(): Promise<void> {
    const { reason } = this.#session.signal;
    for (const image of this.#images) await image.abandon(reason);
  }

  #numberOf(id: string): number {
    return this.#images.findIndex(({ passage }) => passage.image.id === id);
  }

  #report(progress: Progress): void {
    const { id, phase, bytes, bytesTotal, kept } = progress;
    const item = this.#numberOf(id);
    if (item < 0 || (phase === 'push' && !this.#session.peer.capabilities.includes(PUSH))) return;
    const total = phase === 'push' && { bytesTotal };
    const waits = this.#forSender.told(progress);
    void this.#session.tell({ type: 'progress', item, phase, bytes, ...total, kept, ...waits });
  }

  #waited(): Waits {
    const { dataMs = 0, paceMs = 0 } = this.#lane?.waits ?? {};
    return { ...this.#forSender.split(dataMs), ownLimit: paceMs };
  }

  #hearSender({ bottleneck, limit }: MessageOf<'progress'>): void {
    const busy = bottleneck === 'save' || bottleneck === 'compress';
    this.#forSender.hear(busy ? bottleneck : 'network', limit);
  }

  /** Lingers until the sender says that it has all results, then ends by our own ledger. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.signal.aborted) return;
    const said = await this.#linger().catch(() => undefined);
    if (said?.type === 'retry') return this.#session.fail(violation('it retries images, but none failed'));
    await this.#session.finish();
  }

  /** What the sender says next; undefined where it says nothing more. Throws when the session is lost. */
  async #linger(): Promise<Said | undefined> {
    const said = this.#finished ? this.#said.value : await lingering(this.#session, this.#said.promise);
    if (said?.type === 'retry') this.#said = deferred();
    else this.#finished = true;
    return said;
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'offer':
        return this.#receiveOffer(message);
      case 'failed':
        if (message.item >= this.#offered.length)
          throw violation(`image ${message.item} failed, but was not offered`);
        return this.#images[message.item]?.failed(fromWire(message.error, this.#session.peer.name));
      case 'progress':
        this.#hearSender(message);
        return this.#awaits(message);
      case 'probe':
        return;
      case 'retry':
        if (this.#finished || this.#said.value || message.attempt !== ++this.#retries)
          throw violation(`retry ${message.attempt} out of order`);
        return this.#said.resolve(message);
      case 'proceed':
        if (this.#said.value) throw violation('proceed after another try');
        return this.#decision.proceed();
      case 'finish':
        this.#finished = true;
        this.#decision.finish();
        return this.#said.resolve(message);
      default:
        throw violation(`a sender sent ${message.type}`);
    }
  }

  #receiveOffer({ items, last }: MessageOf<'offer'>): void {
    this.#offered.push(...items);
    this.#offeredParts += partsOf(items);
    if (this.#offer.value || this.#offered.length > OFFER_IMAGES_MAX || this.#offeredParts > OFFER_PARTS_MAX)
      throw violation('an offer that is too long');
    if (last) this.#offer.resolve(true);
  }

  #ended(): void {
    if (!this.#finished || !this.#offer.value)
      this.#session.fail(
        violation('a sender ended its control lane before it had sent its offer and finish'),
      );
  }

  #lost(error: ImgmvError): void {
    this.#offer.reject(error);
    this.#said.reject(error);
    this.#decision.lost(error);
    for (const image of this.#images) image.failed(error);
  }
}

function mostBytesOf(offered: OfferedItem | undefined): number {
  return (offered?.bytes ?? 0) * IMAGE_BYTES_FACTOR_MAX + IMAGE_BYTES_ALLOWANCE;
}
