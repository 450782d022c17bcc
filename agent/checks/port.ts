/** The port at which this host would wait for another one. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { listenError } from '../peer/listen-error.ts';
import { type Check, faultOf, ok } from './check.ts';

export interface PortOptions {
  /** Undefined: all addresses. */
  readonly address: string | undefined;
  readonly port: number;
}

export async function checkPort({ address, port }: PortOptions): Promise<Check> {
  const server = createServer();
  try {
    server.listen({ port, ...(address !== undefined && { host: address }) });
    await once(server, 'listening');
  } catch (error) {
    return faultOf('port', listenError({ address, port }, error as NodeJS.ErrnoException));
  }
  server.close();
  await once(server, 'close');
  const where = address === undefined ? 'all addresses' : address;
  return ok('port', port === 0 ? `a free one on ${where}` : `${port} is free on ${where}`);
}
