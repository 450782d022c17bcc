import { expect, it } from 'vitest';
import { COMPOSE_FILE_MAX_BYTES, YAML_LEXEMES_MAX } from '../../../agent/choose/limits.ts';
import { parseYaml } from '../../../agent/compose/yaml.ts';
import { cpuTimeMs } from '../../cpu-time.ts';

const filled = (piece: string, before = '') =>
  before + piece.repeat(Math.floor((COMPOSE_FILE_MAX_BYTES - before.length) / piece.length));

it.each<readonly [string, string, RegExp]>([
  ['closes', filled('}'), /^c\.yaml:1: no YAML: Unexpected flow-map-end token.*"}"$/],
  ['escapes nothing', filled('\\q', '- 1\n- "'), /^c\.yaml:2: no YAML: Invalid escape sequence \\q$/],
  ['separates nothing', filled(',', 'a: {'), /the file has more than/],
  ['is many documents', filled('---\n'), /the file has more than 200000 words and signs of YAML$/],
  ['names nothing', filled('- *a\n'), /the file has more than/],
])('refuses a file that %s soon, and with little memory', async (_name, text, message) => {
  const before = process.memoryUsage().rss;
  const ms = await cpuTimeMs(() => expect(() => parseYaml(text, 'c.yaml')).toThrow(message));
  expect(ms).toBeLessThan(10_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
});

it('takes ten thousand services', () => {
  const services = Array.from({ length: 10_000 }, (_, at) => `  s${at}:\n    image: web:${at}\n`);
  const [root] = parseYaml(`services:\n${services.join('')}`, 'c.yaml');
  const all = root?.kind === 'map' ? root.entries.get('services') : undefined;
  expect(all?.kind === 'map' && all.entries.size).toBe(10_000);
  expect(YAML_LEXEMES_MAX).toBeGreaterThan(130_000);
});

it('takes what is only odd', () => {
  expect(parseYaml('%ODD directive\n---\na: !odd b\n', 'c.yaml')).toHaveLength(1);
});
