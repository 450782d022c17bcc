/**
 * One `docker load` as a stream: files of a tar go in as they come, with the engine's back-pressure, and its
 * answer is read meanwhile. It knows what the answers mean (moby image/tarexport/load.go and
 * daemon/containerd/image_exporter.go: HTTP 200 for nearly every failure) and nothing of what the files are.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { type Pack, pack } from 'tar-stream';
import * as v from 'valibot';
import { deferred } from '../../proto/deferred.ts';
import { ImgmvError } from '../../proto/errors.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import { drained } from '../streams/drained.ts';
import { once } from '../streams/file-bytes.ts';
import { type JsonLine, JsonLines } from '../streams/json-lines.ts';
import { settledWithin } from '../streams/settled-within.ts';
import type { ArchiveFile } from './archive.ts';
import type { Engine } from './engine.ts';
import { fullDisk } from './full-disk.ts';
import { loadCompression } from './load-compression.ts';

/** How long an engine may take to drop what came of a load that is given up; a busy one takes seconds. */
const ANSWER_TIMEOUT_MS = 30_000;
/** The same where somebody waits for the command to stop. */
const STOPPED_ANSWER_TIMEOUT_MS = 1_500;
const STOPS: readonly unknown[] = ['sighup', 'sigint', 'sigterm'];
/** How long an engine that has got all of an image may take to unpack it, when nobody wants it any more and nobody waits. */
const FINISH_TIMEOUT_MS = 10 * 60_000;
const ANSWER_LINE_MAX_CHARACTERS = 64 * 1024;

/** What of a line of an answer we read. moby pkg/jsonmessage */
const answerLine = v.object({
  id: v.nullish(v.string()),
  stream: v.nullish(v.string()),
  error: v.nullish(v.string()),
  message: v.nullish(v.string()),
  progressDetail: v.nullish(v.object({ current: v.nullish(v.pipe(v.number(), v.minValue(0))) })),
});
type AnswerLine = JsonLine<v.InferOutput<typeof answerLine>>;

export class Load {
  readonly #engine: Engine;
  readonly #request: ClientRequest;
  readonly #pack: Pack = pack();
  /** Chunks of files that have not gone out, and who wants them back. The tar has them as they are. */
  readonly #lent = new WeakMap<Buffer, (chunk: Buffer) => void>();
  readonly #answered = deferred<void>();
  #loaded: string[] = [];
  #failure: ImgmvError | undefined;
  #ended = false;
  readonly #unpacked = new Map<string, number>();
  /** For the engine to take bytes of layers; several loads may share it, one at a time. */
  readonly #waited: Stopwatch;
  /** Bytes of layers that the engine has unpacked so far, where it tells (classic engines do). */
  get unpackedBytes(): number {
    return [...this.#unpacked.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  constructor(engine: Engine, waited: Stopwatch) {
    this.#engine = engine;
    this.#waited = waited;
    const { request, options } = engine.transport;
    this.#request = request({
      ...options,
      method: 'POST',
      path: '/images/load?quiet=0',
      headers: { 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' },
    });
    const lost = async (error: unknown) => {
      if (!this.#failure) this.#fail(await this.#engine.lostBy('load', error));
    };
    this.#request.once('response', (response) => {
      void this.#readAnswer(response).catch(lost).then(this.#answered.resolve);
    });
    this.#request.on('error', (error) => void lost(error).then(this.#answered.resolve));
    this.#pack.on('error', (error: Error) =>
      this.#fail(new ImgmvError('internal', error.message, { cause: error })),
    );
    this.#pump().catch(lost);
  }

  /**
   * Writes one file of exactly `size` bytes. Throws what `body` throws, or the engine's failure. `release` gets each chunk
   * that has gone out.
   */
  async file(
    name: string,
    size: number,
    body: AsyncIterable<Buffer>,
    release?: (chunk: Buffer) => void,
  ): Promise<void> {
    this.#check();
    const entry = this.#pack.entry({ name, size, mode: 0o644 });
    // An abort destroys it along with the tar; `#check` throws why.
    entry.on('error', () => {});
    for await (const chunk of body) {
      this.#check();
      if (release) this.#lent.set(chunk, release);
      if (entry.write(chunk)) continue;
      await this.#waited.during(drained(entry));
    }
    this.#check();
    entry.end(undefined);
  }

  async add([path, content]: ArchiveFile): Promise<void> {
    if (!('linkTo' in content)) return this.file(path, content.length, once(content));
    this.#check();
    const entry = this.#pack.entry({ name: path, type: 'link', linkname: content.linkTo, mode: 0o644 });
    entry.on('error', () => {});
  }

  /**
   * Ends the tar and waits for the engine's verdict; there is no limit to how long it may unpack. Gives the names or ids
   * that were loaded.
   */
  async finish(): Promise<readonly string[]> {
    this.#check();
    this.#pack.finalize();
    this.#ended = true;
    await this.#answered.promise;
    this.#check();
    if (this.#loaded.length === 0)
      throw new ImgmvError(
        'engine-refused',
        'the docker engine took the image, but did not say that it was loaded',
      );
    return this.#loaded;
  }

  /**
   * Gives up, so that nothing stays but what a private name holds; the caller drops that behind this. An
   * engine that has got all finishes whatever we do, so it is waited for. Before that, a classic engine
   * forgets all when the connection breaks; a containerd store would keep blobs for a day; when the
   * tar just ends too soon it drops its lease on them, and they go when it next cleans up. Where `reason` is a stop somebody waits for that, and an engine that is
   * slow is left to itself: the private name goes when the next session looks at the engine, or by `imgmv clean`.
   */
  async abort(reason?: unknown): Promise<void> {
    this.#fail(new ImgmvError('internal', 'the load was given up'));
    const gotAll = this.#request.writableEnded;
    if (!this.#request.destroyed && (gotAll || this.#engine.info.store === 'containerd')) {
      this.#request.end();
      const stopped = reason instanceof ImgmvError && STOPS.includes(reason.code);
      const patienceMs = gotAll ? FINISH_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
      await settledWithin(this.#answered.promise, stopped ? STOPPED_ANSWER_TIMEOUT_MS : patienceMs);
    }
    this.#request.destroy();
  }

  /** Moves the tar to the engine; `pipe` would break the connection when the tar is given up. */
  async #pump(): Promise<void> {
    const release = (chunk: Buffer) => this.#lent.get(chunk)?.(chunk);
    let waitedMs = 0;
    const tar = this.#pack as AsyncIterable<Buffer>;
    const compress = loadCompression(this.#engine);
    for await (const chunk of compress ? compress(tar, { waitedMs: () => waitedMs, release }) : tar) {
      // What is given up has been ended: to write to it would break the connection.
      if (this.#failure) return;
      if (this.#request.write(chunk, () => release(chunk))) continue;
      const began = performance.now();
      await drained(this.#request);
      waitedMs += performance.now() - began;
    }
    if (!this.#failure) this.#request.end();
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Remembers the first failure and frees whoever waits for the engine. */
  #fail(error: ImgmvError): void {
    this.#failure ??= error;
    this.#pack.destroy(error);
  }

  async #readAnswer(response: IncomingMessage): Promise<void> {
    const lines = new JsonLines(answerLine, ANSWER_LINE_MAX_CHARACTERS);
    for await (const text of response.setEncoding('utf8') as AsyncIterable<string>)
      for (const line of lines.read(text)) this.#readLine(line, response.statusCode);
    for (const line of lines.end()) this.#readLine(line, response.statusCode);
    if (response.statusCode !== 200) this.#refuse(`HTTP ${response.statusCode}`);
    // An engine that answers before it has read all wants no more: the writer must not wait for it.
    if (!this.#ended) this.#refuse('it ended the load before all was sent');
  }

  #readLine({ text: line, value }: AnswerLine, status: number | undefined): void {
    if (value === undefined) return this.#refuse(line);
    const { id, stream, error, message, progressDetail } = value;
    if (typeof error === 'string') return this.#refuse(error);
    if (status !== 200) return this.#refuse(message ?? line);
    if (typeof id === 'string' && typeof progressDetail?.current === 'number')
      this.#unpacked.set(id.slice(0, 100), progressDetail.current);
    const text = stream?.trim() ?? '';
    if (text.startsWith('Error unpacking image')) return this.#refuse(text);
    const loaded = /^Loaded image(?: ID)?: (\S+)$/.exec(text)?.[1];
    if (loaded !== undefined) this.#loaded.push(loaded);
  }

  #refuse(why: string): void {
    this.#fail(
      new ImgmvError('engine-refused', `the docker engine did not load the image: ${why.slice(0, 1000)}`, {
        ...fullDisk(why, 'a load needs about twice the size of the image'),
        // Podman follows links in the layers that it has, and says what it found there.
        ...(this.#engine.info.kind === 'podman' && { forPeer: 'podman did not load the image' }),
      }),
    );
  }
}
