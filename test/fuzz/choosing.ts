/** Patterns of images and rules for names, as people type them and as a move file has them. */
import fc from 'fast-check';
import { parseList } from '../../agent/choose/list-file.ts';
import { parsePatterns } from '../../agent/choose/pattern.ts';
import { parseRetag, Renaming } from '../../agent/choose/rename.ts';
import { choose } from '../../agent/choose/selection.ts';
import { matchesTarget, parseTargetPattern } from '../../agent/choose/target-pattern.ts';
import { canonical, familiar, parseReference } from '../../agent/model/reference.ts';
import { decoded, decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText, textLike } from './text.ts';

const LONG = `${'a'.repeat(200)}/${'a'.repeat(50)}:${'a'.repeat(128)}`;
const NAMES = ['web:1.0', 'team/web:v1', 'reg.example:5000/a/b/c:5', '[::1]:5000/web:1', LONG] as const;
/** Far more than all names take. */
const MATCH_MS = 1_000;

const repeated = fc
  .tuple(fc.constantFrom('*a', '*', '?*', '[a-z]*'), fc.nat(400))
  .map(([part, times]) => part.repeat(times));
const glob = fc.oneof(
  fc.constantFrom(
    'team/*',
    '*:1.*',
    'web:1.0,1.1',
    'web:/^v1\\./',
    'docker.io/library/*',
    '[::1]:5000/*',
    'web:v[!a-c]?',
    'web',
  ),
  fc.tuple(repeated, fc.constantFrom('', 'b', ':', ':*a*b', '/x')).map((parts) => parts.join('')),
);

/** Regular expressions of tags are their writer's own affair. */
const patterns = target({
  name: 'options/pattern',
  share: 10,
  input: textLike(glob),
  check: async (text) => {
    decoded(['usage', 'image-not-found'], () => parseList(text, 'images.txt'));
    const parsed = decoded(['usage'], () => parsePatterns(text));
    if (!parsed || /:\/.*\/$/s.test(text)) return;
    holds(parsed.length > 0, 'a text means something');
    const started = performance.now();
    for (const pattern of parsed) {
      holds(pattern.text !== '', 'a pattern says what it is');
      for (const name of NAMES) if (pattern.kind === 'names') pattern.matches(name);
    }
    holds(performance.now() - started < MATCH_MS * parsed.length, 'a pattern is matched in time');
    const one = {
      id: `sha256:${'a'.repeat(64)}`,
      dangling: false,
      labels: {},
      created: new Date(),
      bytes: 1,
    } as const;
    const images = [{ ...one, names: NAMES }];
    const catalogue = {
      place: 'here',
      hint: 'look',
      list: async () => images,
      facts: async () => new Map(images.map((image) => [image.id, image])),
      find: async () => [],
    };
    const selection = { patterns: parsed, labels: [], except: [] };
    const chosen = await decodedLater(['image-not-found'], () => choose(catalogue, selection));
    holds(chosen === undefined || chosen.length === 1, 'an image is chosen once');
    for (const { names } of chosen ?? [])
      holds(
        names.length > 0 && names.every((name) => NAMES.some((there) => there === name)),
        'it is chosen by names that it has',
      );
  },
});

const rule = fc.oneof(
  fc.constantFrom(
    'web=team/web',
    'web:1.0=web:2.0',
    'old.reg:5000/*=new.reg/p/*',
    '*:*=x/*:v*',
    'docker.io/library/*=[::1]:80/*',
    '*=*',
    'web=imgmv-incoming',
  ),
  fc.tuple(repeated, fc.constantFrom('=', 'b=', '='), repeated).map((parts) => parts.join('')),
);

const retags = target({
  name: 'options/retag',
  share: 10,
  input: fc.record({
    text: textLike(rule),
    name: fc.oneof(fc.constantFrom(...NAMES), nastyText),
    keep: fc.boolean(),
  }),
  check: ({ text, name, keep }) => {
    const parsed = decoded(['usage'], () => parseRetag(text));
    if (!parsed) return;
    holds(text.includes('='), 'a rule has two sides');
    const renaming = new Renaming({ retag: [parsed], keepNames: keep });
    const started = performance.now();
    const names = decoded(['usage'], () => renaming.apply(name));
    holds(performance.now() - started < MATCH_MS, 'a rule is applied in time');
    if (!names) return;
    holds(names.length >= 1 && names.length <= 2 && new Set(names).size === names.length, 'each name once');
    holds(names.length === 1 || names.includes(name), 'the old one besides is the old one');
    for (const fresh of names) {
      if (fresh === name) continue;
      const read = parseReference(fresh);
      holds(read?.tag !== undefined && read.digest === undefined, 'what comes out is a name with a tag');
    }
  },
});

/** What a name is in which registry, as docker reads it: nothing in a pattern stands for another one. */
const accepted = target<{ pattern: string; names: readonly string[] }>({
  name: 'options/accept',
  share: 10,
  input: fc.record({
    pattern: textLike(
      fc.oneof(
        glob,
        fc.constantFrom('*/*', '*', 'reg.example:5000/*', 'localhost/*:1', '[ab]/*', 'l*/?*', 'UP/*'),
      ),
    ),
    names: fc.array(
      fc
        .tuple(
          fc.constantFrom(
            '',
            'docker.io/',
            'index.docker.io/',
            'reg.example:5000/',
            'localhost/',
            'UP/',
            'a:1/',
          ),
          fc.constantFrom('web', 'library/web', 'team/web', 'a/b/c', 'reg.example/web'),
          fc.constantFrom(':1', ':1.0', ''),
        )
        .map((parts) => parts.join('')),
      { maxLength: 6 },
    ),
  }),
  check: ({ pattern, names }) => {
    const parsed = decoded(['usage'], () => parseTargetPattern(pattern, '--accept'));
    if (!parsed) return;
    const started = performance.now();
    for (const name of [...names, ...NAMES]) {
      const read = parseReference(name);
      if (!read || !matchesTarget(parsed, name)) continue;
      holds(read.tag !== undefined, 'a name that is set has a tag');
      holds(
        pattern.startsWith(`${read.domain}/`) || read.domain === 'docker.io',
        `a registry is accepted only where it is written: ${name}`,
      );
      holds(matchesTarget(parsed, canonical(read)), `${name} is the same name in full`);
      holds(matchesTarget(parsed, familiar(read)), `${name} is the same name in short`);
    }
    holds(performance.now() - started < MATCH_MS, 'a pattern is matched in time');
  },
});

export const choosingTargets = [patterns, retags, accepted];
