/** A move in the middle, as a terminal shows it: `frames-program.ts sender|receiver`. It stays until it is ended. */
import type { Event, EventOf } from '../../agent/model/events.ts';
import { TextRenderer } from '../../cli/renderer-text.ts';

const MB = 1_000_000;
const idOf = (n: number) => `sha256:${String(n).padStart(4, '0').repeat(16)}`;
const NAMES = ['base:1', 'registry.example/team/a-long-name:1.0', 'db:16', 'web:1.0'];
const refsOf = (n: number) => [{ source: NAMES[n] as string, target: NAMES[n] as string }];

function paired(role: 'sender' | 'receiver'): Event {
  const engine = { kind: 'docker', version: '28.1.0', store: 'containerd' };
  return { event: 'paired', role, peer: { name: 'host-b', address: '10.0.0.2:7373', key: '', engine } };
}

const plan: Event = {
  event: 'plan',
  only: false,
  images: NAMES.map((_, n) => ({
    ...{ id: idOf(n), platform: 'linux/amd64', refs: refsOf(n).map((ref) => ({ ...ref, replaces: null })) },
    ...{ action: 'send', reason: null, warning: null, idChange: null, layers: 1, layersMissing: 1 },
    ...{ bytes: 400 * MB, bytesMissing: 400 * MB },
  })),
};

const arrived: Event = {
  ...{ event: 'image', id: idOf(0), platform: 'linux/amd64', status: 'loaded', targetId: idOf(0), kept: 0 },
  ...{ bytes: 400 * MB, wireBytes: 160 * MB, layersSent: 1, layersSkipped: 0, startedAt: 0, seconds: 12.34 },
  ...{ refs: [{ source: 'base:1', target: 'base:1', replaced: null }], error: null },
  phases: { transfer: 10, load: 2, push: null },
};

function progress(n: number, fields: Partial<EventOf<'progress'>>): Event {
  return {
    ...{ event: 'progress', id: idOf(n), refs: refsOf(n), phase: 'transfer', bytes: 0, bytesTotal: 400 * MB },
    ...{ wireBytes: 0, kept: 0, rate: 0, wireRate: 0, bottleneck: null, limit: null, stalledSeconds: 0 },
    ...fields,
  };
}

const role = process.argv[2] === 'receiver' ? 'receiver' : 'sender';
const { stderr, stdout, env } = process;
const color = stderr.isTTY && !env.NO_COLOR;
const renderer = new TextRenderer({ stream: stderr, result: stdout, quiet: false, color });
const warning = { event: 'warning', message: 'db:16 is made for arm64' } as const;
for (const event of [paired(role), plan, warning, arrived]) renderer.render(event);
renderer.render(progress(1, { bytes: 120 * MB, rate: 11.8 * MB, bottleneck: 'network' }));
renderer.render(progress(2, { phase: 'load', bytes: 0, bottleneck: 'load' }));
renderer.render(progress(3, { bottleneck: 'save', stalledSeconds: 7 }));
// The bars are drawn by a timer.
process.stdin.resume();
