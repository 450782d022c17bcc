/** What an error looks like to people: text of a file may take several lines, and nobody else's does. */
import { Writable } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Event, errorEvent } from '../../agent/model/events.ts';
import { problemsError } from '../../cli/move-file/problems.ts';
import { sourceNameOf } from '../../cli/names.ts';
import { TextRenderer } from '../../cli/renderer-text.ts';
import { ImgmvError } from '../../proto/errors.ts';

function rendered(error: ImgmvError): string {
  const { renderer, shown } = scene({ quiet: true });
  renderer.render(errorEvent(error));
  return shown();
}

function scene({ quiet, terminal = false }: { readonly quiet: boolean; readonly terminal?: boolean }) {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  }) as unknown as NodeJS.WriteStream;
  if (terminal) Object.assign(stream, { isTTY: true, columns: 120, rows: 40 });
  const renderer = new TextRenderer({ stream, result: stream, quiet, color: false });
  return { renderer, shown: () => chunks.join('') };
}

it('has a line for each problem of a move file, and shows what is in them', () => {
  const error = problemsError('move.yaml', [
    { line: 2, column: 1, text: 'second \u001b[2J' },
    { line: 1, column: 5, text: 'first' },
  ]);
  expect(rendered(error).split('\n').slice(0, 2)).toEqual([
    'imgmv: move.yaml:1:5: first',
    '  move.yaml:2:1: second \\u001b[2J',
  ]);
});

it('has one line of what an engine or another host says', () => {
  expect(rendered(new ImgmvError('engine-refused', 'no\nimgmv: all is well'))).toBe(
    'imgmv: no\\u000aimgmv: all is well\n',
  );
});

it('calls an image under way by one of its names', () => {
  const refs = ['a', 'b', 'c'].map((name) => ({ source: `${name}:1`, target: `r.example/${name}:1` }));
  const id = `sha256:${'ab'.repeat(32)}`;
  expect([
    sourceNameOf({ refs, id }),
    sourceNameOf({ refs: refs.slice(2), id }),
    sourceNameOf({ refs: [], id }),
  ]).toEqual(['a:1', 'c:1', 'abababababab']);
});

it.each([
  [undefined, 'stay here: the next run does not move them again, `imgmv clean` removes them'],
  ['host-b', 'stay at the target: the next run does not move them again, `imgmv clean` there removes them'],
])('says where kept layers are, seen from here: target %s', (target, says) => {
  const at = scene({ quiet: false });
  at.renderer.render({
    ...{ event: 'image', id: `sha256:${'ab'.repeat(32)}`, platform: 'linux/amd64', bytes: 9, refs: [] },
    ...{ status: 'failed', targetId: null, wireBytes: 9, layersSent: 1, layersSkipped: 0, kept: 5 },
    ...{ startedAt: 0, seconds: 1, phases: { transfer: 1, load: 0, push: null } },
    error: { code: 'engine-refused', message: 'no', hint: null },
    ...(target !== undefined && { target }),
  });
  expect(at.shown()).toContain(`5 B of its layers ${says}\n`);
});

it.each([
  ['sigint', 'stopped by SIGINT', 'stopped'],
  ['peer-stopped', 'the other host stopped', 'stopped'],
  ['engine-refused', 'no', 'failed'],
] as const)('calls what somebody has stopped so, and counts it: %s', (code, message, word) => {
  const at = scene({ quiet: false });
  at.renderer.render({
    ...{ event: 'image', id: `sha256:${'ab'.repeat(32)}`, platform: 'linux/amd64', bytes: 9 },
    ...{ refs: [{ source: 'a:1', target: 'a:1', replaced: null }], status: 'failed', targetId: null },
    ...{ wireBytes: 9, layersSent: 1, layersSkipped: 0, kept: 0, startedAt: 0, seconds: 1 },
    phases: { transfer: 1, load: 0, push: null },
    error: { code, message, hint: null },
  });
  at.renderer.render({
    ...{ event: 'done', images: 1, failed: 1, bytes: 9, wireBytes: 9, seconds: 1, exit: 130 },
  });
  expect(at.shown()).toBe(`${word} a:1: ${message}\n`);
});

/** A plan of two images of two layers each, one of which is to be sent. */
function planOfTwo(action: 'send' | 'present'): Event {
  const image = { id: `sha256:${'ab'.repeat(32)}`, platform: 'linux/amd64', bytes: 9, layers: 2 };
  const one = {
    ...image,
    layersMissing: 1,
    bytesMissing: 4,
    refs: [],
    reason: null,
    warning: null,
    idChange: null,
  };
  return {
    event: 'plan',
    only: false,
    images: [
      { ...one, action: 'send' },
      { ...one, action },
    ],
  };
}

it.each([
  ['send', '4 B in 1 of 2 layers, the others are there already or come with another image'],
  ['present', '4 B in 1 of 2 layers, the others are there already'],
] as const)('says where the other layers are, if a second image is %s', (action, what) => {
  const at = scene({ quiet: false });
  at.renderer.render(planOfTwo(action));
  expect(at.shown().split('\n')[0]).toBe(`abababababab (linux/amd64): ${what}`);
});

it.each([
  [0, '2 images done and verified: 8 B, 30 B on the wire, 1.0 s.'],
  [20, '2 images done and verified: 8 B, 30 B on the wire, 20 B of it to measure the link, 1.0 s.'],
])('tells that %i B of what went over the wire measured the link', (wireBytes, sum) => {
  const at = scene({ quiet: false });
  at.renderer.render({ event: 'estimate', rate: 8, bytes: 8, seconds: 1, wireBytes });
  at.renderer.render(planOfTwo('send'));
  at.renderer.render({ event: 'done', images: 2, failed: 0, bytes: 8, wireBytes: 30, seconds: 1, exit: 0 });
  expect(at.shown().trimEnd().split('\n').at(-1)).toBe(sum);
});

it('counts the images and pushes of each session by themselves', () => {
  const at = scene({ quiet: false });
  const id = `sha256:${'ab'.repeat(32)}`;
  const about = { id, platform: 'linux/amd64', bytes: 9 };
  const planned = { ...about, action: 'send', layers: 1, layersMissing: 1, bytesMissing: 9 } as const;
  const plan: Event = {
    event: 'plan',
    only: false,
    images: [1, 2].map(() => ({ ...planned, refs: [], reason: null, warning: null, idChange: null })),
  };
  const settled: Event = {
    ...{ event: 'image', ...about, refs: [], status: 'loaded', targetId: id, wireBytes: 9, error: null },
    ...{ layersSent: 1, layersSkipped: 0, startedAt: 0, seconds: 1, kept: 0 },
    phases: { transfer: 1, load: 0, push: 0 },
  };
  const digest = `sha256:${'cd'.repeat(32)}`;
  const error = { code: 'push-failed', message: 'no', hint: null } as const;
  const pushed = { ref: 'r.example/a:1', digest, warning: null, error: null };
  for (const one of [{ ...pushed, digest: null, error }, pushed]) {
    at.renderer.render(plan);
    for (let n = 0; n < 2; n++) at.renderer.render({ ...settled, pushed: [one] });
    at.renderer.render({
      event: 'done',
      images: 2,
      failed: 0,
      bytes: 18,
      wireBytes: 18,
      seconds: 1,
      exit: 0,
    });
  }
  const [first, second, ...more] = at.shown().match(/^\d+ names .*|^\d+ images done.*/gm) ?? [];
  expect(first).toBe('2 names NOT pushed, 0 pushed.');
  expect(second).toMatch(/^2 images done and verified, 2 names pushed: /);
  expect(more).toEqual([]);
});

it.each([
  [9, 0, /loaded, pushing: 3 B of 9 B(?!.*nothing for)/],
  [9, 7, /loaded, pushing: 3 B of 9 B, nothing for 7 s: waiting for the registry/],
  [0, 7, /loaded, being pushed, for 7 s/],
])('names the stall of a push: of %i bytes, for %i s', (bytesTotal, stalledSeconds, shown) => {
  const event: Event = {
    event: 'progress',
    id: `sha256:${'ab'.repeat(32)}`,
    refs: [{ source: 'a:1', target: 'r.example/a:1' }],
    phase: 'push',
    bytes: Math.min(3, bytesTotal),
    bytesTotal,
    wireBytes: 0,
    kept: 0,
    rate: 0,
    wireRate: 0,
    bottleneck: null,
    limit: null,
    stalledSeconds,
  };
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const at = scene({ quiet: false });
  at.renderer.render(event);
  vi.advanceTimersByTime(6_000);
  at.renderer.render(event);
  expect(at.shown()).toMatch(shown);
});

describe('what clean says of the room that it made', () => {
  const one = { name: 'imgmv-incoming:a', image: null, bytes: 5_000_000, since: '2026-11-01T10:00:00.000Z' };

  it.each([
    [[one], 2_500_000, 'Freed 2.5 MB.'],
    [[one], 0, 'Freed 0 B.'],
    [[one], null, 'The engine does not say how much that freed.'],
    [[], 0, 'Nothing is left of interrupted runs.'],
  ])('removed: %j, freed: %s', (removed, freedBytes, says) => {
    const at = scene({ quiet: false });
    at.renderer.render({ event: 'cleaned', removed, kept: [], freedBytes });
    expect(at.shown().trimEnd().split('\n').at(-1)).toBe(says);
  });
});

describe('the reading of an archive', () => {
  const reading = {
    event: 'reading',
    archive: 'docker-archive:a\u001b.tar',
    spool: null,
    phase: 'index',
    bytes: 0,
    bytesTotal: 10_000_000,
    inflated: 0,
    done: false,
  } as const;
  const further = { ...reading, bytes: 4_000_000, inflated: 90_000_000 };

  it.each([false, true])('is said once, and how far it is every five seconds, quiet: %s', (quiet) => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const at = scene({ quiet });
    at.renderer.render(reading);
    for (const event of [reading, further, { ...further, phase: 'layers', bytesTotal: null } as const])
      for (let second = 0; second < 5; second++) {
        vi.advanceTimersByTime(1_000);
        at.renderer.render(event);
      }
    at.renderer.render({ ...further, done: true });
    const lines = [
      'Reading docker-archive:a\\u001b.tar.',
      'docker-archive:a\\u001b.tar: looking through, 4 MB of 10 MB, 90 MB decompressed',
      'docker-archive:a\\u001b.tar: checking, 4 MB, 90 MB decompressed',
      '',
    ];
    expect(at.shown().split('\n')).toEqual(quiet ? [''] : lines);
  });

  it('is a bar on a terminal, which is gone at its end', async () => {
    const at = scene({ quiet: false, terminal: true });
    at.renderer.render(reading);
    at.renderer.render(further);
    await vi.waitFor(
      () => expect(at.shown()).toMatch(/looking through: 4 MB of 10 MB, 90 MB decompressed/),
      10_000,
    );
    expect(at.shown()).not.toContain('\u001b.tar');
    const before = at.shown().length;
    at.renderer.render({ ...further, done: true });
    // Back to the beginning of the line, and nothing is left of it: the next may be a question for the code.
    expect(at.shown().slice(before)).toContain('\u001b[1G\u001b[0J');
  });
});
