/** How requests reach an endpoint: options for node:http(s), over a socket, TCP, TLS, or `ssh … dial-stdio`. */
import { spawn } from 'node:child_process';
import { Agent, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Endpoint } from './endpoint.ts';

export interface Transport {
  readonly options: RequestOptions & {
    ca?: Buffer;
    cert?: Buffer;
    key?: Buffer;
    rejectUnauthorized?: boolean;
  };
  readonly request: typeof requestHttp;
}

export function transportTo(endpoint: Endpoint): Transport {
  // As docker has it: nothing in a path is escaped.
  if (endpoint.address.startsWith('unix://'))
    return plain({ socketPath: endpoint.address.slice('unix://'.length) });
  const url = new URL(endpoint.address);
  switch (url.protocol) {
    case 'ssh:':
      return plain({ host: 'docker', agent: new SshAgent(url) });
    default: {
      const secure = url.protocol === 'https:' || endpoint.tls !== undefined;
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const address = { host, port: Number(url.port || (secure ? 2376 : 2375)) };
      if (!secure) return plain(address);
      const { skipVerify, ...keys } = endpoint.tls ?? { skipVerify: false };
      return {
        options: { ...address, ...keys, rejectUnauthorized: !skipVerify },
        request: requestHttps,
      };
    }
  }
}

function plain(options: RequestOptions): Transport {
  return { options, request: requestHttp };
}

/** Each connection is one `ssh … docker system dial-stdio`, as docker/cli cli/connhelper has it. */
class SshAgent extends Agent {
  readonly #arguments: readonly string[];

  constructor(url: URL) {
    super({ keepAlive: false });
    const user = url.username === '' ? [] : ['-l', decodeURIComponent(url.username)];
    const port = url.port === '' ? [] : ['-p', url.port];
    const host = url.hostname.replace(/^\[|\]$/g, '');
    this.#arguments = [
      '-o',
      'ConnectTimeout=30',
      '-T',
      ...user,
      ...port,
      '--',
      host,
      'docker',
      'system',
      'dial-stdio',
    ];
  }

  override createConnection(): Duplex {
    const child = spawn('ssh', this.#arguments, { stdio: ['pipe', 'pipe', 'inherit'] });
    const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin });
    child.once('error', (error) => duplex.destroy(error));
    duplex.once('close', () => child.kill());
    const handles = [child, child.stdin as Socket, child.stdout as Socket];
    // node:http asks these of what it takes for a TCP socket.
    return Object.assign(duplex, {
      setKeepAlive: () => duplex,
      setNoDelay: () => duplex,
      setTimeout: () => duplex,
      ref: () => {
        for (const handle of handles) handle.ref();
      },
      unref: () => {
        for (const handle of handles) handle.unref();
      },
    });
  }
}
