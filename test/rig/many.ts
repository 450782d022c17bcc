/** Many small images at once, as a server has them. */
import { join } from 'node:path';
import { openSink } from '../../agent/archive/open-store.ts';
import { move } from '../../agent/move/move.ts';
import { MemorySource, testImage } from '../memory.ts';
import type { Engine } from './engine.ts';
import { scratchDirectory } from './scratch.ts';

/** Loads `count` images of two layers each, the lower one shared: `team/app-0:1.0`, `team/app-1:1.1` … */
export async function loadMany(engine: Engine, count: number): Promise<readonly string[]> {
  await using directory = await scratchDirectory();
  const path = join(directory.path, 'many.tar');
  const names = Array.from({ length: count }, (_, at) => `team/app-${at}:1.${at % 10}`);
  const images = await Promise.all(
    names.map((name) =>
      testImage({ name, layers: [{ 'etc/base': 'base\n' }, { [`srv/${name}`]: `${name}\n` }] }),
    ),
  );
  const signal = new AbortController().signal;
  const write = { overwrite: false, noReplace: false, ignoreSpace: true, stdout: async () => {}, signal };
  await using sink = await openSink({ kind: 'docker-archive', path }, write);
  const how = { signal, emit: () => {}, wireBytes: () => 0, jobs: 1, retries: 0 };
  const { outcomes } = await move(new MemorySource(images), sink, how);
  for (const { error } of outcomes) if (error) throw error;
  await engine.docker(['load', '--quiet', '--input', path]);
  return names;
}
