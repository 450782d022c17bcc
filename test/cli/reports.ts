/** Runs to report: the events that they told, as agent/model/events.ts has them. */
import type { Event, PlanImage } from '../../agent/model/events.ts';
import type { ImageEvent } from '../../cli/report/figures.ts';
import type { ReportCommand, ReportData } from '../../cli/report/model.ts';
import { Report } from '../../cli/report/report.ts';

const MB = 1_000_000;

export const idOf = (n: number) => `sha256:${n.toString(16).padStart(4, '0').repeat(16)}`;

export interface Moved {
  readonly plan?: Partial<PlanImage>;
  /** Null: the run ended before it was told. */
  readonly told?: Partial<ImageEvent> | null;
  readonly name?: string;
  readonly retries?: number;
}

/** An image of 100 MB in four layers, of which one was there, sent in its turn. */
function eventsOf({ plan = {}, told = {}, name, retries = 0 }: Moved, at: number) {
  const called = name ?? `app-${at}:1.0`;
  const refs = [{ source: called, target: called }];
  const planned: PlanImage = {
    id: idOf(at + 1),
    platform: 'linux/amd64',
    refs: refs.map((ref) => ({ ...ref, replaces: null })),
    action: 'send',
    reason: null,
    warning: null,
    layers: 4,
    layersMissing: 3,
    bytes: 100 * MB,
    bytesMissing: 60 * MB,
    idChange: null,
    ...plan,
  };
  const tries = Array.from({ length: retries }, (_, n): Event => {
    const error = { code: 'engine-unavailable', message: 'the engine is away', hint: null } as const;
    return { event: 'retrying', id: planned.id, refs, attempt: n + 1, waitSeconds: 2, error };
  });
  const image: ImageEvent = {
    event: 'image',
    id: planned.id,
    platform: planned.platform,
    refs: refs.map((ref) => ({ ...ref, replaced: null })),
    status: 'loaded',
    targetId: planned.id,
    bytes: 60 * MB,
    wireBytes: 24 * MB,
    layersSent: 3,
    layersSkipped: 1,
    startedAt: at * 2,
    seconds: 3,
    phases: { transfer: 2, load: 1, push: null },
    kept: 0,
    error: null,
    ...told,
  };
  return { planned, told: told === null ? tries : [...tries, image] };
}

export interface Ran {
  readonly command?: ReportCommand;
  readonly peer?: string;
  readonly images?: readonly Moved[];
  /** Told behind all else. */
  readonly end?: readonly Event[];
  readonly exit?: number;
  /** The sum that the run told; absent where it was cut off. */
  readonly done?: boolean;
}

export function reported({ command = 'send', peer = 'host-b', images = [], end = [], exit = 0, done }: Ran) {
  const report = new Report({ command, ...(command === 'send' && { target: peer }) });
  const engine = { kind: 'docker', version: '28.1.0', store: 'containerd' };
  report.add({ event: 'engine', address: 'unix:///run/docker.sock', foundBy: 'the socket', ...engine });
  if (command !== 'copy')
    report.add({
      event: 'paired',
      peer: {
        name: peer,
        address: '10.0.0.2:7373',
        key: '00',
        engine: { ...engine, version: '20.10.24', store: 'classic' },
      },
      role: command === 'send' ? 'sender' : 'receiver',
    });
  const all = images.map(eventsOf);
  if (all.length > 0) report.add({ event: 'plan', images: all.map(({ planned }) => planned), only: false });
  const told = all.flatMap((image) => image.told);
  for (const event of told) report.add(event);
  const ended = told.filter((event) => event.event === 'image');
  if (done ?? all.length > 0)
    report.add({
      event: 'done',
      images: all.length,
      failed: ended.filter(({ error }) => error !== null).length,
      bytes: ended.reduce((sum, { bytes }) => sum + bytes, 0),
      wireBytes: ended.reduce((sum, { wireBytes }) => sum + wireBytes, 0),
      seconds: 10,
      exit,
    });
  for (const event of end) report.add(event);
  return report.data(exit);
}

/** One image of each fate. */
export function variety(): ReportData {
  const failure = {
    code: 'engine-refused',
    message: 'load db:16 on host-b: no space left on device',
    hint: 'make room there, then run both commands again',
  } as const;
  const refs = (source: string, target: string, replaced: string | null) => ({
    refs: [{ source, target, replaced }],
  });
  return reported({
    exit: 17,
    images: [
      {
        name: 'web:1.0',
        told: {
          startedAt: 0,
          seconds: 15.4,
          bytes: 282 * MB,
          wireBytes: 106 * MB,
          phases: { transfer: 12.2, load: 3.2, push: null },
        },
        plan: { bytes: 282 * MB, bytesMissing: 282 * MB, layersMissing: 4 },
      },
      {
        name: 'web:2',
        told: {
          ...refs('web:2', 'registry.example/team/web:2.0', idOf(77)),
          startedAt: 12.2,
          seconds: 2.3,
          bytes: 20 * MB,
          wireBytes: 18 * MB,
          phases: { transfer: 1.1, load: 1.2, push: null },
          targetId: idOf(200),
        },
        plan: {
          bytes: 302 * MB,
          bytesMissing: 20 * MB,
          idChange: 'classic store at the source, containerd store at the target',
        },
      },
      {
        name: 'cache:latest',
        plan: { action: 'present', bytes: 117 * MB, bytesMissing: 0, layersMissing: 0 },
        told: {
          status: 'present',
          bytes: 0,
          wireBytes: 0,
          layersSent: 0,
          layersSkipped: 4,
          startedAt: 0.1,
          seconds: 0.2,
          phases: { transfer: 0, load: 0.2, push: null },
        },
      },
      {
        name: 'db:16',
        retries: 2,
        plan: { bytes: 431 * MB, bytesMissing: 431 * MB, layersMissing: 4 },
        told: {
          status: 'failed',
          targetId: null,
          bytes: 300 * MB,
          wireBytes: 110 * MB,
          startedAt: 13.3,
          seconds: 30.1,
          phases: { transfer: 11, load: 8.4, push: null },
          kept: 120 * MB,
          error: failure,
        },
      },
      {
        name: 'legacy/iis:10',
        plan: {
          action: 'refuse',
          reason: 'made for windows',
          bytes: 900 * MB,
          bytesMissing: 0,
          platform: 'windows/amd64',
        },
        told: {
          status: 'refused',
          platform: 'windows/amd64',
          targetId: null,
          bytes: 0,
          wireBytes: 0,
          startedAt: 0.1,
          seconds: 0,
          phases: { transfer: 0, load: 0, push: null },
          error: { code: 'refused', message: 'an image for windows does not run on linux', hint: null },
        },
      },
      {
        name: 'api:3',
        plan: {
          bytes: 164 * MB,
          bytesMissing: 164 * MB,
          layersMissing: 4,
          warning: 'made for arm64: it does not run there by itself',
        },
        told: {
          bytes: 164 * MB,
          wireBytes: 60 * MB,
          startedAt: 24.3,
          seconds: 12.5,
          phases: { transfer: 7, load: 2.5, push: 3 },
          pushed: [
            { ref: 'registry.example/api:3', digest: idOf(9), warning: null, error: null },
            {
              ref: 'registry.example/api:latest',
              digest: null,
              warning: null,
              error: { code: 'refused', message: 'the registry refused it: unauthorized', hint: null },
            },
          ],
        },
      },
    ],
  });
}

export const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=http://evil.example/x onerror=alert(1)>',
  "' style='background:url(http://evil.example/y)",
  '</style><h1>owned</h1>',
  '&lt;b&gt; &amp; &#60;',
  'a|b`c`|\\|d',
  'line\nbreak\r\n# heading',
  '\u202ertl\u0007\u001b[31m',
  '[link](http://evil.example) **bold** _it_ ~~no~~ @somebody www.evil.example',
  '<!-- -->{{x}}%',
  'a\u3164b\u00a0c\ue000d\u2800e\ud800f',
  `\u0338Z${'\u0301'.repeat(9)} \u0336x`,
] as const;

/** All that comes from elsewhere is hostile, everywhere. */
export function hostileReport(texts: readonly string[] = HOSTILE): ReportData {
  const images = texts.map((text, at): Moved => {
    const error = { code: 'engine-refused', message: text, hint: text } as const;
    const failed = at % 2 === 1;
    return {
      name: text,
      plan: { warning: text, reason: text, idChange: text, platform: text },
      told: {
        platform: text,
        refs: [{ source: text, target: `${text}2`, replaced: text }],
        pushed: [
          { ref: text, digest: text, warning: text, error: null },
          { ref: text, digest: null, warning: null, error },
        ],
        ...(failed && { status: 'failed', targetId: null, error }),
      },
    };
  });
  const text = texts.join(' ');
  const report = new Report({ command: 'receive' });
  for (const one of [text, 'x']) report.add({ event: 'writing', archive: one });
  const engine = { kind: text, version: text, store: text };
  report.add({ event: 'engine', address: text, foundBy: text, ...engine });
  report.add({ event: 'paired', role: 'receiver', peer: { name: text, address: text, key: '', engine } });
  const all = images.map(eventsOf);
  report.add({ event: 'plan', images: all.map(({ planned }) => planned), only: false });
  for (const event of all.flatMap((image) => image.told)) report.add(event);
  report.add({ event: 'error', code: 'peer-lost', exit: 11, message: text, hint: text });
  return report.data(11);
}

export function many(count: number): ReportData {
  const failure = { code: 'peer-lost', message: 'the connection was lost', hint: 'run it again' } as const;
  return reported({
    exit: 17,
    images: Array.from({ length: count }, (_, at): Moved => {
      const part = ((at * 37) % 100) / 100;
      const bytes = Math.round((5 + part * 200) * MB);
      const phases = { transfer: 1 + part, load: 0.6 + part, push: null };
      const timing = { startedAt: at * 1.6, seconds: 1.6 + 2 * part, phases };
      return {
        plan: { bytes, bytesMissing: Math.round(bytes * part) },
        told: {
          ...timing,
          bytes: Math.round(bytes * part),
          wireBytes: Math.round(bytes * part * 0.4),
          ...(at % 60 === 59 && { status: 'failed', targetId: null, error: failure }),
        },
      };
    }),
  });
}
