/** Where an engine is said to be: addresses, and the files of docker contexts. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type EndpointOptions, findEndpoint } from '../../agent/docker/endpoint.ts';
import { transportTo } from '../../agent/docker/transport.ts';
import { decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, nastyText, textLike } from './text.ts';

const addresses = textLike(
  fc.constantFrom(
    'unix:///var/run/docker.sock',
    'unix:///a b/%zz#?',
    'tcp://host:2376',
    'tcp://[::1]:2375',
    'http://host',
    'https://host:1/x',
    'ssh://user@host:22',
    'ssh://us%20er@host',
    'ssh://-host',
    'npipe:////./pipe/docker',
    'fd://',
  ),
);

/** Whatever is found can be dialled: what a request needs is there, and nothing else is read into it. */
async function holdsForEndpoint(options: EndpointOptions): Promise<void> {
  const endpoint = await decodedLater(['usage'], () => findEndpoint(options));
  if (!endpoint) return;
  const { options: to, protocol, close } = transportTo(endpoint);
  close();
  if (endpoint.address.startsWith('unix://'))
    return holds(to.socketPath === endpoint.address.slice(7), 'a socket is the one that was named');
  holds(typeof to.host === 'string' && to.host !== '', 'a host is named');
  holds(!new URL(endpoint.address).hostname.startsWith('-'), 'no host is an option');
  const port = Number(to.port ?? 22);
  holds(Number.isInteger(port) && port >= 0 && port <= 65_535, 'a port is one');
  const secure = endpoint.tls !== undefined || endpoint.address.toLowerCase().startsWith('https:');
  if (to.agent === undefined) holds((protocol === 'https') === secure, 'keys and https: mean TLS');
}

const direct = target<{ address: string; by: number; secure: boolean }>({
  name: 'endpoint/address',
  share: 6,
  input: fc.record({ address: addresses, by: fc.nat(1), secure: fc.boolean() }),
  check: ({ address, by, secure }) => {
    const env = { DOCKER_CONFIG: '/nonexistent', ...(secure && { DOCKER_TLS_VERIFY: '1' }) };
    return holdsForEndpoint(
      by === 0 ? { dockerHost: address, env } : { env: { ...env, DOCKER_HOST: address } },
    );
  },
});

const meta: fc.Arbitrary<Json> = addresses.map((Host) => ({
  Name: 'prod',
  Metadata: {},
  Endpoints: { docker: { Host, SkipTLSVerify: false } },
}));
const current = fc.constantFrom<Json>(
  { currentContext: 'prod' },
  { currentContext: 'default' },
  { auths: {} },
);

interface Directory {
  readonly path: string;
  /** Of the context `prod`. */
  readonly meta: string;
}

/** Each case writes two small files, in one place that whoever runs the targets removes. */
let directory: Directory | undefined;

function configDirectory(): Directory {
  if (directory) return directory;
  const path = mkdtempSync(join(tmpdir(), 'imgmv-fuzz-'));
  const meta = join(path, 'contexts/meta', createHash('sha256').update('prod').digest('hex'));
  mkdirSync(meta, { recursive: true });
  directory = { path, meta };
  return directory;
}

const contexts = target<{ config: Buffer; meta: Buffer; named: number; name: string }>({
  name: 'endpoint/context',
  share: 2,
  input: fc.record({ config: jsonLike(current), meta: jsonLike(meta), named: fc.nat(2), name: nastyText }),
  check: async ({ config, meta: metaBytes, named, name }) => {
    const { path, meta: metaDirectory } = configDirectory();
    writeFileSync(join(path, 'config.json'), config);
    writeFileSync(join(metaDirectory, 'meta.json'), metaBytes);
    const env = { DOCKER_CONFIG: path };
    if (named === 0) return holdsForEndpoint({ env });
    return holdsForEndpoint(
      named === 1 ? { context: 'prod', env } : { env: { ...env, DOCKER_CONTEXT: name } },
    );
  },
});

export const endpointTargets = [direct, contexts];
