/** What an engine says while it pushes, a JSON object a line: how far it is, what it pushed, and why it could not. */
import * as v from 'valibot';
import { LAYER_MAX_BYTES, LAYERS_MAX } from '../../proto/limits.ts';
import type { Digest } from '../model/image.ts';
import type { PushProgress } from '../model/sink.ts';
import { unlessOdd } from '../oci/strict-json.ts';
import { JsonLines } from '../streams/json-lines.ts';

const LINE_MAX_CHARACTERS = 64 * 1024;
const ID_MAX_CHARACTERS = 100;
const STATUS_MAX_CHARACTERS = 100;
/** A whole index may be pushed: layers, configs and manifests of some platforms. */
const BLOBS_MAX = 8 * LAYERS_MAX;

const bytes = v.pipe(v.number(), v.minValue(0), v.maxValue(LAYER_MAX_BYTES), v.safeInteger());
const digest = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/));

/** What of a line we read: what is odd in it must not hide the error beside it. moby pkg/jsonmessage, api/types/auxprogress, daemon/containerd/image_push.go */
const answerLine = v.object({
  id: v.nullish(v.string()),
  status: v.nullish(v.string()),
  error: v.nullish(v.string()),
  progressDetail: unlessOdd(v.object({ current: v.nullish(bytes), total: v.nullish(bytes) })),
  aux: unlessOdd(
    v.object({
      Tag: v.nullish(v.string()),
      Digest: v.nullish(digest),
      manifestPushedInsteadOfIndex: v.nullish(v.boolean()),
    }),
  ),
});

type AnswerLine = v.InferOutput<typeof answerLine>;

export class PushAnswer {
  readonly #tag: string;
  readonly #blobs = new Map<string, PushProgress>();
  readonly #lines = new JsonLines(answerLine, LINE_MAX_CHARACTERS);
  /** What was said last of each layer, and under '' of none. */
  readonly #last = new Map<string, string>();
  /** Of the manifest or index that the registry now has under the tag; undefined where the engine did not say. */
  digest: Digest | undefined;
  /** Why the engine could not; undefined where it did not say so. */
  failure: string | undefined;
  /** The engine pushed the one manifest that it has whole in place of an index that names others. */
  partOfIndex = false;
  /**
   * Grows with each line that says what the one before it about the same layer did not. An engine with a containerd
   * store says ten times a second where it is, also while nothing moves.
   */
  news = 0;

  /** `tag` is what was asked to be pushed: an answer for another one is none. */
  constructor(tag: string) {
    this.#tag = tag;
  }

  get progress(): PushProgress {
    const blobs = [...this.#blobs.values()];
    return {
      bytes: blobs.reduce((sum, one) => sum + Math.min(one.bytes, one.bytesTotal), 0),
      bytesTotal: blobs.reduce((sum, one) => sum + one.bytesTotal, 0),
    };
  }

  /** Takes a piece of the answer, cut anywhere. A line that is too long, or says nothing known, is passed over. */
  read(text: string): void {
    for (const { value } of this.#lines.read(text)) if (value) this.#take(value);
  }

  end(): void {
    for (const { value } of this.#lines.end()) if (value) this.#take(value);
  }

  #take({ id, status, error, progressDetail, aux }: AnswerLine): void {
    const layer = id?.slice(0, ID_MAX_CHARACTERS) ?? '';
    const said = `${progressDetail?.current} ${status?.slice(0, STATUS_MAX_CHARACTERS)}`;
    if (this.#last.get(layer) !== said) this.#note(layer, said);
    if (typeof error === 'string') this.failure ??= error;
    if (aux?.manifestPushedInsteadOfIndex === true) this.partOfIndex = true;
    if (aux?.Digest && aux.Tag === this.#tag) this.digest = aux.Digest as Digest;
    if (typeof id === 'string') this.#count(layer, status, progressDetail);
    else if (typeof status === 'string') this.digest ??= digestTold(status, this.#tag);
  }

  #note(layer: string, said: string): void {
    if (!this.#last.has(layer) && this.#last.size > BLOBS_MAX) return;
    this.#last.set(layer, said);
    this.news++;
  }

  #count(id: string, status: string | null | undefined, detail: AnswerLine['progressDetail']): void {
    const before = this.#blobs.get(id);
    if (!before && this.#blobs.size === BLOBS_MAX) return;
    // A classic engine counts a layer as a tar, which is a little more than it said that it would be.
    if (typeof detail?.current === 'number' && typeof detail.total === 'number')
      this.#blobs.set(id, { bytes: detail.current, bytesTotal: Math.max(detail.total, detail.current) });
    else if (status === 'Pushed' && before) this.#blobs.set(id, { ...before, bytes: before.bytesTotal });
  }
}

/** An engine with a containerd store gives no `aux`: it has the digest in a line that belongs to no layer. */
function digestTold(status: string, tag: string): Digest | undefined {
  const [, told, found] = /^(\S{1,128}): digest: (sha256:[0-9a-f]{64}) size: [0-9]+$/.exec(status) ?? [];
  return told === tag ? (found as Digest | undefined) : undefined;
}
