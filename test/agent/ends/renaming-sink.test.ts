/** Honest hosts, a receiver with rules of its own, and a sender whose image has several names: over a real session. */
import { expect, it, vi } from 'vitest';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { RenamingSink } from '../../../agent/ends/renaming-sink.ts';
import { receiver, sender } from '../../hostile/hosts.ts';
import { MemorySink, MemorySource, testImage } from '../../memory.ts';

vi.mock(import('../../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../../proto/cheap-stretching.ts')),
}));

interface Rules {
  readonly retag?: readonly string[];
  readonly registry?: string;
  readonly keepNames?: boolean;
}

async function namesBehind(
  names: readonly string[],
  { retag = [], registry, keepNames = false }: Rules,
): Promise<{ readonly error: string | undefined; readonly names: readonly string[] }> {
  const sink = new MemorySink();
  const renaming = new Renaming({ retag: retag.map(parseRetag), keepNames, ...(registry && { registry }) });
  await using host = await receiver(new RenamingSink(sink, renaming));
  const image = await testImage({ names: names.map((name) => ({ source: name, target: name })) });
  const run = await sender(host.port, host.code, new MemorySource([image]));
  await host.run;
  return { error: run.error?.message, names: [...sink.names.keys()].sort() };
}

it.each([
  ['first and last become one', ['a:1', 'b:1', 'c:1'], { retag: ['a=x', 'c=x'] }, ['b:1', 'x:1']],
  ['one becomes what another is', ['b:1', 'a:1'], { retag: ['a=b'] }, ['b:1']],
  ['one is in that registry', ['r.example/web:1', 'web:1'], { registry: 'r.example' }, ['r.example/web:1']],
  ['two swap', ['a:1', 'b:1'], { retag: ['a=b', 'b=a'] }, ['a:1', 'b:1']],
  ['old ones are kept', ['a:1', 'b:1'], { retag: ['a=x', 'b=x'], keepNames: true }, ['a:1', 'b:1', 'x:1']],
  ['all stay', ['a:1', 'b:1'], {}, ['a:1', 'b:1']],
] satisfies readonly [string, readonly string[], Rules, readonly string[]][])(
  'names of one image: %s',
  async (_what, names, rules, want) => {
    expect(await namesBehind(names, rules)).toEqual({ error: undefined, names: want });
  },
);

it('a reason as long as a rule and a name is cut, and the others go on', async () => {
  const sink = new MemorySink();
  const rule = parseRetag(`n*=registry.example/${'b'.repeat(220)}*:${'u'.repeat(120)}`);
  await using host = await receiver(
    new RenamingSink(sink, new Renaming({ retag: [rule], keepNames: false })),
  );
  const long = await testImage({ name: `${'n'.repeat(200)}:${'t'.repeat(120)}` });
  const run = await sender(host.port, host.code, new MemorySource([long, await testImage({ name: 'b:1' })]));
  await host.run;
  expect(run.error).toBeUndefined();
  expect([...sink.names.keys()]).toEqual(['b:1']);
});
