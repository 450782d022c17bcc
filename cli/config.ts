/**
 * What need not be typed each time: `IMGMV_*`, the user's configuration file, and the system's. The command line wins
 * over all, then a move file, the environment, the user's file, the system's file. docs/config.md describes it.
 */
import { isAbsolute, join } from 'node:path';
import type { Command } from 'commander';
import { ImgmvError } from '../proto/errors.ts';
import { readEnvironment } from './config/environment.ts';
import { readConfigFile } from './config/file.ts';
import { type ConfigValues, RIVALS } from './config/keys.ts';

const SYSTEM_FILE = '/etc/imgmv/config.yaml';

export interface Config {
  /** By the names of commander, the strongest of each. */
  readonly values: ConfigValues;
  /** Where each comes from: a path, or the name of a variable. */
  readonly origins: Readonly<Record<string, string>>;
  /** All places that were looked at, the strongest first. */
  readonly files: readonly { readonly path: string; readonly exists: boolean }[];
  /** Names of the variables that were read. */
  readonly variables: readonly string[];
  /** A line for each variable that has the prefix and no meaning. */
  readonly unknown: readonly string[];
  /** All that is wrong with them, in one error of `usage`; there are no values then. */
  readonly failure?: ImgmvError;
}

/** What a command finds in its flags. */
export interface Configured {
  readonly configured?: Config;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Does not throw. */
export async function readConfig(env: Environment, systemFile = SYSTEM_FILE): Promise<Config> {
  const { values, names, problems, unknown } = readEnvironment(env);
  const mistakes = [...problems];
  const user = userFile(env);
  const layers: { readonly origin: (key: string) => string; readonly values: ConfigValues }[] = [
    { origin: (key) => `IMGMV_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`, values },
  ];
  // Docker's own variables are of the environment, too, and so win over files.
  const dockerSays = Boolean(env.DOCKER_HOST || env.DOCKER_CONTEXT);
  const files: { path: string; exists: boolean }[] = [];
  for (const path of [...(user === undefined ? [] : [user]), systemFile]) {
    const read = await readConfigFile(path, { ofUser: path === user });
    files.push({ path, exists: read !== undefined });
    mistakes.push(...(read?.problems ?? []));
    const { dockerHost, context, ...rest } = read?.values ?? {};
    layers.push({ origin: () => path, values: dockerSays ? rest : (read?.values ?? {}) });
  }
  const found = { files, variables: names, unknown };
  if (mistakes.length > 0) {
    const hint = '`imgmv help config` shows every key and variable';
    return {
      ...found,
      values: {},
      origins: {},
      failure: new ImgmvError('usage', mistakes.join('\n'), { hint }),
    };
  }
  let all: ConfigValues = {};
  const origins: Record<string, string> = {};
  for (const layer of layers) {
    const before = all;
    all = underlay(layer.values, before);
    for (const key of Object.keys(all)) if (!(key in before)) origins[key] = layer.origin(key);
  }
  return { ...found, values: all, origins };
}

function userFile(env: Environment): string | undefined {
  const { XDG_CONFIG_HOME: xdg, HOME: home } = env;
  // The specification has a relative one ignored.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'imgmv', 'config.yaml');
  return home && isAbsolute(home) ? join(home, '.config', 'imgmv', 'config.yaml') : undefined;
}

/** `given`, and of `values` what nothing given has a say in. */
export function underlay<T extends object>(values: ConfigValues, given: T): T {
  const has = (key: string) => (given as Record<string, unknown>)[key] !== undefined;
  const left = Object.entries(values).filter(([key]) => ![key, ...(RIVALS[key] ?? [])].some(has));
  return { ...Object.fromEntries(left), ...given };
}

/** For commander's `preAction`: gives the command what is configured of its options, and was not typed. */
export async function configure(command: Command): Promise<void> {
  const config = await readConfig(process.env);
  const attributes = command.options.map((option) => option.attributeName());
  const typed = Object.fromEntries(
    attributes
      .filter((attribute) => command.getOptionValueSource(attribute) === 'cli')
      .map((attribute) => [attribute, command.getOptionValue(attribute)]),
  );
  const own = Object.entries(config.values).filter(
    ([key]) => attributes.includes(key) && !isOfOthers(key, command),
  );
  const values = Object.fromEntries(
    Object.entries(underlay(Object.fromEntries(own), typed)).filter(([key]) => !(key in typed)),
  );
  for (const [key, value] of Object.entries(values)) command.setOptionValueWithSource(key, value, 'config');
  command.setOptionValueWithSource('configured', { ...config, values }, 'config');
}

/** A report is of one session; and nobody means another host's engine by where images usually go. */
function isOfOthers(key: string, command: Command): boolean {
  const isOpenEnded = command.name() === 'receive' && command.getOptionValue('once') !== true;
  return (key === 'report' && isOpenEnded) || (key === 'to' && command.name() === 'clean');
}

/** What was typed, without what is configured. */
export function withoutConfigured<T extends Configured>(flags: T): T {
  const configured = Object.keys(flags.configured?.values ?? {});
  return Object.fromEntries(Object.entries(flags).filter(([key]) => !configured.includes(key))) as T;
}
