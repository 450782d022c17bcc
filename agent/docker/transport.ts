/** How requests reach an endpoint: options for node:http(s), over a socket, TCP, TLS, or `ssh … dial-stdio`. */
import { spawn } from 'node:child_process';
import { Agent, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { ImgmvError } from '../../proto/errors.ts';
import type { Endpoint } from './endpoint.ts';

export interface Transport {
  readonly options: RequestOptions & {
    ca?: Buffer;
    cert?: Buffer;
    key?: Buffer;
    rejectUnauthorized?: boolean;
  };
  readonly request: typeof requestHttp;
  readonly protocol: 'http' | 'https';
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
        protocol: 'https',
      };
    }
  }
}

function plain(options: RequestOptions): Transport {
  return { options, request: requestHttp, protocol: 'http' };
}

/**
 * Each connection is one `ssh … docker system dial-stdio`, as docker/cli cli/connhelper has it: a path in the URL is
 * that of the socket there.
 */
class SshAgent extends Agent {
  readonly #arguments: readonly string[];

  constructor(url: URL) {
    super({ keepAlive: false });
    const user = url.username === '' ? [] : ['-l', decodeURIComponent(url.username)];
    const port = url.port === '' ? [] : ['-p', url.port];
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const path = decodeURIComponent(url.pathname).replace(/^\/$/, '');
    const socket = path === '' ? [] : ['--host', quoted(`unix://${path}`)];
    const command = ['docker', ...socket, 'system', 'dial-stdio'];
    this.#arguments = ['-o', 'ConnectTimeout=30', '-T', ...user, ...port, '--', host, ...command];
  }

  override createConnection(): Duplex {
    const child = spawn('ssh', this.#arguments, { stdio: ['pipe', 'pipe', 'inherit'] });
    const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin });
    child.once('error', (error) => duplex.destroy(unrunnable(error)));
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

/** For the shell of the other host, which is given what ssh has for a command in one line. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function unrunnable(cause: Error): ImgmvError {
  const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const why = missing ? 'there is no ssh on this host' : `ssh cannot be run: ${cause.message}`;
  return new ImgmvError('engine-unavailable', `the docker engine cannot be reached: ${why}`, {
    cause,
    ...(missing && { hint: 'ssh:// needs the OpenSSH client (package openssh-client), in PATH' }),
  });
}
