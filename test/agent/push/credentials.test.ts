/** Credentials as the docker command finds them: docker/cli cli/config/configfile. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findCredentials } from '../../../agent/push/credentials.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';
import { writeDockerConfig, writeHelper } from './docker-directory.ts';

const HOST = 'r.example:5000';
const HUB = 'https://index.docker.io/v1/';
const NOT_FOUND = "echo 'credentials not found in native keychain'; exit 1";
const auth = (text: string) => Buffer.from(text).toString('base64');

describe('credentials', () => {
  let scratch: ScratchDirectory;
  beforeAll(async () => {
    scratch = await scratchDirectory();
    const answer = (user: string, secret: string) =>
      `[ "$1" = get ] && printf '{"ServerURL":"%s","Username":"${user}","Secret":"${secret}"}' "$(cat)"`;
    await writeHelper(scratch.path, 'good', answer('helped', 'p:w'));
    // It says as a user name what it is told, and has no argument but `get`.
    await writeHelper(
      scratch.path,
      'told',
      `[ "$*" = get ] && printf '{"Username":"%s","Secret":"s"}' "$(cat)"`,
    );
    await writeHelper(scratch.path, 'token', answer('<token>', 'identity'));
    await writeHelper(scratch.path, 'none', NOT_FOUND);
    await writeHelper(scratch.path, 'fails', "echo 'p:w'; echo 'p:w' >&2; exit 3");
    await writeHelper(scratch.path, 'text', 'echo p:w');
    await writeHelper(scratch.path, 'deaf', 'exec 0<&-; echo \'{"Username":"u","Secret":"s"}\'');
    await writeHelper(scratch.path, 'endless', 'exec yes p:w');
    await writeHelper(scratch.path, 'slow', 'exec sleep 30');
  });
  beforeEach(() => writeDockerConfig(scratch.path, {}));
  afterAll(() => scratch?.[Symbol.asyncDispose]());

  const find = async (domain: string, config: unknown, signal = new AbortController().signal) => {
    await writeDockerConfig(scratch.path, config);
    const env = { DOCKER_CONFIG: scratch.path, PATH: `${scratch.path}:${process.env.PATH}` };
    const found = await findCredentials(domain, { env, signal });
    return found && { ...JSON.parse(found.auth.reveal()), from: found.from.replace(`${scratch.path}/`, '') };
  };

  it.each<readonly [string, string, unknown, unknown]>([
    ['none without an entry', HOST, { auths: { 'other.example': { auth: auth('u:p') } } }, undefined],
    ['none in an empty file', HOST, {}, undefined],
    ['none in an empty entry', HOST, { auths: { [HOST]: {} } }, undefined],
    ['an entry', HOST, { auths: { [HOST]: { auth: auth('u:p:w') } } }, { username: 'u', password: 'p:w' }],
    [
      'zeros behind a password',
      HOST,
      { auths: { [HOST]: { auth: auth('u:p\0\0') } } },
      { username: 'u', password: 'p' },
    ],
    [
      'an old entry',
      HOST,
      { auths: { [`https://${HOST}/v1/`]: { auth: auth('u:p') } } },
      { username: 'u', password: 'p' },
    ],
    [
      'the very entry before an old one',
      HOST,
      { auths: { [`http://${HOST}`]: { auth: auth('o:o') }, [HOST]: { auth: auth('u:p') } } },
      { username: 'u', password: 'p' },
    ],
    ['no other port', 'r.example', { auths: { [HOST]: { auth: auth('u:p') } } }, undefined],
    [
      'an identity token',
      HOST,
      { auths: { [HOST]: { auth: auth('u:'), identitytoken: 't' } } },
      { username: 'u', password: '', identitytoken: 't' },
    ],
    [
      'name and password in clear',
      HOST,
      { auths: { [HOST]: { username: 'u', password: 'p' } } },
      { username: 'u', password: 'p' },
    ],
    [
      'of Docker Hub',
      'docker.io',
      { auths: { [HUB]: { auth: auth('u:p') } } },
      { username: 'u', password: 'p', serveraddress: HUB },
    ],
    ['no prototype for an entry', '__proto__', { auths: {}, credHelpers: {} }, undefined],
  ])('%s', async (_name, domain, config, want) => {
    const more = { serveraddress: domain, from: 'config.json' };
    expect(await find(domain, config)).toEqual(want && { ...more, ...(want as object) });
  });

  it.each<readonly [string, unknown, unknown]>([
    [
      'for all hosts',
      { credsStore: 'good', auths: { [HOST]: { auth: auth('u:p') } } },
      { username: 'helped', password: 'p:w' },
    ],
    [
      'for one host, before that for all',
      { credsStore: 'fails', credHelpers: { [HOST]: 'good' } },
      { username: 'helped', password: 'p:w' },
    ],
    ['for another host: not asked', { credHelpers: { 'other.example': 'fails' } }, undefined],
    [
      'that has none: the file is not asked in its place',
      { credsStore: 'none', auths: { [HOST]: { auth: auth('u:p') } } },
      undefined,
    ],
    ['with an identity token', { credsStore: 'token' }, { identitytoken: 'identity' }],
    ['that does not read', { credsStore: 'deaf' }, { username: 'u', password: 's' }],
  ])('a helper %s', async (_name, config, want) => {
    const found = await find(HOST, config);
    expect(found).toEqual(
      want && {
        serveraddress: HOST,
        from: expect.stringMatching(/^docker-credential-/),
        ...(want as object),
      },
    );
  });

  it('a helper is told the host, and that of Docker Hub as docker calls it', async () => {
    expect(await find(HOST, { credsStore: 'told' })).toMatchObject({ username: HOST, serveraddress: HOST });
    const hub = await find('docker.io', { credHelpers: { [HUB]: 'told' } });
    expect(hub).toMatchObject({ username: HUB, serveraddress: HUB });
  });

  it.each<readonly [string, unknown, RegExp, RegExp]>([
    [
      'fails',
      { credsStore: 'fails' },
      /docker-credential-fails .* ended with status 3$/,
      /echo r\.example:5000 \|/,
    ],
    ['says something else', { credsStore: 'text' }, /did not return credentials$/, /shows what is wrong/],
    ['says too much', { credsStore: 'endless' }, /gave more than 65536 bytes$/, /shows what is wrong/],
    [
      'has no name',
      { credsStore: '../x' },
      /names the helper "\.\.\/x", which is not a valid name$/,
      /docker-credential-NAME/,
    ],
    [
      'has options in its name',
      { credHelpers: { [HOST]: 'x y' } },
      /which is not a valid name$/,
      /docker-credential-NAME/,
    ],
  ])(
    'a helper that %s: an error that names it, and repeats nothing of it',
    async (_name, config, message, hint) => {
      const error = await find(HOST, config).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'push-failed',
        message: expect.stringMatching(message),
        hint: expect.stringMatching(hint),
      });
      expect(JSON.stringify([error, (error as Error).message, (error as Error).cause])).not.toContain('p:w');
    },
  );

  it('a helper that waits: a stop ends it', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new ImgmvError('sigint', 'stopped')), 100);
    await expect(find(HOST, { credsStore: 'slow' }, stop.signal)).rejects.toMatchObject({ code: 'sigint' });
  });

  it.each<readonly [string, unknown, RegExp]>([
    ['no JSON', '{"auths":{"r.example:5000":{"auth":"c2VjcmV0', /config\.json is not JSON$/],
    [
      'another shape',
      { auths: { [HOST]: 'c2VjcmV0' } },
      /config\.json does not look like docker's, at auths\.r\.example:5000$/,
    ],
    [
      'an entry without a colon',
      { auths: { [HOST]: { auth: 'c2VjcmV0' } } },
      /does not look like docker's, at auths "r\.example:5000"$/,
    ],
    ['a helper of another type', { credsStore: 7 }, /at credsStore$/],
    [
      'a helper that is not there',
      { credsStore: 'missing' },
      /docker-credential-missing \(.*config\.json\) does not exist$/,
    ],
  ])('a configuration with %s: none, and a warning that names it', async (_name, config, message) => {
    await writeDockerConfig(scratch.path, config);
    const warnings: string[] = [];
    const found = await findCredentials(HOST, {
      env: { DOCKER_CONFIG: scratch.path, PATH: `${scratch.path}:${process.env.PATH}` },
      signal: new AbortController().signal,
      warn: (text) => warnings.push(text),
    });
    expect(found).toBeUndefined();
    expect(warnings.map((text) => text.split(': the push is tried without credentials; ')[0])).toEqual([
      expect.stringMatching(message),
    ]);
    expect(warnings.join()).not.toContain('c2Vj');
  });

  it('no file is no error', async () => {
    const env = { DOCKER_CONFIG: `${scratch.path}/absent` };
    expect(await findCredentials(HOST, { env, signal: new AbortController().signal })).toBeUndefined();
  });

  it('show in no text that is made of them', async () => {
    await writeDockerConfig(scratch.path, { auths: { [HOST]: { auth: auth('u:p4ssw0rd') } } });
    const found = await findCredentials(HOST, {
      env: { DOCKER_CONFIG: scratch.path },
      signal: new AbortController().signal,
    });
    expect(`${found?.auth} ${JSON.stringify(found)}`).not.toMatch(/p4ssw0rd/);
    expect(found?.hiddenIn(`a p4ssw0rd, and ${auth('u:p4ssw0rd')}`)).toBe('a [secret], and [secret]');
    const header = Buffer.from(found?.auth.reveal() ?? '').toString('base64url');
    expect(found?.hiddenIn(`of ${header}`)).toBe('of [secret]');
    expect(found?.hiddenIn('u is no user')).toBe('u is no user');
  });
});
