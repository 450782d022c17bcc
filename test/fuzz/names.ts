/** Names of images, from the command line and from the other host. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Engine } from '../../agent/docker/engine.ts';
import { EngineSink } from '../../agent/docker/engine-sink.ts';
import { isPrivateName } from '../../agent/docker/helpers.ts';
import type { Digest, Image } from '../../agent/model/image.ts';
import {
  canonical,
  familiar,
  familiarName,
  parseReference,
  parseTarget,
  withDefaultTag,
} from '../../agent/model/reference.ts';
import { REFERENCE_MAX_BYTES } from '../../proto/limits.ts';
import { decoded, holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText, textLike } from './text.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' } as const;
const PRIVATE = 'imgmv-incoming:0123456789ab-01234567-1700000000-4711.275813-1';
const DIGEST = `sha256:${'ab'.repeat(32)}`;

const name = fc
  .tuple(
    fc.constantFrom(
      '',
      'docker.io/',
      'index.docker.io/',
      'localhost/',
      'host.example:5000/',
      '[::1]:80/',
      'UP/',
      'team/',
    ),
    fc.constantFrom(
      'web',
      'a/b',
      'library/web',
      'a__b',
      'a--b',
      'a.b_c',
      '0'.repeat(64),
      'x'.repeat(250),
      'sha256',
    ),
    fc.constantFrom('', ':1.0', ':latest', ':_x', `:${'t'.repeat(128)}`),
    fc.constantFrom('', `@${DIGEST}`),
  )
  .map((parts) => parts.join(''));

const references = target({
  name: 'names/reference',
  share: 20,
  input: textLike(name),
  check: (text) => {
    const read = parseReference(text);
    const given = decoded(['usage'], () => parseTarget(text, '--as'));
    holds(
      (given !== undefined) === (read !== undefined && read.digest === undefined),
      'a target is a name without a digest',
    );
    if (!read) return;
    holds(/^[\x21-\x7e]+$/.test(text), 'a name is of characters that show');
    const whole = canonical(read);
    holds(
      whole.length <= 'docker.io/'.length + REFERENCE_MAX_BYTES + `@${DIGEST}`.length,
      'a name is bounded',
    );
    holds(isDeepStrictEqual(parseReference(whole), read), 'its canonical form is the same name');
    holds(isDeepStrictEqual(parseReference(familiar(read)), read), 'its familiar form is the same name');
    holds(familiar(read).startsWith(familiarName(read)), 'a repository begins its name');
    const tagged = withDefaultTag(read);
    holds(tagged.tag !== undefined || tagged.digest !== undefined, 'a name means one image');
  },
});

/** Long ones, which must not take long: of the command line anything may come. */
const long = target<{ text: string; times: number }>({
  name: 'names/long',
  share: 2,
  input: fc.record({
    text: fc.oneof(nastyText, fc.constantFrom('a', 'a.', 'a-', '-', 'a/', '[::', '0:', 'a_', '__')),
    times: fc.nat(5_000),
  }),
  check: ({ text, times }) => {
    const repeated = text.slice(0, 20).repeat(times);
    const started = performance.now();
    parseReference(repeated);
    parseReference(`${repeated}!`);
    isPrivateName(repeated);
    holds(performance.now() - started < 1_000, `a name of ${repeated.length} characters takes its time`);
  },
});

const privateNames = target({
  name: 'names/private',
  share: 10,
  input: textLike(fc.constantFrom(PRIVATE, 'imgmv-incoming:latest')),
  check: (text) => {
    if (!isPrivateName(text)) return;
    // It goes into requests that remove it.
    holds(familiar(parseTarget(text, 'a private name')) === text, 'a private name is a name with a tag');
  },
});

/** What an engine is asked to do with the names of an offer, of which several may be one in other words. */
const planned = target<{ names: readonly (readonly string[])[] }>({
  name: 'names/planned',
  share: 8,
  input: fc.record({
    names: fc.array(
      fc.array(
        fc
          .tuple(
            fc.constantFrom('', 'docker.io/', 'index.docker.io/', 'docker.io/library/', 'library/'),
            fc.constantFrom('web', 'localhost/web', 'host.example/web', PRIVATE),
            fc.constantFrom(':1', ':2'),
          )
          .map(([front, middle, tag]) => front + (middle === PRIVATE ? middle : middle + tag)),
        { maxLength: 3 },
      ),
      { maxLength: 3 },
    ),
  }),
  check: async ({ names }) => {
    const images = names.map((targets, number) => imageWith(number, targets));
    const tagged: string[] = [];
    const engine = {
      info: { store: 'classic', kind: 'docker', platform: PLATFORM },
      endpoint: { address: 'tcp://elsewhere:1' },
      list: async () => [],
      inspect: async (id: string) =>
        images.some((image) => image.id === id) ? { Id: id, RootFS: { Layers: [] } } : undefined,
      tag: async (_from: string, repository: string, tag: string) => tagged.push(`${repository}:${tag}`) > 0,
    } as unknown as Engine;
    await using sink = await EngineSink.open(engine, { noReplace: false, ignoreSpace: true });
    const all = await sink.plan(images);
    const given = new Map<string, number>();
    for (const [number, { answer, open }] of all.entries()) {
      if (answer.action === 'refuse') continue;
      const wholes = answer.image.names.map(({ target: one }) => wholeOf(one));
      for (const whole of wholes) {
        holds(!whole.includes('/library/imgmv-incoming:'), 'no name that is offered is one of ours');
        holds((given.get(whole) ?? number) === number, `${whole} is given to one image`);
        given.set(whole, number);
      }
      tagged.length = 0;
      await (await open(new AbortController().signal)).commit();
      holds(isDeepStrictEqual(tagged.map(wholeOf), wholes), 'an engine is told the names that were offered');
    }
  },
});

function imageWith(number: number, targets: readonly string[]): Image {
  const id: Digest = `sha256:${String(number).padStart(64, '0')}`;
  return {
    id,
    root: { mediaType: 'x', digest: id, size: 1 },
    store: 'classic',
    platform: PLATFORM,
    names: targets.map((one) => ({ source: 'web:1', target: one })),
    diffIds: [],
    bytes: 1,
  };
}

function wholeOf(text: string): string {
  const read = parseReference(text);
  if (!read) throw new Error(`${text} is no name`);
  return canonical(read);
}

export const nameTargets = [references, long, privateNames, planned];
