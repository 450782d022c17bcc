/**
 * What may stand in a move file, key by key. `docs/move.schema.json` is made from it: a change here is followed by
 * `npm run schema`. The message of each check says what was expected, and ends a sentence of issues.ts.
 */
import * as v from 'valibot';
import { parsePatterns } from '../../agent/choose/pattern.ts';
import { parseRetag, type RetagRule } from '../../agent/choose/rename.ts';
import { parseEndpoint } from '../../agent/ends/endpoint.ts';
import { parseTarget as parseName, parseReference } from '../../agent/model/reference.ts';
import { JOBS, JOBS_MAX, RETRIES, RETRIES_MAX, ZSTD_LEVEL_MAX, ZSTD_LEVEL_MIN } from '../../proto/limits.ts';
import {
  CONNECT_TIMEOUT_HELP,
  LIMIT_HELP,
  parseConnectTimeout,
  parseDestination,
  parseLabel,
  parseLimit,
  parseReconnect,
  parseSince,
  parseSize,
  RECONNECT_HELP,
  RETRIES_HELP,
} from '../options.ts';
import { about, checked, list, mapping, parsed, text, textLike, toggle, wholeNumber } from './values.ts';

const DURATION = '^(?=.*[1-9])[0-9]{1,6}[smhd]$';
const DATE = '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$';

export const duration = (description: string, example: string, parse: (text: string) => number) =>
  v.pipe(
    textLike(new RegExp(DURATION), 'a duration such as 90s, 10m, 2h or 7d'),
    about(description, example),
    parsed(parse),
  );

const path = (description: string, example: string) =>
  v.pipe(text('a path'), about(`${description}; relative to the move file`, example));

/** February 30 is none. Of what is no date it says nothing. */
function isDay(date: string): boolean {
  return !new RegExp(DATE).test(date) || new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date) === true;
}

const rule = textLike(/^[^=]+=[^=]+$/, 'a rule such as old.example/*=new.example/team/*', 'OLD=NEW');
const PATTERN = 'a name or a pattern of names';
const pattern = textLike(/^[^=]+$/, PATTERN, `${PATTERN}, without =`);
const RETAG = 'a list of rules OLD=NEW, or a mapping {OLD: NEW}';

function rulesOf(given: string | string[] | { [from: string]: string }): readonly RetagRule[] {
  if (typeof given === 'string') return [parseRetag(given)];
  const rules = Array.isArray(given) ? given : Object.entries(given).map(([from, to]) => `${from}=${to}`);
  return rules.map(parseRetag);
}

const RATE = 'a rate such as 800k, 10M or 1.5MB/s';
const REGISTRY = 'the host of a registry, such as registry.example:5000';
const PROJECT = 'a path in a registry, such as team/web';

export const entries = {
  to: v.pipe(
    text('a host such as host-b, host-b:7400 or wss://images.example/host-b'),
    about(
      'where `imgmv receive` waits: HOST, HOST:PORT, ws://… or wss://…; or ssh://[USER@]HOST[:PORT][/SOCKET], an engine that takes the images itself',
      'host-b',
      '10.0.0.2:7400',
      'wss://images.example/host-b',
    ),
    parsed(parseDestination),
  ),
  images: list(
    v.pipe(text('an image'), checked(parsePatterns)),
    'images: names, ids or patterns',
    'web:1.0',
    'team/*',
    'web:/^v1\\./',
    'web:1.0,1.1',
  ),
  from: list(
    v.pipe(text('an archive such as docker-archive:images.tar.zst'), parsed(parseEndpoint)),
    'read archives instead of the engine: docker-archive:FILE, oci-archive:FILE, oci:DIR or dir:DIR; paths are relative to the move file, - is standard input',
    'docker-archive:images.tar.zst',
  ),
  all: toggle('all images of the engine'),
  dangling: toggle('the images without a name'),
  running: toggle('the images of running containers'),
  label: list(
    v.pipe(textLike(/^[^=]/, 'a label such as team=web', 'KEY or KEY=VALUE'), parsed(parseLabel)),
    'only images with this label: KEY or KEY=VALUE',
    'team=web',
    'release',
  ),
  since: v.pipe(
    textLike(new RegExp(`${DURATION}|${DATE}`), 'a duration such as 7d, or a date such as 2026-11-01'),
    about('only images created since then: a duration back from now, or a date', '7d', '2026-11-01'),
    v.check(isDay, 'a day that the calendar has'),
    parsed(parseSince),
  ),
  except: list(
    v.pipe(text('an image or a pattern'), parsed(parsePatterns)),
    'images to leave out: names or patterns',
    '*:dev',
  ),
  file: path('a file with images, one a line', 'images.txt'),
  compose: list(
    text('a path'),
    'compose files whose images go; paths are relative to the move file',
    'compose.yaml',
  ),
  retag: v.pipe(
    v.union([rule, v.array(rule, RETAG), mapping(pattern, RETAG)], RETAG),
    about(
      'other names at the target: rules OLD=NEW, or a mapping of OLD to NEW',
      ['old.example/*=new.example/team/*'],
      { 'old.example/*': 'new.example/team/*' },
    ),
    parsed(rulesOf),
  ),
  registry: v.pipe(
    text(REGISTRY),
    about('host of the registry that names at the target are to have', 'registry.example:5000'),
    v.check((host) => parseReference(`${host}/a/b`)?.path === 'a/b', REGISTRY),
  ),
  project: v.pipe(
    text(PROJECT),
    about('path in that registry below which the names go; needs registry', 'team'),
    v.check((at) => parseReference(`host.example/${at}/a`)?.path === `${at}/a`, PROJECT),
  ),
  'keep-names': toggle('images keep their names at the target, beside those that this file gives them'),
  as: v.pipe(
    text('a name such as team/web:1.0'),
    about('name at the target, of one image only', 'team/web:1.0'),
    checked((name) => parseName(name, 'the name')),
  ),
  confirm: toggle('show the plan on the terminal of `imgmv send`, and ask before anything is sent'),
  'then-push': toggle('the target pushes to a registry what has arrived'),
  report: path('where a report of the move goes', 'report.html'),
  'code-file': path('the pairing code is read from it, - for standard input', '/run/imgmv-code'),
  'docker-host': v.pipe(
    text('an engine such as unix:///var/run/docker.sock'),
    about('the engine: unix:///path, tcp://host:port or ssh://user@host', 'ssh://admin@host-a'),
  ),
  context: v.pipe(text('the name of a docker context'), about('the engine of this docker context', 'prod')),
  'connect-timeout': duration(CONNECT_TIMEOUT_HELP, '30s', parseConnectTimeout),
  reconnect: duration(RECONNECT_HELP, '30m', parseReconnect),
  limit: v.pipe(
    textLike(/^[0-9]{1,12}(\.[0-9]{1,6})?([kKmMgG](i?[bB])?|[bB])?(\/s)?$/, RATE),
    about(LIMIT_HELP, '10M', '1.5MB/s'),
    parsed(parseLimit),
  ),
  'ignore-space': toggle('also save images that seem too large for the disk of this host'),
  'max-bytes': v.pipe(
    textLike(/^(?=.*[1-9])[0-9]{1,6}([kMGT]B|[KMGT]iB)$/, 'a size such as 500MB or 2GiB'),
    about('how much an archive of from may decompress to in all (default: 1TiB)', '2TiB'),
    parsed(parseSize),
  ),
  jobs: wholeNumber(1, JOBS_MAX, `images under way at once (default: ${JOBS})`, JOBS),
  retries: wholeNumber(0, RETRIES_MAX, RETRIES_HELP, RETRIES),
  level: wholeNumber(ZSTD_LEVEL_MIN, ZSTD_LEVEL_MAX, 'zstd level (default: follows the link)', 3),
};

/** No key has to be there, and no other one may. */
export const moveSchema = v.partial(v.strictObject(entries));

export type MoveKeys = v.InferOutput<typeof moveSchema>;
