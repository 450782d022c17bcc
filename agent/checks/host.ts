/** Another host: whether it is reached, and what answers there. */
import { connect, type Socket } from 'node:net';
import { toImgmvError } from '../../proto/errors.ts';
import { step } from '../../proto/steps.ts';
import { dial } from '../../proto/websocket.ts';
import { type Check, fault, faultOf, ok } from './check.ts';

const GREETING_TIMEOUT_MS = 2_000;
const GREETING_MAX_BYTES = 255;
const PORTS: Readonly<Record<string, number>> = { 'ws:': 80, 'wss:': 443 };

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
    const failure = toImgmvError(error);
    step('connection', () => `failed ${new URL(url).host}: ${failure.code}`);
    const found =
      failure.code === 'not-imgmv' || failure.code === 'no-answer' ? await greetingOf(url) : undefined;
    if (found === undefined || failure.about === 'other-web-server') return faultOf('host', failure);
    const { host } = new URL(url);
    if (/^SSH-/.test(found)) return fault('host', 'not-imgmv', `${host} is an ssh server, not imgmv`);
    if (failure.code === 'no-answer' && found === '')
      return fault(
        'host',
        'not-imgmv',
        `${host} accepts the connection, but says nothing: that is not imgmv`,
      );
    return faultOf('host', failure);
  }
}

/** What speaks first there; '' for what takes a connection and waits; undefined where none is taken. */
async function greetingOf(url: string): Promise<string | undefined> {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(port || PORTS[protocol]) });
  try {
    return await greeting(socket);
  } finally {
    socket.destroy();
  }
}

function greeting(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let connected = false;
    const end = () => resolve(connected ? '' : undefined);
    const timer = setTimeout(end, GREETING_TIMEOUT_MS);
    socket.once('connect', () => {
      connected = true;
    });
    socket.once('data', (bytes) => resolve(bytes.subarray(0, GREETING_MAX_BYTES).toString('latin1')));
    socket.once('error', end);
    socket.once('close', () => {
      clearTimeout(timer);
      end();
    });
  });
}
