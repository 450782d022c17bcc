const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const undos = new Set<() => void>();

/**
 * Registers a synchronous undo for what would outlive this process, run at its exit or when a signal stops it.
 * Gives a function that takes the undo back; call that once the orderly clean-up is done. Nothing can run on
 * SIGKILL: whoever registers here also sweeps, at its next start, what dead processes left behind.
 */
export function atExit(undo: () => void): () => void {
  if (undos.size === 0) listen();
  undos.add(undo);
  return () => {
    undos.delete(undo);
    if (undos.size === 0) unlisten();
  };
}

/** Whether a process of this id exists, be it another user's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function listen(): void {
  process.on('exit', undoAll);
  for (const signal of SIGNALS) process.on(signal, undoAndDie);
}

function unlisten(): void {
  process.off('exit', undoAll);
  for (const signal of SIGNALS) process.off(signal, undoAndDie);
}

function undoAll(): void {
  for (const undo of undos) {
    try {
      undo();
    } catch (error) {
      process.stderr.write(`clean-up failed: ${String(error)}\n`);
    }
  }
  undos.clear();
}

function undoAndDie(signal: NodeJS.Signals): void {
  undoAll();
  unlisten();
  // Another listener, a test runner's say, decides by itself what the signal means.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
