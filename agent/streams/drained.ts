/** Resolves when `stream` takes more, or will never take any. */
export function drained(
  stream: NodeJS.EventEmitter & { readonly destroyed?: boolean; readonly readableEnded?: boolean },
): Promise<void> {
  const events = ['drain', 'end', 'close'];
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    if (stream.destroyed || stream.readableEnded) return resolve();
    for (const event of events) stream.on(event, done);
  });
}
