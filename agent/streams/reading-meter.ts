/** How far the reading of archives is, for those who wait for it. */
import { tap } from './tap.ts';

export type ReadingPhase = 'index' | 'layers';

export class ReadingMeter {
  /** First what is in an archive is looked up, then the layers that are wanted are checked. */
  phase: ReadingPhase = 'index';
  /** Of the files as they are stored, in this phase. */
  bytes = 0;
  /** What `bytes` will be in the end; undefined where a stream does not tell its length. */
  total: number | undefined;
  /** What has been decompressed so far, in both phases. */
  inflated = 0;

  begin(phase: ReadingPhase, total: number | undefined): void {
    this.phase = phase;
    this.bytes = 0;
    this.total = total;
  }

  over(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    return tap(chunks, ({ length }) => {
      this.bytes += length;
    });
  }
}
