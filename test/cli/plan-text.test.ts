/** A plan as people read it: as a table, as a list where there is no room for one, and in the words of a copy. */
import { expect, it } from 'vitest';
import type { PlanImage } from '../../agent/model/events.ts';
import { planText } from '../../cli/plan-text.ts';

const ID_CHANGE = 'classic store at the source, containerd store at the target';

function planned(name: string, change: Partial<PlanImage> = {}): PlanImage {
  return {
    ...{ id: `sha256:${'ab'.repeat(32)}`, platform: 'linux/amd64', reason: null, warning: null },
    ...{ refs: [{ source: name, target: name, replaces: null }], action: 'send', idChange: null },
    ...{ layers: 3, layersMissing: 2, bytes: 30_000_000, bytesMissing: 12_000_000, ...change },
  };
}

const present = { action: 'present', layersMissing: 0, bytesMissing: 0 } as const;

it('has a line for each image, and says once that ids will change', () => {
  const images = [
    planned('web:1.0', { idChange: ID_CHANGE }),
    planned('db:16', { ...present, idChange: ID_CHANGE }),
  ];
  expect(planText(images)).toBe(
    [
      'IMAGE     PLATFORM      ACTION    LAYERS   TO SEND   OF',
      'web:1.0   linux/amd64   send      2 of 3   12 MB     30 MB',
      'db:16     linux/amd64   present   3        -         30 MB',
      `The ids will be others at the target: ${ID_CHANGE}.`,
      '',
    ].join('\n'),
  );
});

it('names those whose ids change where others keep theirs, and none that is refused', () => {
  const refused = planned('no:1', { action: 'refuse', reason: 'why', idChange: ID_CHANGE });
  const text = planText([planned('web:1.0', { idChange: ID_CHANGE }), planned('db:16'), refused]);
  expect(text.match(/^The ids.*$/gm)).toEqual([
    `The ids of web:1.0 will be others at the target: ${ID_CHANGE}.`,
  ]);
});

it('speaks of a copy as of one', () => {
  const text = planText([planned('web:1.0')], { copies: true });
  expect(text).toMatch(/ TO COPY .*\n.* copy /);
  expect(text).not.toMatch(/send/i);
});

it.each([30, 40])('is a list in %d columns, and cuts no word', (columns) => {
  const image = planned('registry.example/team/web:1.0', {
    warning: 'made for arm64, but this engine runs amd64',
  });
  const lines = planText([image, planned('db:16', present)], { columns })
    .trimEnd()
    .split('\n');
  expect(lines[0]).toBe('registry.example/team/web:1.0');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  const said = lines.map((line) => line.trim()).join(' ');
  expect(said).toContain('linux/amd64, send, 2 of 3 layers, 12 MB of 30 MB');
  expect(said).toContain('db:16 linux/amd64, present, 3 layers, 30 MB');
});
