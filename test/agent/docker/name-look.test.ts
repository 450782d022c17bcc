import { expect, it } from 'vitest';
import type { InspectedImage } from '../../../agent/docker/engine.ts';
import { LOOK_MAX_MS, lookAtName } from '../../../agent/docker/name-look.ts';

/** Looks at an engine that takes so long for each look, and says that this image has the name. */
async function looked(found: string | undefined, ...tookMs: readonly number[]) {
  let now = 0;
  let looks = 0;
  const inspect = async () => {
    now += tookMs[Math.min(looks++, tookMs.length - 1)] as number;
    return found === undefined ? undefined : ({ Id: found } as InspectedImage);
  };
  const verdict = await lookAtName({ inspect }, 'r.example/web:1', 'mine', () => now);
  return { verdict, looks };
}

it('believes an engine that says soon whose the name is', async () => {
  expect(await looked('mine', LOOK_MAX_MS - 1)).toEqual({ verdict: 'ours', looks: 1 });
  for (const other of ['other', undefined])
    expect(await looked(other, 1)).toEqual({ verdict: 'moved', looks: 1 });
});

it('asks again an engine that was slow, and does not believe one that always is', async () => {
  expect(await looked('mine', LOOK_MAX_MS, 9_000, 1)).toEqual({ verdict: 'ours', looks: 3 });
  expect(await looked('mine', LOOK_MAX_MS)).toEqual({ verdict: 'slow', looks: 5 });
});
