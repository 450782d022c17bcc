/** Another host: whether it is reached, and what answers there. */
import { toImgmvError } from '../../proto/errors.ts';
import { step } from '../../proto/steps.ts';
import { dial } from '../../proto/websocket.ts';
import { type Check, faultOf, ok } from './check.ts';

export interface HostOptions {
  /** ws:// or wss:// */
  readonly url: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Connects as a sender does, and goes away before either side has said who it is: no code is used up. */
export async function checkHost({ url, timeoutMs, signal }: HostOptions): Promise<Check> {
  step('connection', () => `dial ${new URL(url).host}`);
  try {
    const socket = await dial(url, { timeoutMs, signal });
    const { selected } = socket.negotiation;
    socket.close(1000);
    await socket.closed;
    return ok('host', `at ${url} an imgmv waits for a sender (${selected})`);
  } catch (error) {
    signal.throwIfAborted();
    step('connection', () => `failed ${new URL(url).host}: ${toImgmvError(error).code}`);
    return faultOf('host', error);
  }
}
