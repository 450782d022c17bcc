/** A promise that somebody else settles, and whose rejection nobody has to handle. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Undefined until it has been resolved. */
  readonly value: T | undefined;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  let come: T | undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  promise.catch(() => {});
  return {
    promise,
    resolve: (value) => {
      come = value;
      resolve(value);
    },
    reject,
    get value() {
      return come;
    },
  };
}
