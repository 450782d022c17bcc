/** One image that the other host offers, on its way into the sink here: its entries on the lane, and the word on it. */

import { counted } from '../../proto/counted.ts';
import { deferred } from '../../proto/deferred.ts';
import type { EndHeader } from '../../proto/entry.ts';
import type { ReceivedBlob } from '../../proto/entry-reader.ts';
import { ImgmvError, violation } from '../../proto/errors.ts';
import type { MessageOf } from '../../proto/messages.ts';
import type { Outcome } from '../model/sink.ts';
import type { Passage } from '../move/passage.ts';
import { settledWithin } from '../streams/settled-within.ts';
import { type Discretion, shortId } from './discretion.ts';
import { toWire } from './failure.ts';
import { pushedToWire } from './pushed.ts';
import type { Session } from './session.ts';
import { toWireName } from './wire-images.ts';

/** The message of a failed image may come after its end on the lane: another connection. */
const FAILURE_WAIT_MS = 5_000;

export interface Receiving {
  readonly session: Session;
  readonly discretion: Discretion;
  /** Bytes of the session on the wire so far; the last that it gives is what both sides show. */
  readonly wireBytes: () => number;
}

export class ReceivedImage {
  readonly number: number;
  readonly passage: Passage;
  readonly #receiving: Receiving;
  /** It was asked for, and its end has not come. */
  #due = false;
  /** Blobs that have come in this round. */
  #blobs = 0;
  /** Its first entry has come, and it has no result yet. */
  #underWay = false;
  /** Why the sender could not give it. */
  #failure = deferred<ImgmvError>();
  /** It is being completed, or undone. */
  #ending = false;
  /** The word on this try has gone out. */
  #told = false;
  /** Resolves when it has, and nothing more comes of this try. */
  #settled = deferred<void>();

  constructor(number: number, passage: Passage, receiving: Receiving) {
    this.number = number;
    this.passage = passage;
    this.#receiving = receiving;
    this.begin();
  }

  /** A try begins, by the plan that the passage has. */
  begin(): void {
    this.#due = this.passage.travels;
    this.#blobs = 0;
    this.#ending = false;
    this.#told = false;
    this.#failure = deferred();
    this.#settled = deferred();
  }

  get due(): boolean {
    return this.#due;
  }

  get underWay(): boolean {
    return this.#underWay;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** One that is there already, or is refused. */
  async settle(): Promise<void> {
    await this.passage.settle();
    await this.#tell();
  }

  /** The sender has asked its source for it; false where it has failed here. */
  awaited(): boolean {
    if (this.passage.outcome) return false;
    this.passage.awaited();
    return true;
  }

  get awaiting(): boolean {
    return this.passage.begun && !this.#underWay;
  }

  /** Of an image that has failed here the rest goes nowhere. */
  async blob(blob: ReceivedBlob): Promise<void> {
    const { passage } = this;
    if (passage.outcome) return;
    this.#underWay = true;
    passage.travelling();
    try {
      const { kind, size } = blob;
      if (size === undefined)
        throw new ImgmvError('refused', `a ${kind} came whose length the sender did not know in advance`);
      // One that the other side gave up may come once more, or the end of the image says that it was given up, too.
      if (await passage.write({ ...blob, size })) this.#blobs++;
    } catch (error) {
      await this.fail(error);
    }
  }

  /** What follows its end goes on beside the next image. Throws protocol-violation. */
  end({ blobs, complete }: EndHeader): void {
    const { passage } = this;
    this.#due = false;
    passage.travelled();
    if (passage.outcome) return this.#settle();
    if (complete && blobs !== this.#blobs)
      throw violation(`image ${this.number} had ${counted(this.#blobs, 'blob')}, but its end says ${blobs}`);
    this.#underWay = true;
    this.#ending = true;
    void (complete ? this.#commit() : this.#giveUp());
  }

  async #commit(): Promise<void> {
    const { passage } = this;
    await passage.commit();
    if (passage.outcome || passage.committed) return this.#tell();
    this.#ending = false;
    this.#due = true;
    this.#blobs = 0;
    await this.#receiving.session.tell({
      type: 'again',
      item: this.number,
      missing: [...(passage.wanted ?? [])],
    });
    const { signal } = this.#receiving.session;
    if (signal.aborted) await this.abandon(signal.reason);
  }

  async #giveUp(): Promise<void> {
    await this.fail(await this.#whyGivenUp());
  }

  async fail(error: unknown): Promise<void> {
    await this.passage.fail(error);
    await this.#tell();
  }

  /** Nothing more comes on the lane. What is being completed, or undone, ends by itself. */
  async abandon(error: unknown): Promise<void> {
    this.#due = false;
    if (!this.#ending && !this.passage.outcome) await this.fail(error);
    this.#settle();
  }

  /** The sender has said why, or the session is lost. */
  failed(error: ImgmvError): void {
    this.#failure.resolve(error);
  }

  async #whyGivenUp(): Promise<ImgmvError> {
    const failure = this.#failure;
    await settledWithin(failure.promise, FAILURE_WAIT_MS);
    return failure.value ?? new ImgmvError('peer-stopped', 'the other host gave up on the image');
  }

  /** The word on it goes out; and, behind a push, that on the push. */
  async #tell(): Promise<void> {
    const { passage } = this;
    const { session } = this.#receiving;
    const error = passage.outcome?.error;
    this.#underWay = false;
    // What broke the protocol on the lane left it where nobody knows what its next byte means.
    if (error?.code === 'protocol-violation' && error.host === undefined) session.fail(error);
    await this.#receiving.session.tell(this.#result());
    if (passage.committed?.push) {
      await passage.pushed();
      await this.#sendPushed();
    }
    this.#told = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#told && !this.#due) this.#settled.resolve();
  }

  #result(): MessageOf<'result'> {
    const { passage, number } = this;
    const { discretion } = this.#receiving;
    const { answer, committed, outcome } = passage;
    const status = outcome?.status ?? (answer.action === 'present' ? 'present' : 'loaded');
    return {
      type: 'result',
      item: number,
      status,
      names:
        (committed ?? outcome)?.refs.map(({ replaced, ...name }) => ({
          ...toWireName(name),
          replaces: replaced && shortId(replaced),
        })) ?? [],
      targetId: this.#toldId(),
      error: outcome?.error && toWire(discretion.error(outcome.error)),
      kept: outcome?.kept || undefined,
      pushes: committed?.push && true,
      ...this.#measured(),
    };
  }

  /** No times before the image has ended, which it has not while it is pushed. */
  #measured(): Pick<MessageOf<'result'>, 'imageMs' | 'runMs' | 'wireBytes'> {
    const { endedMs, tookMs } = this.passage;
    return { imageMs: tookMs, runMs: endedMs, wireBytes: this.#receiving.wireBytes() };
  }

  /** What was loaded is the sender's own; an image that was here may have a root that the sender has never seen. */
  #toldId(): string | undefined {
    const { answer, committed } = this.passage;
    if (!committed) return undefined;
    const { targetId } = committed;
    return answer.action === 'present' ? this.#receiving.discretion.id(targetId) : targetId;
  }

  async #sendPushed(): Promise<void> {
    const { committed, outcome } = this.passage;
    const { pushed = [] } = outcome as Outcome;
    const id = this.#toldId() as string;
    const told = pushedToWire(pushed, committed?.targetId ?? id, id);
    await this.#receiving.session.tell({
      type: 'pushed',
      item: this.number,
      pushed: told,
      ...this.#measured(),
    });
  }
}
