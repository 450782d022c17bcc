/** What is to come, or has come: a promise that others settle, and whose rejection nobody has to handle. */
export interface Awaited<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Undefined until it has come. */
  readonly value: T | undefined;
}

export function awaited<T>(): Awaited<T> {
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
