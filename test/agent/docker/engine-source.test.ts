/** What an engine as a source withdraws when it sees the plan. */
import { expect, it } from 'vitest';
import type { Engine } from '../../../agent/docker/engine.ts';
import { EngineSource } from '../../../agent/docker/engine-source.ts';
import type { Answer } from '../../../agent/model/image.ts';
import { testImage } from '../../memory.ts';

it('withdraws an image without layers of a classic store, which no engine saves', async () => {
  // With `ignoreSpace` a plan asks the engine nothing.
  const source = new EngineSource({} as Engine, { meant: [], ignoreSpace: true, leftOut: () => {} });
  const answer = async (options: object, action: Answer['action'] = 'send'): Promise<Answer> => ({
    image: (await testImage(options)).image,
    action,
    refs: [],
  });
  const answers = [
    await answer({ layers: [] }),
    await answer({ layers: [] }, 'present'),
    await answer({ layers: [], store: 'containerd' }),
    await answer({}),
  ];
  expect(await source.planned(answers)).toEqual([
    {
      ...answers[0],
      action: 'refuse',
      withdrawn: true,
      reason: expect.stringMatching(/^an image without layers/),
    },
    ...answers.slice(1),
  ]);
});
