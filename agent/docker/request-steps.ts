/** Requests to engines as steps: Node tells of all that it makes, whoever asked for them. */
import { subscribe } from 'node:diagnostics_channel';
import { errorMonitor } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { step } from '../../proto/steps.ts';

const started = new WeakMap<ClientRequest, number>();

/** For the life of the process. Headers and what stands behind `?` are not told. */
export function tellRequests(): void {
  subscribe('http.client.request.start', (message) => {
    const { request } = message as { readonly request: ClientRequest };
    if (!isOfEngine(request)) return;
    started.set(request, performance.now());
    request.on(errorMonitor, (error: NodeJS.ErrnoException) => tell(request, error.code ?? error.message));
  });
  subscribe('http.client.response.finish', (message) => {
    const { request, response } = message as {
      readonly request: ClientRequest;
      readonly response: IncomingMessage;
    };
    if (started.has(request)) tell(request, String(response.statusCode));
  });
}

/** The other requests that we make open a WebSocket to the other host. */
function isOfEngine(request: ClientRequest): boolean {
  return request.getHeader('upgrade') !== 'websocket';
}

function tell(request: ClientRequest, outcome: string): void {
  const ms = Math.round(performance.now() - (started.get(request) ?? 0));
  step('engine', () => `${request.method} ${request.path.replace(/\?.*$/s, '')} ${outcome} ${ms} ms`);
}
