/** The variables of a compose project (compose's documentation, "Environment variables precedence"). */
import { join, resolve } from 'node:path';
import { ENV_FILE_MAX_BYTES } from '../choose/limits.ts';
import { usage } from '../streams/errors.ts';
import { parseDotenv } from './dotenv.ts';
import { kindOf, type Reading, readText, shown, type Warn } from './files.ts';
import type { Variables } from './interpolation.ts';
import type { Position } from './position.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

interface EnvironmentOptions extends Reading {
  readonly warn: Warn;
}

/** Variables of `environment`, each of which is told of once when it is not set. */
export function variablesOf(environment: Environment, warn: Warn): Variables {
  return {
    // A name such as `constructor` is set only where somebody has set it.
    get: (name) => (Object.hasOwn(environment, name) ? environment[name] : undefined),
    unset: (name, at: Position) =>
      warn(`${at.file}:${at.line}: the variable ${name} is not set and taken as empty`, name),
  };
}

/** What `outer` has goes before what files say, and later files before earlier ones. Throws usage. */
export async function withEnvFiles(
  outer: Environment,
  files: readonly string[],
  { cwd, signal, warn }: EnvironmentOptions,
): Promise<Environment> {
  let found: Environment = Object.create(null) as Environment;
  for (const file of files) {
    const text = await readText(file, ENV_FILE_MAX_BYTES, { cwd, signal });
    const variables = variablesOf({ ...found, ...outer }, warn);
    found = { ...found, ...Object.fromEntries(parseDotenv(text, shown(file, cwd), variables)) };
  }
  return { ...found, ...outer };
}

/** The `.env` of a project's directory, if there is one. */
export async function defaultEnvFiles(directory: string): Promise<readonly string[]> {
  const file = join(directory, '.env');
  return (await kindOf(file)) === 'file' ? [file] : [];
}

/** Of the project that was asked for: compose lets the environment name other files, or none. */
export async function projectEnvironment(
  outer: Environment,
  directory: string,
  options: EnvironmentOptions,
): Promise<Environment> {
  const named = outer.COMPOSE_ENV_FILES;
  const files = named
    ? named.split(',').map((file) => resolve(options.cwd, file))
    : isTrue(outer, 'COMPOSE_DISABLE_ENV_FILE')
      ? []
      : await defaultEnvFiles(directory);
  return withEnvFiles({ ...outer, PWD: options.cwd }, files, options);
}

/** As Go reads truth values, which is how compose reads this one. */
export function isTrue(environment: Environment, name: string): boolean {
  const text = environment[name];
  if (text === undefined || /^(?:0|f|F|false|FALSE|False|)$/.test(text)) return false;
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  throw usage(`${name}=${text} is neither true nor false`);
}
