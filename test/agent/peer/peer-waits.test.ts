/** Whose fault it is that the other side is waited for, and whose limit. */
import { expect, it } from 'vitest';
import { PeerWaits } from '../../../agent/peer/peer-waits.ts';

it('splits what was waited by what the other side said last', () => {
  const waits = new PeerWaits<'network' | 'save'>({ role: 'receiver', limit: undefined }, 'network');
  expect(waits.split(100)).toEqual({ network: 100 });
  waits.hear('save', undefined);
  expect(waits.split(150)).toEqual({ network: 100, save: 50 });
  waits.hear('network', 1_000);
  expect(waits.split(160)).toEqual({ network: 100, save: 50, peerLimit: 10 });
  waits.hear('network', undefined);
  expect(waits.split(161)).toEqual({ network: 101, save: 50, peerLimit: 10 });
});

it.each([
  ['sender', 'receiver'],
  ['receiver', 'sender'],
] as const)('knows the limits of both, seen by the %s', (role, peer) => {
  const waits = new PeerWaits<'network'>({ role, limit: 2_000 }, 'network');
  expect(waits.limitOf('ownLimit')).toEqual({ rate: 2_000, by: role });
  expect(waits.limitOf('peerLimit')).toBeNull();
  waits.hear('network', 1_000);
  expect(waits.limitOf('peerLimit')).toEqual({ rate: 1_000, by: peer });
});

it('tells the other side of the own limit only', () => {
  const waits = new PeerWaits<'network'>({ role: 'sender', limit: 2_000 }, 'network');
  const progress = (by: 'sender' | 'receiver') =>
    ({ bottleneck: 'network', limit: { rate: 2_000, by } }) as Parameters<typeof waits.told>[0];
  expect(waits.told(progress('sender'))).toEqual({ bottleneck: 'network', limit: 2_000 });
  expect(waits.told(progress('receiver'))).toEqual({ bottleneck: 'network' });
});
