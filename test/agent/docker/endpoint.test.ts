import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Endpoint, type EndpointOptions, findEndpoint } from '../../../agent/docker/endpoint.ts';
import { transportTo } from '../../../agent/docker/transport.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

describe('an endpoint', () => {
  let scratch: ScratchDirectory;
  let config: string;

  beforeAll(async () => {
    scratch = await scratchDirectory();
    config = join(scratch.path, 'docker');
    await writeContext(
      'prod',
      { Host: 'tcp://prod:2376', SkipTLSVerify: false },
      { ca: 'CA', cert: 'C', key: 'K' },
    );
    await writeContext('lax', { Host: 'tcp://lax:2376', SkipTLSVerify: true });
    await writeContext('plain', { Host: 'unix:///run/plain.sock' });
    await writeContext('empty', {});
    await writeConfig(config, JSON.stringify({ currentContext: 'plain' }));
  });
  afterAll(() => scratch?.[Symbol.asyncDispose]());

  async function writeContext(name: string, docker: object, tls: Record<string, string> = {}): Promise<void> {
    const id = createHash('sha256').update(name).digest('hex');
    const meta = join(config, 'contexts/meta', id);
    const keys = join(config, 'contexts/tls', id, 'docker');
    await mkdir(meta, { recursive: true });
    await mkdir(keys, { recursive: true });
    await writeFile(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker } }));
    for (const [file, text] of Object.entries(tls)) await writeFile(join(keys, `${file}.pem`), text);
  }

  async function writeConfig(directory: string, text: string): Promise<void> {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'config.json'), text);
  }

  /** With every lower rank of docker's order in place. */
  const find = (
    options: Partial<EndpointOptions> = {},
    env: EndpointOptions['env'] = {},
  ): Promise<Endpoint> => findEndpoint({ ...options, env: { DOCKER_CONFIG: config, ...env } });

  it.each([
    {
      by: '--docker-host',
      options: { dockerHost: 'unix:///a' },
      env: { DOCKER_HOST: 'unix:///b', DOCKER_CONTEXT: 'prod' },
      address: 'unix:///a',
    },
    {
      by: 'context prod',
      options: { context: 'prod' },
      env: { DOCKER_HOST: 'unix:///b', DOCKER_CONTEXT: 'lax' },
      address: 'tcp://prod:2376',
    },
    {
      by: 'DOCKER_HOST',
      options: {},
      env: { DOCKER_HOST: 'unix:///b', DOCKER_CONTEXT: 'prod' },
      address: 'unix:///b',
    },
    { by: 'context lax', options: {}, env: { DOCKER_CONTEXT: 'lax' }, address: 'tcp://lax:2376' },
    { by: 'context plain', options: {}, env: {}, address: 'unix:///run/plain.sock' },
    {
      by: 'context plain',
      options: {},
      env: { DOCKER_HOST: '', DOCKER_CONTEXT: '' },
      address: 'unix:///run/plain.sock',
    },
  ])('is found by $by', async ({ by, options, env, address }) => {
    expect(await find(options, env)).toMatchObject({ address, foundBy: by });
  });

  it.each([{ context: 'default' }, {}])(
    'is the default socket for %j where nothing else is named',
    async (options) => {
      const DOCKER_CONFIG = join(scratch.path, 'none');
      const found = await findEndpoint({ ...options, env: { DOCKER_CONFIG } });
      expect(found).toEqual({ address: 'unix:///var/run/docker.sock', foundBy: 'the default socket' });
    },
  );

  it('takes "default" as the current context for none', async () => {
    const DOCKER_CONFIG = join(scratch.path, 'default');
    await writeConfig(DOCKER_CONFIG, JSON.stringify({ currentContext: 'default', auths: {} }));
    expect((await findEndpoint({ env: { DOCKER_CONFIG } })).foundBy).toBe('the default socket');
  });

  it('looks for its configuration under HOME', async () => {
    const HOME = join(scratch.path, 'home');
    await writeConfig(join(HOME, '.docker'), JSON.stringify({ currentContext: 'at-home' }));
    await expect(findEndpoint({ env: { HOME } })).rejects.toThrow(/names the docker context "at-home"/);
  });

  // Skipped where this machine has an engine of its own: that one goes first.
  it.skipIf(existsSync('/var/run/docker.sock'))(
    'is the rootless socket where there is no other',
    async () => {
      const XDG_RUNTIME_DIR = scratch.path;
      const socket = join(scratch.path, 'docker.sock');
      await using server = listening(socket);
      await server.ready;
      const env = { DOCKER_CONFIG: join(scratch.path, 'none'), XDG_RUNTIME_DIR };
      const found = await findEndpoint({ env });
      expect(found).toEqual({ address: `unix://${socket}`, foundBy: 'the rootless socket' });
    },
  );

  it('brings the keys of its context', async () => {
    const tls = { ca: Buffer.from('CA'), cert: Buffer.from('C'), key: Buffer.from('K'), skipVerify: false };
    expect((await find({ context: 'prod' })).tls).toEqual(tls);
    expect((await find({ context: 'lax' })).tls).toEqual({ skipVerify: true });
    expect(await find({ context: 'plain' })).not.toHaveProperty('tls');
  });

  it.each([
    [{ DOCKER_TLS_VERIFY: '1' }, false],
    [{}, true],
  ])('brings the keys of DOCKER_CERT_PATH with %j', async (verify, skipVerify) => {
    const DOCKER_CERT_PATH = join(scratch.path, 'certs');
    await mkdir(DOCKER_CERT_PATH, { recursive: true });
    await writeFile(join(DOCKER_CERT_PATH, 'ca.pem'), 'CA');
    const found = await find({}, { DOCKER_HOST: 'tcp://h:1', DOCKER_CERT_PATH, ...verify });
    expect(found.tls).toEqual({ ca: Buffer.from('CA'), skipVerify });
  });

  it.each([
    [{ dockerHost: 'unix:///a', context: 'prod' }, '--docker-host and --context exclude each other'],
    [{ context: 'no-such' }, '--context names the docker context "no-such", which does not exist'],
    [{ context: 'empty' }, 'the docker context "empty" names no docker host'],
    [{ dockerHost: 'prod:2375' }, '--docker-host gives "prod:2375", which is not a docker host'],
    [{ dockerHost: 'fd://' }, '--docker-host gives "fd://", which is not a docker host'],
    [{ dockerHost: 'npipe:////./pipe/docker' }, 'which is not a docker host'],
    [{ dockerHost: 'tcp://h:99999' }, 'which is not a docker host'],
    [{ dockerHost: 'tcp://[::1' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh:///x' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://-oProxyCommand=x' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://u@-h/x' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://%zz@h' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://h/%zz' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://u:secret@h' }, 'which is not a docker host'],
    [{ dockerHost: 'ssh://h/run/docker.sock?x=1' }, 'which is not a docker host'],
  ])('is none for %j', async (options, message) => {
    await expect(find(options)).rejects.toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(message) }),
    );
  });

  it.each(['/run/docker.sock', '/a b/50%/c#d?e.sock', 'here.sock'])(
    'leads to the very path of a socket: %s',
    async (path) => {
      expect(transportTo(await find({ dockerHost: `unix://${path}` })).options.socketPath).toBe(path);
    },
  );

  it('is none where the configuration is broken', async () => {
    const DOCKER_CONFIG = join(scratch.path, 'broken');
    await writeConfig(DOCKER_CONFIG, '{');
    const message = `${join(DOCKER_CONFIG, 'config.json')} is not JSON`;
    await expect(findEndpoint({ env: { DOCKER_CONFIG } })).rejects.toThrow(
      expect.objectContaining({ code: 'usage', message }),
    );
  });

  it('passes over a broken configuration with a warning where somebody is there to be told', async () => {
    const DOCKER_CONFIG = join(scratch.path, 'broken');
    await writeConfig(DOCKER_CONFIG, '{');
    const warnings: string[] = [];
    const found = await findEndpoint({ env: { DOCKER_CONFIG }, warn: (message) => warnings.push(message) });
    expect(found.foundBy).toBe('the default socket');
    expect(warnings).toEqual([expect.stringMatching(/config\.json is not JSON: no docker context/)]);
  });

  it.each(['null', '[]', '"text"', '{"currentContext":5}'])(
    'passes over a configuration of %s',
    async (text) => {
      const DOCKER_CONFIG = join(scratch.path, 'odd');
      await writeConfig(DOCKER_CONFIG, text);
      expect((await findEndpoint({ env: { DOCKER_CONFIG } })).foundBy).toBe('the default socket');
    },
  );
});

/** Something at `path` that looks like an engine's socket. */
function listening(path: string): AsyncDisposable & { readonly ready: Promise<void> } {
  const server = createServer();
  return {
    ready: new Promise((resolve) => server.listen(path, resolve)),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
