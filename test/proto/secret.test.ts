import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { serialize } from 'node:v8';
import { expect, test } from 'vitest';
import { Secret } from '../../proto/secret.ts';

const VALUE = 'correct-horse-battery';
const FORMS_OF_BYTES = ['hex', 'base64', 'latin1'] as const;

/** Every way to turn a value into text that could end up in a log. */
const RENDERINGS: Readonly<Record<string, (secret: unknown) => string>> = {
  'a template': (secret) => `${secret}`,
  concatenation: (secret) => `code: ${String(secret)}`,
  JSON: (secret) => JSON.stringify(secret),
  'nested JSON': (secret) => JSON.stringify({ options: [{ secret }] }),
  inspect: (secret) => inspect(secret),
  'inspect of all there is': (secret) =>
    inspect({ deep: { secret } }, { showHidden: true, depth: null, getters: true }),
  'inspect without customInspect': (secret) => inspect(secret, { customInspect: false, showHidden: true }),
  'format %s': (secret) => format('%s', secret),
  'format %o': (secret) => format('%o', secret),
  'format %O': (secret) => format('%O', secret),
  'format %j': (secret) => format('%j', secret),
  'format %d': (secret) => format('%d', secret),
  console: consoleOutput,
  'the cause of an error': (secret) => inspect(new Error('it failed', { cause: secret })),
  'a field of an error': (secret) => inspect(Object.assign(new Error('it failed'), { secret })),
  'a map and a set': (secret) => inspect([new Map([[secret, secret]]), new Set([secret])]),
  entries: (secret) => inspect(Object.entries(Object(secret))) + Reflect.ownKeys(Object(secret)).map(String),
  'a copy': (secret) => inspect({ ...Object(secret) }) + inspect(structuredClone(secret)),
  'a serialisation': (secret) => serialize(secret).toString('latin1'),
};

function consoleOutput(secret: unknown): string {
  let output = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      output += String(chunk);
      done();
    },
  });
  const console = new Console({ stdout: stream, stderr: stream });
  console.log(secret);
  console.error('failed: %s', secret, { secret });
  console.dir(secret, { showHidden: true });
  console.table([{ secret }]);
  return output;
}

test.each(Object.entries(RENDERINGS))('a secret string does not show in %s', (_name, render) => {
  const output = render(new Secret(VALUE));
  expect(output.length).toBeGreaterThan(0);
  expect(output).not.toContain(VALUE);
});

test.each(Object.entries(RENDERINGS))('secret bytes do not show in %s', (_name, render) => {
  const bytes = Buffer.from(VALUE);
  const output = render(new Secret(bytes));
  expect(output.length).toBeGreaterThan(0);
  for (const form of FORMS_OF_BYTES) expect(output).not.toContain(bytes.toString(form));
  expect(output).not.toContain(bytes.toString('hex').slice(0, 8));
  expect(output).not.toContain(inspect(bytes).slice(8, 20));
  expect(output.replaceAll(/\s/g, '')).not.toContain([...bytes].join(','));
});

test('a secret shows as a mask, so that a reader knows something was there', () => {
  const secret = new Secret(VALUE);
  expect(`${secret}`).toBe('[secret]');
  expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}');
  expect(inspect({ secret })).toBe('{ secret: [secret] }');
});

test('reveal gives the value', () => {
  const bytes = Buffer.from(VALUE);
  expect(new Secret(VALUE).reveal()).toBe(VALUE);
  expect(new Secret(bytes).reveal()).toBe(bytes);
});
