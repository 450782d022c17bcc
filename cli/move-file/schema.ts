/**
 * What may stand in a move file, key by key. `docs/move.schema.json` is made from it: a change here is followed by
 * `npm run schema`. The message of each check says what was expected, and ends a sentence of issues.ts.
 */
import * as v from 'valibot';
import { parsePatterns } from '../../agent/choose/pattern.ts';
import { parseRetag } from '../../agent/choose/rename.ts';
import { parseEndpoint } from '../../agent/ends/endpoint.ts';
import { parseTarget as parseName, parseReference } from '../../agent/model/reference.ts';
import { JOBS, JOBS_MAX, RETRIES, RETRIES_MAX, ZSTD_LEVEL_MAX, ZSTD_LEVEL_MIN } from '../../proto/limits.ts';
import { parseLabel } from '../choosing.ts';
import { parseConnectTimeout, parseReconnect, parseSince, parseSize, parseTarget } from '../options.ts';
import { allParsed, checked, list, mapping, parsed, text, toggle, wholeNumber } from './values.ts';

const DURATION = '^(?=.*[1-9])[0-9]{1,6}[smhd]$';
const DATE = '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$';

const duration = (about: string, example: string, parse: (text: string) => number) =>
  v.pipe(
    text('a duration such as 90s, 10m, 2h or 7d'),
    v.regex(new RegExp(DURATION), 'a duration such as 90s, 10m, 2h or 7d'),
    v.metadata({ description: about, examples: [example] }),
    parsed(parse),
  );

const path = (about: string, example: string) =>
  v.pipe(
    text('a path'),
    v.metadata({ description: `${about}; relative to the move file`, examples: [example] }),
  );

const since = v.pipe(
  text('a duration such as 7d, or a date such as 2026-11-01'),
  v.regex(new RegExp(`${DURATION}|${DATE}`), 'a duration such as 7d, or a date such as 2026-11-01'),
  v.metadata({
    description: 'images created since then alone: a duration back from now, or a date',
    examples: ['7d', '2026-11-01'],
  }),
  v.check(isDay, 'a day that the calendar has'),
  parsed(parseSince),
);

/** February 30 is none. Of what is no date it says nothing. */
function isDay(date: string): boolean {
  return !new RegExp(DATE).test(date) || new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date) === true;
}

const rule = v.pipe(
  text('a rule such as old.example/*=new.example/team/*'),
  v.regex(/^[^=]+=[^=]+$/, 'OLD=NEW'),
);
const pattern = v.pipe(
  text('a name or a pattern of names'),
  v.regex(/^[^=]+$/, 'a name or a pattern of names, without ='),
);
const RETAG = 'a list of rules OLD=NEW, or a mapping {OLD: NEW}';

const retag = v.pipe(
  v.union([rule, v.array(rule, RETAG), mapping(pattern, RETAG)], RETAG),
  v.metadata({
    description: 'other names at the target: rules OLD=NEW, or a mapping of OLD to NEW',
    examples: [['old.example/*=new.example/team/*'], { 'old.example/*': 'new.example/team/*' }],
  }),
  v.transform((given): readonly string[] => {
    if (typeof given === 'string') return [given];
    if (Array.isArray(given)) return given;
    return Object.entries(given).map(([from, to]) => `${from}=${to}`);
  }),
  allParsed(parseRetag),
);

const registry = v.pipe(
  text('the host of a registry, such as registry.example:5000'),
  v.metadata({
    description: 'host of the registry that names at the target are to have',
    examples: ['registry.example:5000'],
  }),
  v.check(
    (host) => parseReference(`${host}/a/b`)?.path === 'a/b',
    'the host of a registry, such as registry.example:5000',
  ),
);

const project = v.pipe(
  text('a path in a registry, such as team/web'),
  v.metadata({
    description: 'path in that registry below which the names go; needs registry',
    examples: ['team'],
  }),
  v.check(
    (at) => parseReference(`host.example/${at}/a`)?.path === `${at}/a`,
    'a path in a registry, such as team/web',
  ),
);

export const moveSchema = v.strictObject({
  to: v.exactOptional(
    v.pipe(
      text('a host such as host-b, host-b:7400 or wss://images.example/host-b'),
      v.metadata({
        description: 'where `imgmv receive` waits: HOST, HOST:PORT, ws://… or wss://…',
        examples: ['host-b', '10.0.0.2:7400', 'wss://images.example/host-b'],
      }),
      parsed(parseTarget),
    ),
  ),
  images: list(v.pipe(text('an image'), checked(parsePatterns)), 'images: names, ids or patterns', [
    'web:1.0',
    'team/*',
    'web:/^v1\\./',
    'web:1.0,1.1',
  ]),
  from: list(
    v.pipe(text('an archive such as docker-archive:images.tar.zst'), parsed(parseEndpoint)),
    'archives in place of the engine: docker-archive:FILE, oci-archive:FILE, oci:DIR or dir:DIR; paths are relative to the move file, - is standard input',
    ['docker-archive:images.tar.zst'],
  ),
  all: toggle('all images of the engine'),
  dangling: toggle('the images without a name'),
  running: toggle('the images of containers that run'),
  label: list(
    v.pipe(text('a label such as team=web'), v.regex(/^[^=]/, 'KEY or KEY=VALUE'), parsed(parseLabel)),
    'images with this label alone: KEY or KEY=VALUE',
    ['team=web', 'release'],
  ),
  since: v.exactOptional(since),
  except: list(
    v.pipe(text('an image or a pattern'), parsed(parsePatterns)),
    'images to leave out: names or patterns',
    ['*:dev'],
  ),
  file: v.exactOptional(path('a file with images, one a line', 'images.txt')),
  compose: list(text('a path'), 'compose files whose images go; paths are relative to the move file', [
    'compose.yaml',
  ]),
  retag: v.exactOptional(retag),
  registry: v.exactOptional(registry),
  project: v.exactOptional(project),
  'keep-names': toggle('images keep their names at the target, beside those that this file gives them'),
  as: v.exactOptional(
    v.pipe(
      text('a name such as team/web:1.0'),
      v.metadata({ description: 'name at the target, of one image only', examples: ['team/web:1.0'] }),
      checked((name) => parseName(name, 'the name')),
    ),
  ),
  'then-push': toggle('the target pushes to a registry what has arrived'),
  report: v.exactOptional(path('where a report of the move goes', 'report.html')),
  'code-file': v.exactOptional(
    path('the pairing code is read from it, - for standard input', '/run/imgmv-code'),
  ),
  'docker-host': v.exactOptional(
    v.pipe(
      text('an engine such as unix:///var/run/docker.sock'),
      v.metadata({
        description: 'the engine: unix:///path, tcp://host:port or ssh://user@host',
        examples: ['ssh://admin@host-a'],
      }),
    ),
  ),
  context: v.exactOptional(
    v.pipe(
      text('the name of a docker context'),
      v.metadata({ description: 'the engine of this docker context', examples: ['prod'] }),
    ),
  ),
  'connect-timeout': v.exactOptional(
    duration('how long to wait for the first answer (default: 15s, at most 1d)', '30s', parseConnectTimeout),
  ),
  reconnect: v.exactOptional(
    duration(
      'how long a lost connection may take to come back (default: 5m, at most 7d)',
      '30m',
      parseReconnect,
    ),
  ),
  'ignore-space': toggle('save images for which the disk of this host seems too full'),
  'max-bytes': v.exactOptional(
    v.pipe(
      text('a size such as 500MB or 2GiB'),
      v.regex(/^(?=.*[1-9])[0-9]{1,6}([kMGT]B|[KMGT]iB)$/, 'a size such as 500MB or 2GiB'),
      v.metadata({
        description: 'how much an archive of from may decompress to in all (default: 1TiB)',
        examples: ['2TiB'],
      }),
      parsed(parseSize),
    ),
  ),
  jobs: wholeNumber(1, JOBS_MAX, `images under way at once (default: ${JOBS})`, JOBS),
  retries: wholeNumber(
    0,
    RETRIES_MAX,
    `how often images that failed are tried again, after the others (default: ${RETRIES})`,
    RETRIES,
  ),
  level: wholeNumber(ZSTD_LEVEL_MIN, ZSTD_LEVEL_MAX, 'zstd level (default: follows the link)', 3),
});

export type MoveKeys = v.InferOutput<typeof moveSchema>;
