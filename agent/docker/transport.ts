/** How requests reach an endpoint: options for node:http(s), over a socket, TCP, TLS, or ssh. */
import { type Agent, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Endpoint } from './endpoint.ts';
import { type OpenOptions, sshConnection } from './ssh.ts';

export interface Transport {
  readonly options: RequestOptions & {
    ca?: Buffer;
    cert?: Buffer;
    key?: Buffer;
    rejectUnauthorized?: boolean;
  };
  readonly request: typeof requestHttp;
  readonly protocol: 'http' | 'https';
  /** For requests that are answered at once, in place of the one in `options`. */
  readonly callAgent?: Agent;
  /** Waits until requests can be made, be it for a password. Throws engine-unavailable, or the reason of the signal. */
  open(options: OpenOptions): Promise<void>;
  /** By ssh: whether connections share one process, so that there may be any number of them. */
  readonly forwards?: () => boolean;
  /** By ssh: what it said when it lost the other host; undefined where it has not. */
  readonly lost?: () => string | undefined;
  /** By ssh: resolves once `lost` says whether that is why a connection has just broken. */
  readonly settled?: () => Promise<void>;
  /** By ssh: bytes that are free on the disk of a path there; undefined where that does not show. */
  readonly freeBytesAt?: (path: string) => Promise<number | undefined>;
  /** Ends all connections. May be called twice. */
  close(): void;
}

export function transportTo(endpoint: Endpoint): Transport {
  // As docker has it: nothing in a path is escaped.
  if (endpoint.address.startsWith('unix://'))
    return plain({ socketPath: endpoint.address.slice('unix://'.length) });
  const url = new URL(endpoint.address);
  switch (url.protocol) {
    case 'ssh:': {
      const { agent, ...connection } = sshConnection(endpoint);
      return { ...plain({ host: 'docker', agent }), ...connection };
    }
    default: {
      const secure = url.protocol === 'https:' || endpoint.tls !== undefined;
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const address = { host, port: Number(url.port || (secure ? 2376 : 2375)) };
      if (!secure) return plain(address);
      const { skipVerify, ...keys } = endpoint.tls ?? { skipVerify: false };
      return {
        ...plain({}),
        options: { ...address, ...keys, rejectUnauthorized: !skipVerify },
        request: requestHttps,
        protocol: 'https',
      };
    }
  }
}

function plain(options: RequestOptions): Transport {
  return { options, request: requestHttp, protocol: 'http', open: async () => {}, close() {} };
}
