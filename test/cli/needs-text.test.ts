import { expect, it } from 'vitest';
import type { PlanNeed } from '../../agent/model/events.ts';
import { needsText } from '../../cli/needs-text.ts';

const need = (more: Partial<PlanNeed>): PlanNeed => ({
  kind: 'volume',
  name: 'data',
  external: false,
  from: null,
  services: ['web'],
  file: 'compose.yaml',
  line: 1,
  ...more,
});

it('is a line for each, with who uses it', () => {
  const needs = [
    need({ from: 'shop_data', services: ['a', 'b', 'c', 'd', 'e'] }),
    need({ kind: 'network', name: 'front', external: true, from: 'front', services: [] }),
    need({ kind: 'build', name: './api', services: ['api'] }),
  ];
  expect(needsText(needs)).toBe(
    `Compose also needs these, which are not moved:
  volume data, shop_data (a, b, c and 2 more)
  external network front
  build from ./api (api)
`,
  );
  expect(needsText([])).toBe('');
});

it('shows nothing that acts, no text as long as its author likes, and says how many more there are', () => {
  const hostile = need({ kind: 'bind-mount', name: `\u001b[2J${'x'.repeat(500)}`, from: '\u202e' });
  const lines = needsText(Array.from({ length: 25 }, () => hostile))
    .trimEnd()
    .split('\n');
  expect(lines).toHaveLength(22);
  expect(lines[1]).toMatch(/^ {2}bind mount \\u001b\[2Jx{96}…, \\u202e \(web\)$/);
  expect(lines.at(-1)).toBe('  … and 5 more, which --json lists');
});
