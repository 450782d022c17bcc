/** Tells that an archive is being read, and how far it is as long as that takes. */
import { tmpdir } from 'node:os';
import { type ArchiveEndpoint, archiveText } from '../archive/endpoint.ts';
import type { Emit } from '../model/events.ts';
import { ReadingMeter } from '../streams/reading-meter.ts';

const INTERVAL_MS = 500;

export class Reading {
  readonly #archive: string;
  readonly #spool: string | null;
  readonly #emit: Emit;
  readonly #meter = new ReadingMeter();

  constructor(endpoint: ArchiveEndpoint, emit: Emit) {
    this.#archive = archiveText(endpoint);
    this.#spool = endpoint.path === '-' ? tmpdir() : null;
    this.#emit = emit;
    this.#tell(false);
  }

  /** Once for what is in it, and once for its layers; each with its own count. */
  async during<T>(work: (meter: ReadingMeter) => Promise<T>): Promise<T> {
    let told = false;
    const timer = setInterval(() => {
      told = true;
      this.#tell(false);
    }, INTERVAL_MS);
    try {
      return await work(this.#meter);
    } finally {
      clearInterval(timer);
      if (told) this.#tell(true);
    }
  }

  #tell(done: boolean): void {
    const { bytes, inflated, phase, total } = this.#meter;
    this.#emit({
      event: 'reading',
      archive: this.#archive,
      spool: this.#spool,
      phase,
      bytes,
      bytesTotal: total ?? null,
      inflated,
      done,
    });
  }
}
