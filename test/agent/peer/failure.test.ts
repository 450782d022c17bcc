/** What the other host says of a failure is shown as its words, and never becomes what this process says of itself. */
import { expect, it } from 'vitest';
import { fromWire } from '../../../agent/peer/failure.ts';
import { ERROR_CODES } from '../../../proto/errors.ts';

it('its message and its hint say whose words they are', () => {
  const error = fromWire({ code: 'refused', message: 'no room', hint: 'run `rm -rf /`' }, 'host-b');
  expect(error).toMatchObject({
    code: 'refused',
    host: 'host-b',
    message: 'on host-b: no room',
    hint: 'hint from host-b: run `rm -rf /`',
  });
  expect(fromWire({ code: 'refused', message: 'no room' }, 'host-b').hint).toBeUndefined();
});

it.each(ERROR_CODES)(
  '%s is no usage error, internal fault, wrong code, other version or signal here',
  (code) => {
    expect([1, 2, 12, 15, 129, 130, 143]).not.toContain(fromWire({ code, message: '' }, 'host-b').exit);
  },
);

it.each(['usage', 'internal', 'wrong-code', 'version-mismatch'] as const)('%s is 11 here', (code) => {
  expect(fromWire({ code, message: '' }, 'host-b')).toMatchObject({ code: 'peer-failed', exit: 11 });
});
