/** The kinds of values that a move file has. Messages are what was expected: `a duration such as 90s`. */
import { InvalidArgumentError } from 'commander';
import * as v from 'valibot';
import { ImgmvError } from '../../proto/errors.ts';
import { asClause } from './problems.ts';

/** What an argument cannot hold or nobody can read does not come in by a file either: NUL, ESC and their like. */
const CONTROL = /\p{Cc}/u;

export function text(expected: string) {
  return v.pipe(
    v.string(expected),
    v.nonEmpty(expected),
    v.check((one: string) => !CONTROL.test(one), 'text without control characters'),
  );
}

/** `form` is what is expected of a text that is none of `shape`. */
export function textLike(shape: RegExp, expected: string, form = expected) {
  return v.pipe(text(expected), v.regex(shape, form));
}

/** What editors say of a key. */
export function about<T>(description: string, ...examples: readonly unknown[]): v.MetadataAction<T, About> {
  return v.metadata({ description, examples });
}

type About = { readonly description: string; readonly examples: readonly unknown[] };

/** `false` is as good as no key at all. */
export function toggle(description: string) {
  return v.pipe(v.boolean('true or false'), about(description, true));
}

export function wholeNumber(min: number, max: number, description: string, example: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(min, expected),
    v.maxValue(max, expected),
    about(description, example),
  );
}

/** A list, or a single one of its items. */
export function list<T>(
  item: v.GenericSchema<string, T>,
  description: string,
  ...examples: readonly string[]
) {
  const expected = 'text, or a list of it';
  return v.pipe(
    v.union([item, v.array(item, expected)], expected),
    about(description, examples),
    v.transform((given): readonly T[] => (Array.isArray(given) ? (given as T[]) : [given as T])),
  );
}

/** Of keys and values of one kind. Valibot by itself takes a list for a record of its indices. */
export function mapping<S extends v.GenericSchema<string, string>>(item: S, expected: string) {
  const record = v.record(item, item, expected);
  const never = v.never(expected);
  const run: (typeof record)['~run'] = (dataset, config) =>
    Array.isArray(dataset.value) ? never['~run'](dataset, config) : record['~run'](dataset, config);
  return { ...record, '~run': run };
}

/** What the option of that name makes of its value. The parser throws commander's error, or usage. */
export function parsed<I, T>(parse: (value: I) => T) {
  return v.rawTransform<I, T>(({ dataset, addIssue, NEVER }) => {
    try {
      return parse(dataset.value);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError) && !(error instanceof ImgmvError)) throw error;
      const hint = error instanceof ImgmvError && error.hint !== undefined ? `; ${error.hint}` : '';
      addIssue({ message: asClause(`${error.message}${hint}`) });
      return NEVER;
    }
  });
}

/** The same, of which the value as it is written is what matters. */
export function checked(parse: (value: string) => unknown) {
  return parsed((value: string) => {
    parse(value);
    return value;
  });
}
