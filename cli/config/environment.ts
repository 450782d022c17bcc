/** `IMGMV_*`: what may be configured, as environment variables. */
import * as v from 'valibot';
import { nearestTo } from '../move-file/issues.ts';
import { asClause, shown } from '../move-file/problems.ts';
import {
  CONFIG_KEYS,
  type ConfigKey,
  type ConfigValues,
  camelCase,
  configSchema,
  whyRefused,
} from './keys.ts';

const PREFIX = 'IMGMV_';
/** Of other parts of imgmv. */
const OTHERS = ['IMGMV_DEBUG'];

export interface EnvironmentValues {
  readonly values: ConfigValues;
  /** Names of the variables that were read. */
  readonly names: readonly string[];
  /** A line for each that cannot be used; none holds the value of one that is refused. */
  readonly problems: readonly string[];
  /** A line for each that nobody knows, and that is ignored. */
  readonly unknown: readonly string[];
}

/** An empty variable is none. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): EnvironmentValues {
  const values: Record<string, unknown> = {};
  const names: string[] = [];
  const problems: string[] = [];
  const unknown: string[] = [];
  for (const [name, text = ''] of Object.entries(env).sort()) {
    if (!name.startsWith(PREFIX) || text === '' || OTHERS.includes(name)) continue;
    const key = name.slice(PREFIX.length).toLowerCase().replaceAll('_', '-');
    const refused = whyRefused(key);
    if (refused !== undefined) problems.push(`${name}: ${refused}`);
    else if (!isConfigKey(key) || name !== variableOf(key)) unknown.push(unknownText(name, key));
    else {
      const parsed = parse(key, text);
      if ('problem' in parsed) problems.push(`${name} ${parsed.problem}`);
      else {
        names.push(name);
        if (parsed.value !== false) values[camelCase(key)] = parsed.value;
      }
    }
  }
  if (values.dockerHost !== undefined && values.context !== undefined)
    problems.push(`${variableOf('docker-host')} and ${variableOf('context')} exclude each other`);
  return { values, names, problems, unknown };
}

export function variableOf(key: ConfigKey): string {
  return `${PREFIX}${key.toUpperCase().replaceAll('-', '_')}`;
}

function isConfigKey(key: string): key is ConfigKey {
  return (CONFIG_KEYS as readonly string[]).includes(key);
}

function unknownText(name: string, key: string): string {
  const near = nearestTo(key, CONFIG_KEYS) as ConfigKey | undefined;
  return `${shown(name)} is no variable of imgmv${near === undefined ? '' : `: did you mean ${variableOf(near)}?`}`;
}

function parse(key: ConfigKey, text: string): { readonly value: unknown } | { readonly problem: string } {
  const { success, output, issues } = v.safeParse(
    configSchema,
    { [key]: scalar(key, text) },
    { abortPipeEarly: true },
  );
  if (success) return { value: output[key] };
  const [{ message, type }] = issues;
  return { problem: `${shown(text)}: ${type === 'raw_transform' ? '' : 'expected '}${asClause(message)}` };
}

/** As the same would stand in YAML: text, a number, or a truth value. */
function scalar(key: ConfigKey, text: string): unknown {
  if (['jobs', 'retries', 'level'].includes(key) && /^[0-9]{1,6}$/.test(text)) return Number(text);
  if (key === 'verbose' && /^(true|false|1|0)$/.test(text)) return text === 'true' || text === '1';
  return text;
}
