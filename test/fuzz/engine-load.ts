/** What an engine answers to a load, line by line. docs/engines.md. */
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import type { Engine } from '../../agent/docker/engine.ts';
import { Load } from '../../agent/docker/load.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { bytesLike, cut, cuts } from './bytes.ts';
import { decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, nastyText } from './text.ts';

const line: fc.Arbitrary<Json> = fc.oneof(
  fc.record({
    status: fc.constant('Loading layer'),
    progressDetail: fc.record({ current: fc.nat(), total: fc.nat() }),
    id: fc.constantFrom('0123456789ab', 'ba9876543210'),
  }) as fc.Arbitrary<Json>,
  fc.constantFrom<Json>(
    { stream: 'Loaded image: web:1.0\n' },
    { stream: 'Loaded image ID: sha256:ab\n' },
    { stream: 'The image web:1.0 already exists, renaming the old one with ID x to empty string\n' },
    { stream: 'Error unpacking image web:1.0: no such blob\n' },
    { errorDetail: { message: 'unexpected EOF' }, error: 'unexpected EOF' },
    { error: 'write /x: no space left on device' },
    { message: 'bad request' },
  ),
  nastyText.map((stream): Json => ({ stream })),
);

const answer = fc
  .array(jsonLike(line), { maxLength: 5 })
  .map((lines) => Buffer.concat(lines.flatMap((json) => [json, Buffer.from('\r\n')])));

/** A request that takes all, and an answer that comes when the load has been sent. */
class FakeRequest extends EventEmitter {
  destroyed = false;
  writableEnded = false;
  readonly #respond: () => Readable;

  constructor(respond: () => Readable) {
    super();
    this.#respond = respond;
  }

  write(): boolean {
    return true;
  }

  end(): void {
    if (this.writableEnded) return;
    this.writableEnded = true;
    this.emit('response', this.#respond());
  }

  destroy(): void {
    this.destroyed = true;
  }
}

function fakeEngine(bytes: Buffer, cutAt: readonly number[], status: number): Engine {
  const respond = () => Object.assign(Readable.from(cut(bytes, cutAt)), { statusCode: status });
  return {
    endpoint: { address: 'unix:///var/run/docker.sock' },
    info: { store: 'classic', kind: 'docker', version: '28.0.0' },
    transport: { request: () => new FakeRequest(respond), options: {}, protocol: 'http' },
    lostBy: async (what: string, cause: unknown) =>
      cause instanceof ImgmvError ? cause : new ImgmvError('engine-unavailable', `lost (${what})`, { cause }),
  } as unknown as Engine;
}

const loads = target<{ bytes: Buffer; cutAt: readonly number[]; status: number }>({
  name: 'engine/load',
  share: 10,
  input: fc.record({
    bytes: bytesLike(answer),
    cutAt: cuts,
    status: fc.oneof({ weight: 6, arbitrary: fc.constant(200) }, fc.constantFrom(400, 404, 500)),
  }),
  check: async ({ bytes, cutAt, status }) => {
    const run = async (lengths: readonly number[]) => {
      const load = new Load(fakeEngine(bytes, lengths, status), new Stopwatch());
      // The connection held: whatever is wrong was said by the engine.
      const report = await decodedLater(['engine-refused'], () => load.finish());
      const { unpackedBytes } = load;
      holds(typeof unpackedBytes === 'number' && unpackedBytes >= 0, 'a progress is a number');
      await load.abort();
      return report;
    };
    const [cutUp, atOnce] = [await run(cutAt), await run([bytes.length])];
    holds(JSON.stringify(cutUp) === JSON.stringify(atOnce), 'where it is cut does not matter');
    if (!cutUp) return;
    holds(status === 200 && cutUp.length > 0, 'a load that succeeds has loaded something');
    holds(
      cutUp.every((name) => typeof name === 'string' && /^\S+$/.test(name)),
      'names are names',
    );
  },
});

export const loadTargets = [loads];
