/** The files of the docker command of whoever runs imgmv: read, never written. */

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { usage } from '../streams/errors.ts';
import { fileError } from '../streams/file-error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** DOCKER_CONFIG, or `.docker` at home. */
export function configDirectory(env: Environment): string {
  return env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker');
}

/** `config.json`; `config` is undefined where there is none. Throws usage for one that cannot be read, or is no JSON. */
export async function readConfig(
  env: Environment,
): Promise<{ readonly file: string; readonly config: unknown }> {
  const file = join(configDirectory(env), 'config.json');
  const text = await readOptional(file);
  return { file, config: text === undefined ? undefined : parseJson(text, file) };
}

/** Undefined where there is no such file. */
export async function readOptionalBytes(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(`cannot read ${file}`, file, error);
  }
}

export async function readOptional(file: string): Promise<string | undefined> {
  return (await readOptionalBytes(file))?.toString('utf8');
}

/** What JSON.parse says of a text repeats some of it, which may be a password: it is no cause. */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usage(`${file} is not JSON`);
  }
}
