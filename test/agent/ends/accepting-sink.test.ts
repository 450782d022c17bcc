/** Over a real session: what a sender may name, and what the receiver's own rules make of it. */
import { expect, it, vi } from 'vitest';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { parseTargetPattern } from '../../../agent/choose/target-pattern.ts';
import { AcceptingSink } from '../../../agent/ends/accepting-sink.ts';
import { RenamingSink } from '../../../agent/ends/renaming-sink.ts';
import type { Name } from '../../../agent/model/image.ts';
import { receiver, sender, statuses } from '../../hostile/hosts.ts';
import { MemorySink, MemorySource, testImage } from '../../memory.ts';

vi.mock(import('../../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../../proto/cheap-stretching.ts')),
}));

const accepting = (sink: MemorySink, ...patterns: readonly string[]) =>
  new AcceptingSink(
    sink,
    patterns.map((text) => parseTargetPattern(text, '--accept')),
  );

const same = (...names: readonly string[]): readonly Name[] =>
  names.map((name) => ({ source: name, target: name }));

async function sent(sink: Parameters<typeof receiver>[0], ...images: readonly (readonly Name[])[]) {
  await using host = await receiver(sink);
  const made = await Promise.all(
    images.map((names, at) => testImage({ names, layers: [{ 'srv/at': `${at}` }] })),
  );
  const run = await sender(host.port, host.code, new MemorySource(made));
  const { ledger } = await host.run;
  return { run, exits: [run.ledger?.exit, ledger?.exit] };
}

it('refuses an image of which one name is not accepted, and takes the others: 17', async () => {
  const sink = new MemorySink();
  const images = [same('team/a:1'), same('team/b:1', 'other/b:1'), same('c.example/team/c:1')];
  const { run, exits } = await sent(accepting(sink, 'team/*'), ...images);
  expect(statuses(run)).toEqual(['loaded', 'refused refused', 'refused refused']);
  expect(run.ledger?.outcomes.map(({ error }) => error?.message)).toEqual([
    undefined,
    'on test host: other/b:1 is not a name that --accept allows',
    'on test host: c.example/team/c:1 is not a name that --accept allows',
  ]);
  expect(exits).toEqual([17, 17]);
  expect([...sink.names.keys()]).toEqual(['team/a:1']);
});

it('refuses all where none is accepted: 16, and asks the place for none of them', async () => {
  const planned: number[] = [];
  const sink = new (class extends MemorySink {
    override plan(...[images]: Parameters<MemorySink['plan']>) {
      planned.push(images.length);
      return super.plan(images);
    }
  })();
  const { exits } = await sent(accepting(sink, 'web'), same('db:16'));
  expect([exits, planned, sink.images.size]).toEqual([[16, 16], [0], 0]);
});

it('refuses an image that is here already and would get another name', async () => {
  const sink = new MemorySink();
  await sent(sink, same('web:1'));
  const { run } = await sent(accepting(sink, 'web:1'), same('web:2'));
  expect([statuses(run), [...sink.names.keys()]]).toEqual([['refused refused'], ['web:1']]);
  const { run: again } = await sent(accepting(sink, 'web:2'), same('web:2'));
  expect([statuses(again), [...sink.names.keys()]]).toEqual([['present'], ['web:1', 'web:2']]);
});

it('takes an image without a name, which sets none', async () => {
  const sink = new MemorySink();
  const { run } = await sent(accepting(sink, 'web'), []);
  expect([statuses(run), sink.images.size, sink.names.size]).toEqual([['loaded'], 1, 0]);
});

it('looks at names as the rules of the receiver make them', async () => {
  const sink = new MemorySink();
  const retag = [parseRetag('mine=theirs'), parseRetag('*=team/*')];
  const renaming = new Renaming({ retag, keepNames: false });
  const renamed = new RenamingSink(accepting(sink, 'team/*'), renaming);
  const { run } = await sent(renamed, same('web:1'), same('mine:1'));
  expect(statuses(run)).toEqual(['loaded', 'refused refused']);
  expect([...sink.names.keys()]).toEqual(['team/web:1']);
});

it('keeps old names only where they are accepted, too', async () => {
  const sink = new MemorySink();
  const renaming = new Renaming({ retag: [parseRetag('web=team/web')], keepNames: true });
  const { run } = await sent(new RenamingSink(accepting(sink, 'team/*'), renaming), same('web:1'));
  expect([statuses(run), sink.names.size]).toEqual([['refused refused'], 0]);
});

it('opens no way for an image with a name that was not accepted', async () => {
  const sink = accepting(new MemorySink(), 'team/*');
  const { image } = await testImage({ name: 'web:1' });
  const [planned] = await sink.plan([image]);
  await expect(planned?.open(new AbortController().signal)).rejects.toMatchObject({ code: 'internal' });
});
