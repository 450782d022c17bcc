/** Signals: the first one stops in order, the second at once. */
import { constants } from 'node:os';
import { ImgmvError } from '../proto/errors.ts';
import { endProcess } from './end-process.ts';

const SIGNALS = { SIGHUP: 'sighup', SIGINT: 'sigint', SIGTERM: 'sigterm' } as const;

/** Aborted with an ImgmvError whose exit status is that of the signal; `onStop` tells people meanwhile. */
export function stopSignal(onStop: () => void): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (controller.signal.aborted) endProcess(128 + constants.signals[signal as keyof typeof SIGNALS]);
      onStop();
      controller.abort(new ImgmvError(code, `stopped by ${signal}`));
    });
  }
  return controller.signal;
}

/** Where a terminal is in raw mode Ctrl-C is a key, not a signal, until we make it one. */
export function interrupt(): void {
  process.kill(process.pid, 'SIGINT');
}
