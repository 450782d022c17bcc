/**
 * Credentials for a registry, found as the docker command finds them: in `config.json`, or from the helper that
 * it names for the host or for all hosts. docker/cli cli/config. They are held for one push, and never stored.
 */
import * as v from 'valibot';
import { ImgmvError } from '../../proto/errors.ts';
import { Secret } from '../../proto/secret.ts';
import { type Environment, readConfig } from '../docker/docker-config.ts';
import { askHelper, type CredentialOptions, helperProgram, NoCredentials } from './credential-helper.ts';
import { hideSecrets } from './hidden.ts';

export interface Credentials {
  /** An AuthConfig of docker's API, as JSON. */
  readonly auth: Secret;
  /** Where they are from, for people: the file, or the program. */
  readonly from: string;
  /** A text without what is secret in them: a registry may repeat what it was sent. */
  readonly hiddenIn: (text: string) => string;
}

/** What of an entry of `auths` we read. `auth` is base64 of `user:password`. */
const entry = v.object({
  auth: v.nullish(v.string()),
  username: v.nullish(v.string()),
  password: v.nullish(v.string()),
  identitytoken: v.nullish(v.string()),
  registrytoken: v.nullish(v.string()),
});
type Entry = v.InferOutput<typeof entry>;

const configFile = v.nullish(
  v.object({
    auths: v.nullish(v.record(v.string(), entry)),
    credHelpers: v.nullish(v.record(v.string(), v.string())),
    credsStore: v.nullish(v.string()),
  }),
);

const MEND_CONFIG = 'correct or remove that file; `docker login` makes a new one';
const DOCKER_HUB = 'docker.io';
/** What docker calls it in its configuration. */
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

/**
 * Undefined where there are none for the registry `domain`. As docker does, it warns of a file that it cannot use and of
 * a helper that is not there, and goes on as if there were none. Throws push-failed for a helper that fails.
 */
export async function findCredentials(
  domain: string,
  options: CredentialOptions,
): Promise<Credentials | undefined> {
  try {
    return await lookUp(domain, options);
  } catch (error) {
    if (!(error instanceof NoCredentials)) throw error;
    options.warn?.(`${error.message}: the push is tried without credentials; ${error.hint}`);
    return undefined;
  }
}

async function lookUp(domain: string, options: CredentialOptions): Promise<Credentials | undefined> {
  const { file, config: read } = await readConfigFile(options.env);
  const parsed = v.safeParse(configFile, read);
  if (!parsed.success) throw unusable(file, v.getDotPath(parsed.issues[0]) ?? 'the whole');
  const { auths, credHelpers, credsStore } = parsed.output ?? {};
  const key = domain === DOCKER_HUB ? DOCKER_HUB_KEY : domain;
  const helper = credHelpers && Object.hasOwn(credHelpers, key) ? credHelpers[key] : credsStore;
  if (helper) {
    const answer = await askHelper(helper, key, file, options);
    return answer && credentialsOf(answer, key, helperProgram(helper));
  }
  const name = Object.keys(auths ?? {}).find((one) => one === key) ?? legacyKey(auths ?? {}, key);
  const found = name === undefined ? undefined : auths?.[name];
  const known = found && entryAuth(found, file, name ?? key);
  // Logged out, or kept elsewhere: docker leaves an empty entry.
  return known && credentialsOf(known, key, file);
}

async function readConfigFile(env: Environment): ReturnType<typeof readConfig> {
  try {
    return await readConfig(env);
  } catch (error) {
    if (!(error instanceof ImgmvError)) throw error;
    throw new NoCredentials(`no credentials for the push: ${error.message}`, MEND_CONFIG);
  }
}

/** Keys of other times: `https://host/v1/`. */
function legacyKey(auths: Readonly<Record<string, Entry>>, key: string): string | undefined {
  return Object.keys(auths).find((one) => one.replace(/^https?:\/\//, '').replace(/\/.*$/, '') === key);
}

/** What an AuthConfig says beside its address; undefined where there is nothing in it. */
function entryAuth(found: Entry, file: string, key: string): Readonly<Record<string, string>> | undefined {
  const { auth, username, password, identitytoken, registrytoken } = found;
  const known: Record<string, string> = {};
  if (auth) {
    const text = Buffer.from(auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 0) throw unusable(file, `auths ${JSON.stringify(key)}`);
    known.username = text.slice(0, colon);
    known.password = text.slice(colon + 1).replace(/^\0+|\0+$/g, '');
  } else {
    if (username) known.username = username;
    if (password) known.password = password;
  }
  if (identitytoken) known.identitytoken = identitytoken;
  if (registrytoken) known.registrytoken = registrytoken;
  return Object.keys(known).length === 0 ? undefined : known;
}

function credentialsOf(known: Readonly<Record<string, string>>, key: string, from: string): Credentials {
  const auth = new Secret(JSON.stringify({ ...known, serveraddress: key }));
  return { auth, from, hiddenIn: (text) => hideSecrets(text, secretsIn(auth)) };
}

/** What a registry or an engine was sent of them: the fields that are secret, and what they are in headers. */
function secretsIn(auth: Secret): readonly string[] {
  const json = auth.reveal();
  const {
    username = '',
    password = '',
    identitytoken = '',
    registrytoken = '',
  } = JSON.parse(json) as Record<string, string>;
  const basic = password === '' ? '' : `${username}:${password}`;
  return [password, identitytoken, registrytoken, basic, json];
}

function unusable(file: string, where: string): ImgmvError {
  return new NoCredentials(
    `no credentials for the push: ${file} does not look like docker's, at ${where}`,
    MEND_CONFIG,
  );
}
