/** Calls of an engine's API that are answered at once: each with a deadline, and with a stop, that end its request. */

/** Inspecting is quick, yet an engine that is loading gigabytes may take its time. */
export const CALL_TIMEOUT_MS = 60_000;
/** Of what undoes something after a stop; a second signal ends the process at once. */
const UNDO_TIMEOUT_MS = 10_000;
/** How long what was changing something when the stop came may take to say whether it has. */
const STOPPED_TIMEOUT_MS = 1_500;

/** Of docker-modem, under dockerode. */
export interface Modem {
  dial(options: object, callback: (error: unknown, data: unknown) => void): void;
}

export interface Call {
  /** For the error: `inspect web:1.0`. */
  readonly what: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Ends in `?` where there are `options`. */
  readonly path: string;
  readonly options?: Record<string, unknown>;
  /** Of success; 200 where left out. */
  readonly status?: number;
  readonly timeoutMs?: number;
}

export class Calls {
  readonly #modem: Modem;
  readonly #stop: AbortSignal | undefined;
  /** What a stop does to each call that is under way. */
  readonly #underWay = new Set<() => void>();
  readonly #onStop = () => {
    for (const stopped of this.#underWay) stopped();
  };

  /** After `stop` what only asks is given up at once; what is called later undoes something. */
  constructor(modem: Modem, stop: AbortSignal | undefined) {
    this.#modem = modem;
    this.#stop = stop;
    stop?.addEventListener('abort', this.#onStop, { once: true });
  }

  /** No call is made any more: the signal may live longer. */
  close(): void {
    this.#stop?.removeEventListener('abort', this.#onStop);
  }

  /**
   * What the engine answers. Throws what docker-modem throws, an error if no answer comes in time, or the reason of the
   * stop; in each case the request is closed. An engine that already has the request may still carry it out: a classic
   * store that was frozen sets the name once it goes on (measured on 20.10 and 28). The error says so.
   */
  answer<T>({ what, method, path, options, status = 200, timeoutMs = CALL_TIMEOUT_MS }: Call): Promise<T> {
    const stop = this.#stop;
    const request = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    let stopped = () => {};
    // An engine that dies in the body of an answer leaves docker-modem without an answer for ever.
    const answered = new Promise<T>((resolve, reject) => {
      const giveUp = (reason: unknown) => {
        reject(reason);
        request.abort(reason);
      };
      const within = (ms: number) => {
        clearTimeout(timer);
        const still = method === 'GET' ? '' : ', and the engine may still do it';
        const late = new Error(`no answer within ${ms / 1000} s (${what})${still}`);
        timer = setTimeout(() => giveUp(stop?.aborted ? stop.reason : late), ms);
      };
      stopped = () => (method === 'GET' ? giveUp(stop?.reason) : within(STOPPED_TIMEOUT_MS));
      within(stop?.aborted ? UNDO_TIMEOUT_MS : timeoutMs);
      this.#underWay.add(stopped);
      const dialled = { path, method, statusCodes: { [status]: true }, abortSignal: request.signal };
      this.#modem.dial({ ...dialled, ...(options && { options }) }, (error, data) =>
        error ? reject(error) : resolve((data ?? {}) as T),
      );
    });
    return answered.finally(() => {
      clearTimeout(timer);
      this.#underWay.delete(stopped);
    });
  }
}
