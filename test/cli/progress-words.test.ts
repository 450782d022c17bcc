/** What holds an image up, in the words of the host that shows it. */
import { describe, expect, it } from 'vitest';
import type { EventOf } from '../../agent/model/events.ts';
import { barLine } from '../../cli/bar-line.ts';
import { Ends } from '../../cli/progress-words.ts';

const MB = 1_000_000;

function ends(role: 'sender' | 'receiver'): Ends {
  const made = new Ends();
  const engine = { kind: 'docker', version: '28.1.0', store: 'classic' };
  const peer = { name: 'host-b', address: '10.0.0.2', key: '', engine };
  made.paired({ event: 'paired', role, peer });
  return made;
}

function progress(change: Partial<EventOf<'progress'>>): EventOf<'progress'> {
  return {
    ...{
      event: 'progress',
      id: 'sha256:ab',
      refs: [],
      phase: 'transfer',
      bytes: 120 * MB,
      bytesTotal: 400 * MB,
    },
    ...{ wireBytes: 0, kept: 0, rate: 0, wireRate: 0, bottleneck: 'network', limit: null, stalledSeconds: 0 },
    ...change,
  };
}

describe('a limit', () => {
  it.each([
    ['sender', 'sender', ''],
    ['sender', 'receiver', ' at the target'],
    ['receiver', 'sender', ' at the source'],
    ['receiver', 'receiver', ''],
  ] as const)('seen by the %s, of the %s', (role, by, where) => {
    const event = progress({ limit: { rate: 2 * MB, by } });
    const words = ends(role).words({ event, rate: 11.8 * MB, wireRate: 1.9 * MB });
    expect(words.limit).toBe(`held up by --limit${where} (1.9 MB/s of 2 MB/s on the wire)`);
    expect(words.shortLimit).toBe(`held up by --limit${where}`);
    const stalled = ends(role).words({ event: { ...event, stalledSeconds: 7 }, rate: 0, wireRate: 0 });
    expect(stalled.state).toBe(`120 MB of 400 MB, nothing for 7 s: held up by --limit${where}`);
  });

  it('is shown without figures where there is little room, and is no network', () => {
    const event = progress({ limit: { rate: 2 * MB, by: 'sender' } });
    const words = ends('sender').words({ event, rate: 11.8 * MB, wireRate: 1.9 * MB });
    const state = { name: 'web:1.0', shortName: 'web:1.0', bytes: 30, bytesTotal: 100, words };
    expect(barLine(state, 120)).toContain('held up by --limit (1.9 MB/s of 2 MB/s on the wire)');
    expect(barLine(state, 80)).toBe(' web:1.0 120 MB of 400 MB, 11.8 MB/s, 24 s left, held up by --limit');
    expect(words.limit).not.toContain('network');
  });

  it('is none where none holds it up', () => {
    const words = ends('sender').words({ event: progress({}), rate: MB, wireRate: MB });
    expect(words.limit).toBe('held up by the network');
  });
});
