/** A directory as a sink that makes a docker archive of each image, under the name that people expect. */
import { join } from 'node:path';
import { toImgmvError } from '../../proto/errors.ts';
import { bytesToCome, type Image } from '../model/image.ts';
import { NameClaims } from '../model/name-claims.ts';
import { roomAt } from '../model/room.ts';
import {
  type Answer,
  type ImageWriter,
  type Planned,
  refused,
  type Sink,
  type SinkFacts,
} from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import { hexOf } from '../oci/blob-path.ts';
import { type BlobSink, noRoom } from './blob-sink.ts';
import { openSink, type WriteOptions } from './open-store.ts';
import { requireFree } from './output.ts';

export const FORMATS = ['tar', 'tar.gz', 'tar.zst'] as const;
export type Format = (typeof FORMATS)[number];

export class EachSink implements Sink {
  readonly facts: SinkFacts = { store: undefined, atomic: false };
  readonly #directory: string;
  readonly #format: Format;
  readonly #options: WriteOptions;
  readonly #claims = new NameClaims();
  /** Files that images of this run have, or had when they were planned. */
  readonly #taken = new Map<string, Image>();
  #pastMs = 0;
  readonly #open = new Set<BlobSink>();

  constructor(directory: string, format: Format, options: WriteOptions) {
    this.#directory = directory;
    this.#format = format;
    this.#options = options;
  }

  async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const clashing = this.#claims.clashes(images);
    const planned: Planned[] = [];
    let freeBytes = await this.#freeBytes();
    for (const [at, image] of images.entries()) {
      const name = fileName(image, this.#format);
      const taker = this.#taken.get(name);
      const other = taker?.id === image.id ? undefined : taker;
      const missing = image.layers?.map(({ digest }) => digest);
      const bytes = bytesToCome(image, missing);
      const reason =
        clashing[at] ??
        (other && `${name} is also the file of ${other.names[0]?.target ?? other.id} in this run`) ??
        (await this.#exists(name)) ??
        (bytes > freeBytes ? noRoom(bytes, this.#directory, freeBytes) : undefined);
      const refs = image.names;
      if (reason !== undefined) planned.push(refused({ image, action: 'refuse', reason, refs }));
      else {
        this.#taken.set(name, image);
        freeBytes -= bytes;
        const answer: Answer = { image, action: 'send', refs, missing };
        planned.push({ answer, open: (signal) => this.#openArchive(image, signal) });
      }
    }
    return planned;
  }

  /** How much less compression makes of an image cannot be told. */
  async #freeBytes(): Promise<number> {
    if (this.#options.ignoreSpace || this.#format !== 'tar') return Number.POSITIVE_INFINITY;
    return (await roomAt(this.#directory)).freeBytes;
  }

  /** Why the file cannot be made, where something is there already. */
  async #exists(name: string): Promise<string | undefined> {
    try {
      await requireFree(join(this.#directory, name), this.#options.overwrite);
      return undefined;
    } catch (error) {
      const { message, hint } = toImgmvError(error);
      return hint === undefined ? message : `${message}; ${hint}`;
    }
  }

  /** An archive of its own, which is whole when its image is. */
  async #openArchive(image: Image, signal: AbortSignal): Promise<ImageWriter> {
    const path = join(this.#directory, fileName(image, this.#format));
    const sink = await openSink({ kind: 'docker-archive', path }, this.#options);
    this.#open.add(sink);
    const close = async () => {
      if (!this.#open.delete(sink)) return;
      this.#pastMs += sink.waits().load ?? 0;
      await sink[Symbol.asyncDispose]();
    };
    const [planned] = await sink.plan([image]);
    const writer = await (planned as Planned).open(signal);
    return {
      ...writer,
      commit: async () => {
        const end = await writer.commit();
        if ('missing' in end) return end;
        signal.throwIfAborted();
        await sink.finish();
        await close();
        return end;
      },
      abort: async (error) => {
        try {
          await close();
        } catch (failure) {
          error.cause ??= toImgmvError(failure);
        }
      },
    };
  }

  async retrying(): Promise<void> {}

  async finish(): Promise<void> {}

  waits(): Waits {
    return { load: [...this.#open].reduce((sum, sink) => sum + (sink.waits().load ?? 0), this.#pastMs) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sink of this.#open) await sink[Symbol.asyncDispose]();
  }
}

/** Of what file systems take, 255 bytes, the rest is for the name that a file has while it is written. */
const FILE_NAME_MAX_CHARACTERS = 235;

/**
 * `registry.example:5000/team/web:1.0` as `registry.example_5000_team_web_1.0.tar.zst`; by its id where it has no name.
 * A name that is too long for a file is cut, and its id behind that tells it from others.
 */
export function fileName({ names, id }: Image, format: Format): string {
  const digits = hexOf(id).slice(0, 12);
  const name = names[0]?.target.replaceAll(/[/:]/g, '_') ?? digits;
  const room = FILE_NAME_MAX_CHARACTERS - `.${format}`.length;
  const fitting = name.length <= room ? name : `${name.slice(0, room - digits.length - 1)}_${digits}`;
  return `${fitting}.${format}`;
}
