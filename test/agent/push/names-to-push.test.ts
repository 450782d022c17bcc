import { expect, it } from 'vitest';
import type { Name } from '../../../agent/model/image.ts';
import { planImage } from '../../../agent/model/plan.ts';
import type { Planned } from '../../../agent/model/sink.ts';
import { namesToPush } from '../../../agent/push/names-to-push.ts';
import { PushingSink } from '../../../agent/push/pushing-sink.ts';
import { MemorySink, testImage } from '../../memory.ts';

const pushed = (...refs: readonly Name[]) => namesToPush(refs).map(({ target }) => target);
const same = (name: string): Name => ({ source: name, target: name });

it.each([
  ['all that have a registry', [same('r.example/a:1'), same('team/a:1')], ['r.example/a:1', 'team/a:1']],
  ['not those of this host alone, beside others', [same('a:1'), same('r.example/a:1')], ['r.example/a:1']],
  ['those of this host alone, to be told why not', [same('a:1')], ['a:1']],
  ['none of none', [], []],
  [
    'not what the sender kept beside a new name',
    [{ source: 'old.example/a:1', target: 'r.example/a:1' }, same('old.example/a:1')],
    ['r.example/a:1'],
  ],
  [
    'not what the receiver kept beside a new name',
    [
      { source: 'a:1', target: 'r.example/a:1', offered: 'old.example/a:1' },
      { source: 'a:1', target: 'old.example/a:1', offered: 'old.example/a:1' },
    ],
    ['r.example/a:1'],
  ],
  [
    'two names that swap',
    [
      { source: 'r.example/a:1', target: 'r.example/b:1' },
      { source: 'r.example/b:1', target: 'r.example/a:1' },
    ],
    ['r.example/b:1', 'r.example/a:1'],
  ],
] satisfies readonly [string, readonly Name[], readonly string[]][])('%s', (_what, refs, want) => {
  expect(pushed(...refs)).toEqual(want);
});

it('a plan tells them where pushing was asked for, and none that cannot be pushed', async () => {
  const told = async (names: readonly Name[], allowed = true, asked = false, pushes = true) => {
    const { image } = await testImage({ names });
    const policy = { asked, trusts: false, allows: () => allowed };
    const push = async () => ({ digest: image.id });
    const sink = new PushingSink(new MemorySink(), { push, policy, emit: () => {} });
    const [planned] = await sink.plan([image]);
    const { action, warning, ...plan } = planImage((planned as Planned).answer, undefined, {
      layers: false,
      pushes,
    });
    return { action, warning, pushes: plan.pushes };
  };
  const registry = same('r.example/a:1');
  const send = { action: 'send', warning: null };
  expect(await told([same('a:1'), registry])).toEqual({ ...send, pushes: ['r.example/a:1'] });
  expect(await told([same('a:1')])).toEqual({ ...send, pushes: [] });
  expect(await told([registry], true, false, false)).toEqual({ ...send, pushes: undefined });
  const left = 'the receiver does not push to r.example/a:1';
  expect(await told([registry], false)).toEqual({ action: 'send', warning: left, pushes: [] });
  expect(await told([registry], false, true)).toEqual({ action: 'refuse', warning: null, pushes: [] });
});
