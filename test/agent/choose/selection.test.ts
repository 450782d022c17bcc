import { describe, expect, it } from 'vitest';
import { named, requireOne } from '../../../agent/choose/meant.ts';
import { parsePatterns } from '../../../agent/choose/pattern.ts';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { choose, type Selection } from '../../../agent/choose/selection.ts';
import type { Catalogue, Chosen, Listed } from '../../../agent/model/catalogue.ts';
import type { Digest } from '../../../agent/model/image.ts';

const DAY_MS = 86_400_000;
const NOW = Date.parse('2026-11-20T00:00:00Z');
const idOf = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

interface Row {
  readonly names?: readonly string[];
  readonly dangling?: true;
  readonly labels?: Readonly<Record<string, string>>;
  readonly days?: number;
  /** On which others were built: it is found, and not listed. */
  readonly part?: true;
}

const ROWS: Readonly<Record<string, Row>> = {
  a: { names: ['web:1.0', 'web:latest'], labels: { team: 'a', release: '' }, days: 1 },
  b: { names: ['web:1.1'], labels: { team: 'b' }, days: 10 },
  c: { names: ['team/db:16', 'ten:1', 'ten:2'], labels: { toString: 'x' }, days: 7 },
  d: { dangling: true, days: 2 },
  e: { names: [], days: 30 },
  f: { part: true, labels: { team: 'a' }, days: 3 },
};

class MemoryCatalogue implements Catalogue {
  readonly place = 'in memory';
  readonly hint = 'look there';
  readonly running?: () => Promise<readonly Chosen[]>;
  readonly #rows: Readonly<Record<string, Row>>;

  constructor(rows = ROWS, running?: readonly Chosen[]) {
    this.#rows = rows;
    if (running) this.running = async () => running;
  }

  #all(parts: boolean): readonly Listed[] {
    return Object.entries(this.#rows)
      .filter(([, { part }]) => parts || !part)
      .map(([digit, { names = [], dangling = false, labels = {}, days = 0 }]) => ({
        id: idOf(digit),
        names,
        dangling,
        labels,
        created: new Date(NOW - days * DAY_MS),
        bytes: 1,
      }));
  }

  async list() {
    return this.#all(false);
  }

  async facts() {
    return new Map(this.#all(true).map((one) => [one.id, one]));
  }

  async find(reference: string) {
    const name = reference.includes(':') ? reference : `${reference}:latest`;
    const byName = this.#all(true).find(({ names }) => names.includes(name));
    if (byName) return [{ id: byName.id, names: [name] }];
    const byId = this.#all(true).find(({ id }) => id.slice(7).startsWith(reference));
    return byId ? [{ id: byId.id, names: [] }] : [];
  }
}

interface Asked extends Omit<Partial<Selection>, 'patterns' | 'except'> {
  readonly patterns?: readonly string[];
  readonly except?: readonly string[];
}

/** `a web:1.0 web:latest`, an image a line. */
async function chosen(asked: Asked, catalogue: Catalogue = new MemoryCatalogue()) {
  const { patterns = [], except = [], labels = [], ...rest } = asked;
  const images = await choose(catalogue, {
    ...rest,
    labels,
    patterns: patterns.flatMap(parsePatterns),
    except: except.flatMap(parsePatterns),
  });
  return images.map(({ id, names }) => [id.slice(7, 8), ...names].join(' '));
}

const ALL = ['a web:1.0 web:latest', 'b web:1.1', 'c team/db:16 ten:1 ten:2', 'e'];

describe('what is chosen', () => {
  it.each<[Asked, readonly string[]]>([
    [{ patterns: ['web'] }, ['a web:latest']],
    [{ patterns: ['web:1.1', 'web:1.0'] }, ['b web:1.1', 'a web:1.0']],
    [{ patterns: ['web:1.0', 'web:*'] }, ['a web:1.0 web:latest', 'b web:1.1']],
    [{ patterns: ['cccc'] }, ['c']],
    [{ patterns: ['cccc', 'ten:2'] }, ['c ten:2']],
    [{ patterns: ['te*'] }, ['c team/db:16 ten:1 ten:2']],
    [{ patterns: ['ten:1,2'] }, ['c ten:1 ten:2']],
    [{ all: true }, ALL],
    [{ dangling: true }, ['d']],
    [{ all: true, dangling: true }, [...ALL, 'd']],
    [{ dangling: true, patterns: ['web:1.1'] }, ['b web:1.1', 'd']],
    [{}, ALL],
  ])('%j', async (asked, want) => {
    expect(await chosen(asked)).toEqual(want);
  });

  it.each<[Asked, readonly string[]]>([
    [{ labels: [{ key: 'team' }] }, ['a web:1.0 web:latest', 'b web:1.1']],
    [{ labels: [{ key: 'team', value: 'b' }] }, ['b web:1.1']],
    [{ labels: [{ key: 'team' }, { key: 'release' }] }, ['a web:1.0 web:latest']],
    [{ labels: [{ key: 'release', value: '' }] }, ['a web:1.0 web:latest']],
    // Of nobody's prototype.
    [{ labels: [{ key: 'toString' }] }, ['c team/db:16 ten:1 ten:2']],
    [{ since: new Date(NOW - 7 * DAY_MS) }, ['a web:1.0 web:latest', 'c team/db:16 ten:1 ten:2']],
    [{ since: new Date(NOW - 7 * DAY_MS), dangling: true }, ['d']],
    [{ patterns: ['web:*'], since: new Date(NOW - 7 * DAY_MS) }, ['a web:1.0 web:latest']],
    // What is no image of its own has labels and an age, too.
    [{ patterns: ['ffff'], labels: [{ key: 'team', value: 'a' }] }, ['f']],
    [{ except: ['web:1.0'] }, ['a web:latest', ...ALL.slice(1)]],
    [{ except: ['web:*'] }, ALL.slice(2)],
    [{ except: ['*'] }, ['e']],
    [{ except: ['cccc'] }, [ALL[0] ?? '', ALL[1] ?? '', 'e']],
    [{ except: ['ten'] }, [ALL[0] ?? '', ALL[1] ?? '', 'c team/db:16', 'e']],
    [{ except: ['web'] }, ALL.slice(2)],
    [{ except: ['docker.io/library/web'] }, ALL.slice(2)],
    [{ except: ['web:latest'] }, ['a web:1.0', ...ALL.slice(1)]],
    [{ except: ['nothing:1'] }, ALL],
    [{ patterns: ['cccc'], except: ['te*'] }, ['c']],
  ])('narrowed by %j', async (asked, want) => {
    expect(await chosen(asked)).toEqual(want);
  });

  it.each<[Asked, string]>([
    [{ patterns: ['nope:1', 'web:1.0', 'no*'] }, 'no image in memory: "nope:1", "no*"'],
    [{ patterns: ['nope:1'] }, 'no such image in memory: "nope:1"'],
    [{ patterns: ['web:1.1'], except: ['web:*'] }, 'no image in memory matches "web:1.1" --except web:*'],
    [{ labels: [{ key: 'x', value: 'y' }] }, 'no image in memory matches --label x=y'],
    [
      { all: true, since: new Date(NOW) },
      'no image in memory matches --all --since 2026-11-20T00:00:00.000Z',
    ],
  ])('that is nothing is an error: %j', async (asked, message) => {
    await expect(chosen(asked)).rejects.toMatchObject({ code: 'image-not-found', exit: 10, message });
  });

  it('of an empty place is an error, unless nothing may be there', async () => {
    const empty = new MemoryCatalogue({});
    await expect(chosen({ all: true, dangling: true }, empty)).rejects.toThrow('there is no image in memory');
    expect(await chosen({ orNothing: true }, empty)).toEqual([]);
  });

  it('says what comes close', async () => {
    await expect(chosen({ patterns: ['wbe:1.0'] })).rejects.toMatchObject({
      hint: 'did you mean web:1.0?',
    });
    await expect(chosen({ patterns: ['nothing:like'] })).rejects.toMatchObject({ hint: 'look there' });
    const ported = new MemoryCatalogue({
      a: { names: ['reg.example:5000/web:1.0'] },
      b: { names: ['reg.example:5000/a/database:1'] },
    });
    await expect(chosen({ patterns: ['reg.example:5000/web'] }, ported)).rejects.toMatchObject({
      hint: 'did you mean reg.example:5000/web:1.0?',
    });
  });

  it('runs only where something can', async () => {
    const running = new MemoryCatalogue(ROWS, [
      { id: idOf('b'), names: ['web:1.1'] },
      { id: idOf('d'), names: [] },
      { id: idOf('b'), names: ['web:1.1'] },
    ]);
    expect(await chosen({ running: true }, running)).toEqual(['b web:1.1', 'd']);
    await expect(chosen({ running: true })).rejects.toMatchObject({ code: 'usage' });
    await expect(chosen({ running: true }, new MemoryCatalogue(ROWS, []))).rejects.toMatchObject({
      message: 'no image in memory matches --running',
    });
  });
});

describe('what it is called', () => {
  const image = { id: idOf('a'), names: ['web:1', 'web:2'] };
  const renaming = (...rules: readonly string[]) =>
    new Renaming({ retag: rules.map(parseRetag), keepNames: false });

  it('has each name once, whichever leads there', () => {
    expect(named([image], { renaming: renaming('web=app:9') })).toEqual([
      { id: image.id, names: [{ source: 'web:1', target: 'app:9' }] },
    ]);
  });

  it('is as given, for the one image there is', () => {
    const without = { id: idOf('b'), names: [] };
    expect(named([without], { as: 'x:1', renaming: renaming() })[0]?.names).toEqual([
      { source: without.id, target: 'x:1' },
    ]);
    expect(() => requireOne([image, image], 'x:1')).not.toThrow();
    expect(() => requireOne([image, without], 'x:1')).toThrow('x:1 is one name, but there are 2 images');
  });
});

it('says of what matches nothing that it does', async () => {
  const told: string[] = [];
  const except = ['web:1.0', 'wbe', 'x/*', '*:16'].flatMap(parsePatterns);
  await choose(new MemoryCatalogue(), { patterns: [], labels: [], except }, (message) => told.push(message));
  expect(told).toEqual(['--except wbe matches nothing', '--except x/* matches nothing']);
});
