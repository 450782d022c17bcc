/**
 * The thread that reads layers: what it does is synchronous, and a slow disk would hold up all else. layer-thread.ts
 * has the other end. Bundled into the program as text.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { threadSeconds } from '../../../../proto/processor-time.ts';
import { LayerFiles } from './layer-files.ts';
import { CHUNKS_AHEAD, type Request, type Response, type WorkerData } from './layer-messages.ts';
import type { Layout } from './layout.ts';
import { layoutOf } from './layouts.ts';
import { Odd } from './odd.ts';

const { root, kind, driver } = workerData as WorkerData;
const layout = layoutOf(kind, driver) as Layout;
const readings = new Map<number, Reading>();
let files: LayerFiles | undefined;

/** One layer that is being read: how many chunks more are wanted, and whoever waits for that. */
class Reading {
  #wanted = CHUNKS_AHEAD;
  #wake: (() => void) | undefined;
  stopped = false;

  more(): void {
    this.#wanted++;
    this.#wake?.();
  }

  stop(): void {
    this.stopped = true;
    this.#wake?.();
  }

  async turn(): Promise<void> {
    while (this.#wanted === 0 && !this.stopped)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#wanted--;
  }
}

parentPort?.on('message', (request: Request) => {
  if (request.type === 'more') {
    if (request.spare) files?.reuse(request.spare);
    return readings.get(request.id)?.more();
  }
  if (request.type === 'stop') return readings.get(request.id)?.stop();
  const { id } = request;
  answer(request).catch((error: NodeJS.ErrnoException) => {
    // What the system says of a disk is about what lies there; all else is a fault of ours.
    const odd = error instanceof Odd || error.syscall === undefined ? error : Odd.of(error, root);
    if (!(odd instanceof Odd)) return tell({ type: 'failed', id, error });
    const { message: why, hopeless, code } = odd;
    tell({ type: 'odd', id, why, hopeless, code });
  });
});

async function answer(request: Exclude<Request, { type: 'more' | 'stop' }>): Promise<void> {
  const { id } = request;
  files ??= new LayerFiles(root, layout);
  if (request.type === 'find')
    return tell({ type: 'found', id, image: files.find(request.image, request.positions) });
  if (request.type === 'measure')
    return tell({ type: 'measured', id, bytes: await files.measure(request.layer) });
  if (request.type === 'check') {
    await files.check(request.layer);
    return tell({ type: 'checked', id });
  }
  const reading = new Reading();
  readings.set(id, reading);
  try {
    for await (const chunk of files.read(request.layer)) {
      await reading.turn();
      if (reading.stopped) break;
      tell({ type: 'chunk', id, bytes: chunk }, [chunk.buffer as ArrayBuffer]);
    }
    tell({ type: 'end', id, seconds: threadSeconds() });
  } finally {
    readings.delete(id);
  }
}

function tell(response: Response, moved: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(response, moved);
}
