/** What may be configured, and what is said of the rest. */
import { isAbsolute } from 'node:path';
import * as v from 'valibot';
import { CODE_TTL_MAX_MS, CODE_TTL_MIN_MS } from '../../proto/limits.ts';
import { duration, entries as ofMove } from '../move-file/schema.ts';
import { about, parsed, text, toggle } from '../move-file/values.ts';
import { durationBetween, parseAdvertised, parseListen, parseMaxSession } from '../options.ts';

const file = (description: string, example: string) =>
  v.pipe(text('a path'), about(description, example), v.check(isAbsolute, 'a path that begins with /'));

/** By the names of the options. What images move, and what they are called, is not among them: that is of one run. */
const entries = {
  to: ofMove.to,
  listen: v.pipe(
    text('an address such as 10.0.0.2:7373'),
    about('where `imgmv receive` listens', '10.0.0.2:7373'),
    parsed(parseListen),
  ),
  advertise: v.pipe(
    text('a host such as host-b'),
    about('the address that `imgmv receive` shows', 'host-b'),
    parsed(parseAdvertised),
  ),
  'docker-host': ofMove['docker-host'],
  context: ofMove.context,
  'connect-timeout': ofMove['connect-timeout'],
  reconnect: ofMove.reconnect,
  ttl: duration('how long a pairing code lives', '30m', durationBetween(CODE_TTL_MIN_MS, CODE_TTL_MAX_MS)),
  'max-session': duration('how long a session may last', '12h', parseMaxSession),
  limit: ofMove.limit,
  jobs: ofMove.jobs,
  retries: ofMove.retries,
  level: ofMove.level,
  report: file('where a report goes', '/var/log/imgmv/last.html'),
  verbose: toggle('tell each step'),
  log: file('where each step is logged', '/var/log/imgmv.log'),
};

export const configSchema = v.partial(v.strictObject(entries));

export type ConfigKeys = v.InferOutput<typeof configSchema>;
export type ConfigKey = keyof ConfigKeys;

export const CONFIG_KEYS = Object.keys(entries) as readonly ConfigKey[];

/** By the option's name as commander has it: `docker-host` is `dockerHost`. */
export type ConfigValues = Readonly<Record<string, unknown>>;

/** Keys that say the same, or exclude each other: whoever gives one on a stronger place means no other. */
export const RIVALS: Readonly<Record<string, readonly string[]>> = {
  dockerHost: ['context'],
  context: ['dockerHost'],
  limit: ['bwlimit'],
  verbose: ['quiet'],
};

const GUARDS = [
  'yes',
  'accept',
  'confirm',
  'push',
  'then-push',
  'insecure',
  'force',
  'overwrite',
  'ignore-space',
  'max-unauthenticated',
];
const SECRETS = /^(code|code-file|password|passphrase|token|secret|key|auth|credentials?)$/;

/** Why a key that people look for cannot be configured; undefined for one that nobody knows. */
export function whyRefused(key: string): string | undefined {
  if (SECRETS.test(key)) return 'secrets, and where they are, are taken on the command line only';
  if (GUARDS.includes(key) || /^(allow|skip|no-verify|trust)(-|$)/.test(key))
    return 'what loosens a guard is taken on the command line only';
  if (key === 'json' || key === 'quiet') return 'how a run shows itself is said on the command line';
  return undefined;
}

export function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
