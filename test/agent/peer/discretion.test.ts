import { expect, test } from 'vitest';
import { Discretion } from '../../../agent/peer/discretion.ts';
import { ImgmvError } from '../../../proto/errors.ts';

const ITS_OWN = 'ab'.repeat(32);
const OF_OTHERS = 'cd'.repeat(32);

const discretion = new Discretion([
  {
    id: `sha256:${ITS_OWN}`,
    root: { mediaType: 'application/json', digest: `sha256:${ITS_OWN}`, size: 2 },
    store: 'classic',
    platform: { os: 'linux', architecture: 'amd64' },
    names: [],
    diffIds: [],
    bytes: 0,
  },
]);

test.each([
  ['a digest', `sha256:${OF_OTHERS} is here`, 'cdcdcdcdcdcd is here'],
  ['a digest without its prefix', `no blob ${OF_OTHERS}`, 'no blob cdcdcdcdcdcd'],
  ['one that was cut', `no blob sha256:${OF_OTHERS.slice(0, 40)}`, 'no blob cdcdcdcdcdcd'],
  ['one that was cut and has no prefix', `no blob ${OF_OTHERS.slice(0, 63)}…`, 'no blob cdcdcdcdcdcd…'],
  ['its own', `no blob sha256:${ITS_OWN}, ${ITS_OWN}`, `no blob sha256:${ITS_OWN}, ${ITS_OWN}`],
  ['a size', 'needs 1234567890123456 bytes', 'needs 1234567890123456 bytes'],
])('a text for the sender: %s', (_, text, told) => {
  expect(discretion.text(text)).toBe(told);
});

test('an error that says what is on this host is told in the words for the sender', () => {
  const error = new ImgmvError('engine-refused', 'there is no /etc/secret', { forPeer: 'it did not load' });
  expect(discretion.error(error).message).toBe('it did not load');
});
