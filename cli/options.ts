/** What command-line values mean. Each parser throws commander's error, which names the option. */
import { InvalidArgumentError } from 'commander';
import type { Selection } from '../agent/choose/selection.ts';
import { isDockerHost } from '../agent/docker/endpoint.ts';
import { ImgmvError } from '../proto/errors.ts';
import { DEFAULT_PORT, RETRIES, RETRIES_MAX, ZSTD_LEVEL_MAX, ZSTD_LEVEL_MIN } from '../proto/limits.ts';
import { meantHost } from './meant.ts';

export const CONNECT_TIMEOUT_HELP = 'how long to wait for the first answer (default: 15s, at most 1d)';

/** Both sides have the option, each for itself. */
export const RECONNECT_HELP = 'how long a lost connection may take to come back (default: 5m, at most 7d)';

export const RETRIES_HELP = `how often to try failed images again, after the others (default: ${RETRIES}, at most ${RETRIES_MAX})`;

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const [kB, KiB] = [1000, 1024];
const UNIT_BYTES = {
  kB,
  MB: kB ** 2,
  GB: kB ** 3,
  TB: kB ** 4,
  KiB,
  MiB: KiB ** 2,
  GiB: KiB ** 3,
  TiB: KiB ** 4,
};
/** A hundred years: before any image was made. */
const AGO_MAX_MS = 36_525 * UNIT_MS.d;
const SIZE_MAX_BYTES = 1_000 * UNIT_BYTES.TiB;

/** A number of six digits at most and its unit; NaN for what is none. */
function amount(text: string, units: Readonly<Record<string, number>>): number {
  const [, count, unit = ''] = /^([0-9]{1,6})([a-zA-Z]+)$/.exec(text) ?? [];
  return Object.hasOwn(units, unit) ? Number(count) * Number(units[unit]) : Number.NaN;
}

/** `500MB`, `2GiB`, in bytes. */
export function parseSize(text: string): number {
  const bytes = amount(text, UNIT_BYTES);
  if (!(bytes > 0 && bytes <= SIZE_MAX_BYTES))
    throw new InvalidArgumentError('Expected a size such as 500MB or 2GiB, up to 1000TiB.');
  return bytes;
}

const RATE_MIN_BYTES = KiB;
const RATE_MAX_BYTES = 100 * UNIT_BYTES.GiB;
/** As rsync has them: a letter alone counts by 1024, with a B behind it by 1000. */
const RATE_UNITS = {
  b: 1,
  k: KiB,
  m: KiB ** 2,
  g: KiB ** 3,
  kb: kB,
  mb: kB ** 2,
  gb: kB ** 3,
  kib: KiB,
  mib: KiB ** 2,
  gib: KiB ** 3,
};
const RATE_FORM = /^([0-9]{1,12}(?:\.[0-9]{1,6})?)([a-z]{0,3})(?:\/s)?$/i;

export const LIMIT_HELP =
  'limit the bytes per second on the wire, such as 800k, 10M or 1.5MB/s, from 1k to 100G; 0: no limit';
export const BWLIMIT_HELP = 'the same as rsync has it: a number without a unit is in KiB';

/** A rate in bytes a second: `800k`, `10M`, `1.5MB/s`; `none` for 0. Without a unit it is bytes. */
export const parseLimit = (text: string) => rateOf(text, 1);

/** The same, as rsync reads it: without a unit it is KiB. */
export const parseBwlimit = (text: string) => rateOf(text, KiB);

function rateOf(text: string, unitless: number): Limit {
  const [, count, unit = ''] = RATE_FORM.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = { ...RATE_UNITS, '': unitless };
  const bytes = Number(count) * (units[unit.toLowerCase()] ?? Number.NaN);
  if (Number.isNaN(bytes)) throw new InvalidArgumentError('Expected a rate such as 800k, 10M or 1.5MB/s.');
  if (bytes === 0) return 'none';
  if (bytes < RATE_MIN_BYTES || bytes > RATE_MAX_BYTES)
    throw new InvalidArgumentError('Expected a rate from 1k to 100G, or 0 for no limit.');
  return bytes;
}

/** Bytes a second. `none` wins over a limit that is set elsewhere. */
export type Limit = number | 'none';

export interface LimitFlags {
  readonly limit?: Limit | undefined;
  readonly bwlimit?: Limit;
}

/** The one of the two that is given. Throws usage for both. */
export function limitGiven({ limit, bwlimit }: LimitFlags): Limit | undefined {
  if (limit !== undefined && bwlimit !== undefined)
    throw new ImgmvError('usage', '--limit and --bwlimit are the same', { hint: 'give one of them' });
  return limit ?? bwlimit;
}

export function bytesPerSecond(limit: Limit | undefined): number | undefined {
  return limit === 'none' ? undefined : limit;
}

/** A time: so long ago, or the day or moment that is written as ISO 8601 has it. */
export function parseSince(text: string): Date {
  if (/^[0-9]+[smhd]$/.test(text)) return new Date(Date.now() - parseAgo(text));
  const time = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?$/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('Expected a duration such as 7d, or a date such as 2026-11-01.');
  return time;
}

/** `90s`, `10m`, `2h`, `7d`, in milliseconds. */
export function durationBetween(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const ms = amount(text, UNIT_MS);
    if (!(ms > 0)) throw new InvalidArgumentError('Expected a duration such as 90s, 10m, 2h or 7d.');
    if (ms < minMs || ms > maxMs)
      throw new InvalidArgumentError(`Expected between ${minMs / UNIT_MS.s}s and ${maxMs / UNIT_MS.d}d.`);
    return ms;
  };
}

// A timer of Node's that is longer than 24.8 days goes off at once.
export const parseConnectTimeout = durationBetween(UNIT_MS.s, UNIT_MS.d);
export const parseReconnect = durationBetween(UNIT_MS.s, 7 * UNIT_MS.d);
export const parseMaxSession = durationBetween(UNIT_MS.s, 20 * UNIT_MS.d);
const parseAgo = durationBetween(UNIT_MS.s, AGO_MAX_MS);

/** `KEY` or `KEY=VALUE`. */
export function parseLabel(text: string): Selection['labels'][number] {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  if (key === '') throw new InvalidArgumentError('Expected KEY or KEY=VALUE.');
  return at < 0 ? { key } : { key, value: text.slice(at + 1) };
}

export const ONE_HOST = 'It may be given once: a run goes to one host.';

/** For commander: an option that may not be given again, where another program would take a list. */
export function once<T>(parse: (text: string) => T, advice: string): (text: string, before?: T) => T {
  return (text, before) => {
    if (before !== undefined) throw new InvalidArgumentError(advice);
    return parse(text);
  };
}

/** For commander: an option that may be given again, as a list. Usage errors of ours pass through it, and name the option. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, before?: readonly T[]) => readonly T[] {
  return (text, before = []) => {
    try {
      return [...before, parse(text)];
    } catch (error) {
      if (!(error instanceof ImgmvError)) throw error;
      throw new InvalidArgumentError(`${error.message}. ${error.hint ?? ''}`.trim());
    }
  };
}

export interface ListenAddress {
  /** Undefined: all addresses. */
  readonly address: string | undefined;
  readonly port: number;
}

/** `ADDR:PORT`, `[::1]:7373`, `:7373`, `7373` or `ADDR`. */
export function parseListen(text: string): ListenAddress {
  const [, six, four, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*))(?::([0-9]+))?$/.exec(text) ?? [];
  if (six === undefined && port === undefined && /^[0-9]+$/.test(text))
    return { address: undefined, port: portOf(text) };
  const address = six ?? four;
  // An empty one is a variable that was not set, most likely, and no wish to listen everywhere.
  if (address === undefined || text === '')
    throw new InvalidArgumentError('Expected ADDR:PORT, such as 10.0.0.2:7373, [::1]:7373 or :7373.');
  return {
    address: address === '' || address === '*' ? undefined : address,
    port: port === undefined ? DEFAULT_PORT : portOf(port),
  };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!(port <= 65_535)) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

/** How the other host is to dial this one. */
export interface Advertised {
  /** As it was given: `HOST`, `HOST:PORT`, a bare IPv6 address, or a URL. */
  readonly text: string;
  /** Whether it says all: a URL does, and what has a port. */
  readonly whole: boolean;
}

export function parseAdvertised(text: string): Advertised {
  parseTarget(text);
  return { text, whole: isUrl(text) || (!isBareV6(text) && /:[0-9]+$/.test(text)) };
}

function isUrl(text: string): boolean {
  return /^[a-z]+:\/\//i.test(text);
}

function isBareV6(text: string): boolean {
  return /^[0-9a-fA-F:]+:[0-9a-fA-F:]*$/.test(text) && text.split(':').length > 2;
}

/** `HOST`, `HOST:PORT`, `[::1]:7373`, `ws://…` or `wss://…` as a URL. */
export function parseTarget(text: string): string {
  const bareV6 = isBareV6(text);
  const port = bareV6 ? undefined : typedPort(text);
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535))
    throw new InvalidArgumentError('A port is a number from 1 to 65535.');
  let url: URL;
  try {
    url = new URL(isUrl(text) ? text : `ws://${bareV6 ? `[${text}]` : text}`);
  } catch {
    throw new InvalidArgumentError(
      `Expected HOST, HOST:PORT, [IPV6]:PORT, ws://…, wss://… or ssh://….${meantHost(text)}`,
    );
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    throw new InvalidArgumentError(`Expected ws:// or wss://, not ${url.protocol}//.${meantHost(text)}`);
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    throw new InvalidArgumentError(`A host takes no user, password or fragment.${meantHost(text)}`);
  if (!isUrl(text) && url.pathname !== '/')
    throw new InvalidArgumentError(
      `Expected HOST or HOST:PORT; a path needs ws:// or wss:// in front.${meantHost(text)}`,
    );
  // URL drops port 80 from ws://host:80, so it has to be looked for in what was typed.
  if (port === undefined && url.protocol === 'ws:') url.port = String(DEFAULT_PORT);
  return url.href;
}

/** The same, or an engine of another host: `ssh://[USER@]HOST[:PORT][/SOCKET]`, as it was typed. */
export function parseDestination(text: string): string {
  return /^ssh:/i.test(text) ? parseSsh(text) : parseTarget(text);
}

export function parseSsh(text: string): string {
  if (!/^ssh:\/\//.test(text) || !isDockerHost(text))
    throw new InvalidArgumentError('Expected ssh://[USER@]HOST[:PORT][/SOCKET].');
  return text;
}

function typedPort(text: string): string | undefined {
  return /:([0-9]+)$/.exec(text.replace(/^[a-z]+:\/\//i, '').replace(/[/?\\][\s\S]*$/, ''))?.[1];
}

export const parseLevel = countUpTo(ZSTD_LEVEL_MAX, ZSTD_LEVEL_MIN, 'zstd level');
export const parseRetries = countUpTo(RETRIES_MAX, 0);

export function countUpTo(max: number, min = 1, what = 'number'): (text: string) => number {
  return (text) => {
    const count = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
    if (!(count >= min && count <= max))
      throw new InvalidArgumentError(`Expected a ${what} from ${min} to ${max}.`);
    return count;
  };
}
