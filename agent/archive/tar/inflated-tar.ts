/**
 * Entries of a tar that is compressed as a whole: there is no way to one of them but through all before it. So it is
 * decompressed once, from the beginning on, whatever is asked for: an entry that comes before its time is kept in a
 * file without a name, as far as there is room. Only what was not kept costs another pass.
 */
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { ImgmvError } from '../../../proto/errors.ts';
import { Turn } from '../../streams/large-window.ts';
import type { ReadFile } from '../contents.ts';
import { Spool } from '../spool.ts';
import type { Place, Places } from './places.ts';

/** What others need of the disk that is kept on. */
const ROOM_LEFT_SHARE = 0.1;

/** `counts`: what comes of it is to be counted for the bound on what an archive inflates to. */
export type Inflate = (counts: boolean, turn: Turn, signal: AbortSignal) => AsyncGenerator<Buffer>;

export class InflatedTar implements AsyncDisposable {
  readonly #places: Places;
  readonly #inflate: Inflate;
  /** Where the decompressing is; taken by whoever reads on. */
  #cursor: Cursor | undefined;
  /** The pass by which it is known what there is was one. */
  #passes = 1;
  /** How often each is still going to be read. */
  #times = new Map<string, number>();
  readonly #kept = new Map<string, { readonly start: number; readonly end: number }>();
  #spool: Spool | undefined;
  /** Something is being kept: what else goes by meanwhile is not, or it would stand between. */
  #keeps = false;
  #full = false;

  constructor(places: Places, inflate: Inflate) {
    this.#places = places;
    this.#inflate = inflate;
  }

  willRead(times: ReadonlyMap<string, number>): void {
    this.#times = new Map(times);
  }

  /** Each body is to be read before the next file is asked for. */
  async *read(names: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ReadFile> {
    const wanted = this.#places.of(names);
    for (const { name } of wanted) this.#times.set(name, (this.#times.get(name) ?? 1) - 1);
    for (const place of wanted) {
      signal.throwIfAborted();
      const kept = this.#kept.get(place.name);
      if (kept && this.#spool) {
        yield { name: place.name, body: this.#spool.read(kept.start, kept.end, signal) };
        continue;
      }
      const cursor = await this.#cursorAt(place, signal);
      try {
        const body = cursor.to(place.offset + place.size, signal);
        const again = (this.#times.get(place.name) ?? 0) > 0 && (await this.#hasRoom(place));
        yield { name: place.name, body: again ? this.#keeping(place, body) : body };
      } finally {
        await this.#giveBack(cursor);
      }
    }
  }

  /** In front of `place`; what is passed over on the way is kept where it is going to be wanted. */
  async #cursorAt(place: Place, signal: AbortSignal): Promise<Cursor> {
    let cursor = this.#takeCursor();
    if (cursor && cursor.at > place.offset) {
      await cursor.close();
      cursor = undefined;
    }
    // The last one was to be expected; whoever makes it go on and on is held to the bound of the first.
    const turn = new Turn('archive');
    cursor ??= new Cursor(this.#inflate(++this.#passes > 2, turn, signal), turn);
    try {
      for (const end = this.#places.numberOf(place); cursor.passed < end; cursor.passed++) {
        const passed = this.#places.all[cursor.passed] as Place;
        const wanted = (this.#times.get(passed.name) ?? 0) > 0 && !this.#kept.has(passed.name);
        if (!wanted || !(await this.#hasRoom(passed))) continue;
        await cursor.skipTo(passed.offset, signal);
        for await (const _ of this.#keeping(passed, cursor.to(passed.offset + passed.size, signal)));
      }
      await cursor.skipTo(place.offset, signal);
      cursor.passed++;
      return cursor;
    } catch (error) {
      await cursor.close();
      throw error;
    }
  }

  async #giveBack(cursor: Cursor): Promise<void> {
    // Somebody may have begun another one meanwhile.
    if (this.#cursor || cursor.failed) return cursor.close();
    this.#cursor = cursor;
    cursor.turn.standStill(async () => {
      if (this.#takeCursor()) await cursor.close();
    });
  }

  #takeCursor(): Cursor | undefined {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    if (cursor) cursor.turn.giveWay = undefined;
    return cursor;
  }

  async *#keeping({ name, size }: Place, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    this.#spool ??= await Spool.open('what is to be sent later');
    const spool = this.#spool;
    const start = spool.bytes;
    this.#keeps = true;
    try {
      for await (const chunk of body) {
        if (!this.#full) await this.#write(spool, chunk);
        yield chunk;
      }
    } finally {
      this.#keeps = false;
    }
    if (spool.bytes === start + size) this.#kept.set(name, { start, end: start + size });
  }

  /** A disk that is full all the same costs another pass, and no image. */
  async #write(spool: Spool, chunk: Buffer): Promise<void> {
    try {
      await spool.write(chunk);
    } catch (error) {
      if (!(error instanceof ImgmvError) || error.code !== 'refused') throw error;
      this.#full = true;
    }
  }

  async #hasRoom({ size }: Place): Promise<boolean> {
    if (this.#keeps || this.#full) return false;
    const found = await statfs(tmpdir()).catch(() => undefined);
    if (!found) return false;
    const { bavail, blocks, bsize } = found;
    return bavail * bsize - size > blocks * bsize * ROOM_LEFT_SHARE;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cursor?.close();
    await this.#spool?.[Symbol.asyncDispose]();
  }
}

class Cursor {
  /** While it needs a large window. */
  readonly turn: Turn;
  readonly #stream: AsyncGenerator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  at = 0;
  /** Places that are behind it, or that it stands in. */
  passed = 0;
  failed = false;

  constructor(stream: AsyncGenerator<Buffer>, turn: Turn) {
    this.#stream = stream;
    this.turn = turn;
  }

  /** Up to that place, or to the end of the stream. May be left early, and something else read from there. */
  async *to(end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    while (this.at < end) {
      signal.throwIfAborted();
      if (this.#rest.length === 0 && !(await this.#fill())) return;
      const part = this.#rest.subarray(0, end - this.at);
      this.#rest = this.#rest.subarray(part.length);
      this.at += part.length;
      yield part;
    }
  }

  async skipTo(offset: number, signal: AbortSignal): Promise<void> {
    for await (const _ of this.to(offset, signal));
  }

  async #fill(): Promise<boolean> {
    try {
      const next = await this.#stream.next();
      if (next.done) return false;
      this.#rest = next.value;
      return true;
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#stream.return(undefined);
  }
}
