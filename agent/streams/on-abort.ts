/** Calls `stop` once `signal` is aborted, at once where it is already, unless this is disposed of before. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): Disposable {
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  return { [Symbol.dispose]: () => signal?.removeEventListener('abort', stop) };
}
