import { expect, it } from 'vitest';
import { parseTarget } from '../../../agent/model/reference.ts';
import { mayPass, pushFailed } from '../../../agent/push/failure.ts';
import { cpuTimeMs } from '../../cpu-time.ts';

const NAME = parseTarget('r.example/a/b:1', 'the name');

it('judges what an engine said in no time, however long a registry made it', async () => {
  const said = 'status '.repeat(9_000);
  const ms = await cpuTimeMs(() => {
    expect(mayPass(said, NAME)).toBe(false);
    expect(pushFailed(NAME, said, undefined, 1).hint).toBeUndefined();
  });
  expect(ms).toBeLessThan(400);
});

it('finds in a long text what may pass at its beginning, and what does not anywhere', () => {
  const rest = ' status'.repeat(9_000);
  expect(mayPass(`connection refused${rest}`, NAME)).toBe(true);
  expect(mayPass(`connection refused${rest} unauthorized`, NAME)).toBe(false);
  expect(pushFailed(NAME, `x509: unknown authority${rest}`, undefined, 1).hint).toMatch(/certs\.d/);
});
