import { collectAll } from '../proto/garbage.ts';

/**
 * Ends the process. Node waits for the thread that compiles code. If that thread has no room in the heap, it waits for a
 * collection, which only the main thread could make: about one transfer of 500 hung so, at its very end. After a collection
 * there is room. https://github.com/nodejs/node/issues/54918
 */
export function endProcess(status: number): never {
  collectAll();
  process.exit(status);
}
