import { expect, it } from 'vitest';
import type { EventOf } from '../../agent/model/events.ts';
import { checkText } from '../../cli/check-text.ts';

const check: EventOf<'check'> = {
  event: 'check',
  name: 'engine',
  status: 'fault',
  code: 'engine-unavailable',
  message: 'no docker engine: there is no socket unix:///x.sock',
  hint: 'is docker installed and running here?',
};

it.each([
  [
    60,
    [
      'FAULT    engine         no docker engine: there is no socket',
      '                        unix:///x.sock',
      '         > is docker installed and running here?',
    ],
  ],
  [
    40,
    [
      'FAULT    engine         no docker',
      '         engine: there is no socket',
      '         unix:///x.sock',
      '         > is docker installed and',
      '           running here?',
    ],
  ],
])('goes on below what was found, in %d columns', (columns, lines) => {
  expect(checkText(check, false, columns)).toBe([...lines, ''].join('\n'));
});
