/** Work on many things, a few of them at a time. */

/** What an engine is asked beside its other work: looking up is quick. */
export const LOOKUPS_AT_ONCE = 8;

/** Results in the order of `items`. The first failure is thrown; what has begun goes on, nothing new begins. */
export async function atOnce<T, R>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const worker = async () => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        results[at] = await work(items[at] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
