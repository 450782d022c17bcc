/** What a report holds, and that what it holds stays text in every form. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeText } from '../../cli/escape.ts';
import { htmlReport } from '../../cli/report/html.ts';
import { jsonReport } from '../../cli/report/json.ts';
import { markdownReport } from '../../cli/report/markdown.ts';
import { code, prose } from '../../cli/report/markdown-text.ts';
import { html } from '../../cli/report/markup.ts';
import type { ReportData } from '../../cli/report/model.ts';
import { Report } from '../../cli/report/report.ts';
import { headlineOf, losses, percent, time, titleOf, verdictOf } from '../../cli/report/words.ts';
import { commandLine } from '../../cli/shell-word.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { SEED } from '../fuzz/seed.ts';
import { UNSAFE } from '../unsafe-text.ts';
import { HOSTILE, hostileReport, idOf, many, reported, variety } from './reports.ts';

const MB = 1_000_000;
const forms = [
  ['HTML', htmlReport],
  ['Markdown', markdownReport],
  ['JSON', jsonReport],
] as const;

describe('the figures of a report', () => {
  it('are those of the plan and of what was told', () => {
    const [image] = reported({ images: [{ name: 'web:1.0' }] }).images;
    expect(image).toMatchObject({
      id: idOf(1),
      targetId: idOf(1),
      refs: [{ source: 'web:1.0', target: 'web:1.0', renamed: false, replaced: null }],
      status: 'loaded',
      size: 100 * MB,
      bytes: 60 * MB,
      wireBytes: 24 * MB,
      saved: { layers: 40 * MB, compression: 36 * MB },
      ratio: 0.4,
      rate: 30 * MB,
      tries: 1,
      pushed: [],
    });
  });

  it('add up, and count every status', () => {
    const { totals, images } = variety();
    expect(totals).toMatchObject({ images: 6, loaded: 3, present: 1, failed: 1, refused: 1, unfinished: 0 });
    expect(totals.saved.layers).toBe(images.reduce((sum, { saved }) => sum + saved.layers, 0));
    expect(totals.saved.compression).toBe(totals.bytes - (totals.wireBytes ?? 0));
    // Of what did not arrive nothing is saved: it has to travel yet.
    expect(images.find(({ status }) => status === 'refused')?.saved.layers).toBe(0);
  });

  it('save nothing where all layers travel, however the engine counts the image', () => {
    const plan = { layersMissing: 4, bytes: 100 * MB, bytesMissing: 90 * MB };
    expect(reported({ images: [{ plan }] }).images[0]?.saved.layers).toBe(0);
  });

  it('never save less than nothing', () => {
    const told = { bytes: 100, wireBytes: 900 };
    expect(reported({ images: [{ told }] }).totals).toMatchObject({ saved: { compression: 0 }, ratio: 9 });
  });

  it('of a copy have no wire', () => {
    const { totals, images } = reported({ command: 'copy', images: [{ told: { wireBytes: 0 } }] });
    expect(totals).toMatchObject({ wireBytes: null, ratio: null, saved: { compression: 0 }, rate: 30 * MB });
    expect(images[0]).toMatchObject({ wireBytes: null, ratio: null });
  });

  it('have no rate where nothing travelled', () => {
    const phases = { transfer: 0, load: 0, push: null };
    const [image] = reported({ images: [{ told: { bytes: 0, wireBytes: 0, phases } }] }).images;
    expect(image).toMatchObject({ rate: null, ratio: null });
  });

  it('count tries and lost connections', () => {
    const lost = [0, 1, 2, 3, 1].map((attempt) => ({ event: 'reconnecting', attempt, kept: 0 }) as const);
    const report = reported({ images: [{ retries: 2 }], end: lost });
    expect(report.reconnections).toBe(3);
    expect(report.images[0]?.tries).toBe(3);
  });

  it('of an image that is there and was not pushed say so, and count no try of the push', () => {
    const error = { code: 'push-failed', message: 'the registry is away', hint: 'is it up?' } as const;
    const pushed = [{ ref: 'r.example/app:1.0', digest: null, warning: null, error }];
    const retrying = {
      event: 'retrying',
      id: idOf(1),
      refs: [],
      waitSeconds: 2,
      phase: 'push',
      error,
    } as const;
    const again = [1, 2, 3].map((attempt) => ({ ...retrying, attempt }));
    const report = reported({ images: [{ told: { pushed } }], end: again, exit: 17 });
    expect(report.images[0]?.tries).toBe(1);
    expect(headlineOf(report)).toBe('The image is at its target, verified. 1 name NOT pushed.');
    const markdown = markdownReport(report);
    expect(verdictOf(report)).toBe('partial');
    expect(markdown).toMatch(/not pushed to r\.example\/app:1\.0: the registry is away\n.*hint: is it up/);
  });

  it('of a run that was cut off say so', () => {
    const stopped = new ImgmvError('sigint', 'stopped by SIGINT');
    const report = new Report({ command: 'send', target: 'host-b' });
    expect(report.data(130, stopped)).toMatchObject({
      exit: 130,
      error: { code: 'sigint', exit: 130, message: 'stopped by SIGINT', hint: null },
      target: { host: null, address: 'host-b', engine: null },
      images: [],
    });
    const cut = reported({ images: [{}, { told: null }], done: false, exit: 11 });
    expect(cut.images.map(({ status }) => status)).toEqual(['loaded', 'unfinished']);
    expect(cut.totals).toMatchObject({ bytes: 60 * MB, wireBytes: 24 * MB, unfinished: 1 });
  });

  it('keep the first error: what comes behind came of it', () => {
    const error = (message: string) =>
      ({ event: 'error', code: 'peer-lost', exit: 11, message, hint: null }) as const;
    expect(reported({ end: [error('first'), error('second')], exit: 11 }).error?.message).toBe('first');
  });

  it('know both sides', () => {
    const here = { address: null, engine: { kind: 'docker', version: '28.1.0', store: 'containerd' } };
    const there = {
      host: 'host-b',
      address: '10.0.0.2:7373',
      engine: { kind: 'docker', version: '20.10.24', store: 'classic' },
    };
    expect(reported({})).toMatchObject({ source: here, target: there });
    expect(reported({ command: 'receive' })).toMatchObject({ source: there, target: here });
  });

  it('of a copy tell archives from the engine', () => {
    const engine = {
      event: 'engine',
      address: '',
      foundBy: '',
      kind: 'docker',
      version: '20',
      store: 'classic',
    } as const;
    const out = new Report({ command: 'copy' });
    out.add({ event: 'writing', archive: 'docker-archive:a.tar' });
    out.add(engine);
    expect(out.data(0)).toMatchObject({
      source: { engine: { version: '20' }, archives: [] },
      target: { engine: null, archives: ['docker-archive:a.tar'] },
    });
    const into = new Report({ command: 'copy' });
    const reading = {
      event: 'reading',
      archive: 'docker-archive:a.tar',
      spool: null,
      phase: 'index',
      bytesTotal: 10,
      inflated: 0,
      done: false,
    } as const;
    for (const bytes of [0, 5]) into.add({ ...reading, bytes });
    into.add(engine);
    expect(into.data(0)).toMatchObject({
      source: { engine: null, archives: ['docker-archive:a.tar'] },
      target: { engine: { version: '20' }, archives: [] },
    });
    expect(titleOf(into.data(0))).toBe('docker-archive:a.tar → docker 20 (classic store)');
  });

  it('of a plan call nothing failed', () => {
    const report = new Report({ command: 'receive' });
    const { images } = reported({ images: [{}] });
    const refs = images[0]?.refs.map((ref) => ({ ...ref, replaces: null })) ?? [];
    const planned = {
      ...images[0],
      refs,
      action: 'send',
      layersMissing: 3,
      bytes: 5,
      bytesMissing: 3,
    } as never;
    report.add({ event: 'plan', images: [planned], only: true });
    expect(report.data(0).images[0]?.status).toBe('planned');
    for (const [, write] of forms) expect(write(report.data(0))).not.toMatch(/not moved/i);
  });
});

describe('the words of a report', () => {
  it.each([
    [0, [{}], 'done', 'The image is at its target, verified.'],
    [0, [{}, {}], 'done', 'All 2 images are at their target, verified.'],
    [0, [], 'done', 'There was nothing to move.'],
    [11, [], 'failed', 'Nothing has moved.'],
    [11, [{ told: null }], 'failed', 'The image has not arrived.'],
    [11, [{ told: null }, { told: null }], 'failed', 'None of 2 images has arrived.'],
    [17, [{}, { told: null }], 'partial', '1 of 2 images is at its target, verified; 1 is not.'],
  ] as const)('of status %s', (exit, images, verdict, headline) => {
    const report = reported({ exit, images });
    expect([verdictOf(report), headlineOf(report)]).toEqual([verdict, headline]);
  });

  it('say that it was stopped', () => {
    const error = { event: 'error', code: 'sigterm', exit: 143, message: 'stopped', hint: null } as const;
    expect(verdictOf(reported({ exit: 143, images: [{}], end: [error] }))).toBe('stopped');
  });

  it('say so of its images, too', () => {
    const error = { code: 'sigint', message: 'stopped by SIGINT', hint: null } as const;
    const report = reported({ exit: 130, images: [{ told: { status: 'failed', targetId: null, error } }] });
    expect(report.images[0]?.status).toBe('failed');
    expect(losses(report)).toMatchObject([{ status: 'failed', result: 'stopped' }]);
    for (const [, write] of forms.slice(0, 2)) {
      expect(write(report)).toMatch(/stopped/);
      expect(write(report).replaceAll(/<style>[\s\S]*?<\/style>|class="[^"]*"/g, '')).not.toMatch(
        /\bfailed\b/,
      );
    }
  });

  it('tell once what befell many', () => {
    const [only, ...more] = losses(many(300));
    expect(more).toEqual([]);
    expect(only?.images).toHaveLength(5);
  });

  it.each([
    [0, '0 s'],
    [0.028, '28 ms'],
    [9.94, '9.9 s'],
    [15.4, '15 s'],
    [95, '1 min 35 s'],
    [3_599.6, '1 h 0 min'],
    [7_500, '2 h 5 min'],
  ])('%s s', (seconds, text) => {
    expect(time(seconds)).toBe(text);
  });

  it.each([
    [0, '0%'],
    [0.0371, '3.7%'],
    [0.996, '100%'],
  ])('a share of %s', (share, text) => {
    expect(percent(share)).toBe(text);
  });
});

describe.each(forms)('a report in %s', (name, write) => {
  it('tells of names, replacements, pushes, warnings and failures', () => {
    // Without what either form escapes.
    const text = write(variety()).replaceAll(/<[^>]*>|&#?\w+;|`/g, ' ');
    for (const said of ['registry.example/team/web:2.0', '004d004d004d', 'registry.example/api:3'])
      expect(text).toContain(said);
    for (const said of ['unauthorized', 'made for arm64', 'no space left on device', 'make room there'])
      expect(text).toContain(said);
    for (const said of ['20.10.24', '28.1.0', 'host-b', '10.0.0.2:7373']) expect(text).toContain(said);
    for (const status of ['loaded', 'present', 'failed', 'refused']) expect(text).toContain(status);
  });

  it.each([
    ['nothing', reported({})],
    ['what is hostile', hostileReport()],
    ['300 images', many(300)],
  ])('of %s shows nothing that acts or hides', (_what, report) => {
    expect(write(report).replaceAll('\n', '')).not.toMatch(UNSAFE);
  });

  it('of 300 images has them all, and the failures before', () => {
    const text = write(many(300));
    for (const at of [0, 150, 299]) expect(text).toContain(`app-${at}:1.0`);
    if (name !== 'JSON') expect(text.indexOf('app-299:1.0')).toBeLessThan(text.indexOf('app-0:1.0'));
    expect(text.length).toBeLessThan(500_000);
  });
});

describe('the JSON report', () => {
  it.each([variety(), hostileReport(), reported({})])('is the report', (report: ReportData) => {
    expect(JSON.parse(jsonReport(report))).toEqual(report);
  });

  it('has a shape that stays', () => {
    const { images, totals, ...run } = variety();
    expect(Object.keys(run)).toEqual([
      'version',
      'imgmv',
      'command',
      'commandLine',
      'startedAt',
      'endedAt',
      'seconds',
      'exit',
      'error',
      'source',
      'target',
      'reconnections',
    ]);
    expect(Object.keys(totals).sort()).toEqual(
      [
        'images',
        'loaded',
        'present',
        'refused',
        'failed',
        'skipped',
        'planned',
        'unfinished',
        'size',
        'bytes',
        'wireBytes',
        'saved',
        'ratio',
        'rate',
      ].sort(),
    );
    expect(Object.keys(images[0] ?? {})).toEqual([
      'id',
      'targetId',
      'platform',
      'refs',
      'status',
      'size',
      'layers',
      'layersSent',
      'layersSkipped',
      'bytes',
      'wireBytes',
      'saved',
      'ratio',
      'rate',
      'startedAt',
      'seconds',
      'phases',
      'tries',
      'kept',
      'read',
      'readReason',
      'reason',
      'warning',
      'idChange',
      'pushed',
      'error',
    ]);
    expect(run.version).toBe(1);
  });
});

describe('Markdown', () => {
  /** Signs that begin or end anything in Markdown, or an HTML element. */
  const MARKUP = /[<>|*_[\]\\`~@#!$]|:\/\/|www\./i;
  const CODE = /`[^`|\\\n]+`|<code>[^<>|`\\]*<\/code>/g;
  const stripped = (text: string) => text.replaceAll(CODE, '').replaceAll(/&#\d+;/g, '·');
  const texts = [...HOSTILE, 'a@b.example', '', ' ', '- x', '1. x', 'x` y', '`', '|', '\\', 'a  b', '`` `'];

  it.each(texts)('%j means nothing', (text) => {
    expect(stripped(code(text))).toBe('');
    expect(stripped(prose(text))).not.toMatch(MARKUP);
  });

  it('nor does anything else', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab1 `|\\<>&*_[]()#!@:/.w-\n\u202e') });
    fc.assert(
      fc.property(text, (any) => {
        expect(stripped(code(any))).toBe('');
        expect(stripped(prose(any))).not.toMatch(MARKUP);
      }),
      { numRuns: 3_000, seed: SEED },
    );
  });

  it('shows the text itself', () => {
    const read = (text: string) =>
      text.replaceAll(
        /`([^`]+)`|<\/?code>|&#(\d+);/g,
        (_, span: string | undefined, point: string | undefined) =>
          point === undefined ? (span ?? '') : String.fromCodePoint(Number(point)),
      );
    for (const text of texts)
      expect([read(code(text)), read(prose(text))]).toEqual([escapeText(text), escapeText(text)]);
  });

  it.each([
    [variety(), 13],
    [hostileReport(), 12],
    [reported({ command: 'copy', images: [{}] }), 11],
  ] as const)('has tables of whole rows', (report, width) => {
    const rows = markdownReport(report)
      .split('\n')
      .filter((line) => line.startsWith('|'));
    const cells = rows.map((row) => row.split('|').length);
    expect(new Set(cells)).toEqual(new Set([4, width]));
    for (const row of rows) expect(row.endsWith('|')).toBe(true);
  });

  it('begins no line with text from elsewhere', () => {
    const lines = markdownReport(hostileReport()).split('\n');
    const ours =
      /^(|# imgmv .*|## [A-Z].*|\*\*[A-Z].*|Error: .*|\|.*\|| *- (`|<code>|error: |hint: |warning: |[a-z]+).*)$/;
    expect(lines.filter((line) => !ours.test(line))).toEqual([]);
  });
});

describe.each([forms[0], forms[1]])('%s', (_name, write) => {
  const textOf = (report: ReportData) =>
    write(report)
      .replaceAll(/<[^>]*>|`/g, '')
      .replaceAll(/&#(\d+);/g, (_, point: string) => String.fromCodePoint(Number(point)));

  it('has the exit status, and the command line with nothing in it that acts', () => {
    const words = ['send', "it's", 'a\u001b[2J', '--to', 'wss://proxy.example/x?token=secret'];
    const report = new Report({ command: 'send', commandLine: commandLine(words) });
    const text = textOf(report.data(11));
    expect(text).toMatch(/exit status( \|)? 11/i);
    expect(text).toContain("imgmv send 'it'");
    expect(text).toMatch(/\$'a\\+u001b\[2J' --to /);
    expect(text).not.toContain('secret');
  });

  it('tells what was there from what was compressed', () => {
    const text = textOf(reported({ images: [{}] }));
    expect(text).toMatch(/Skipped[^\n]*?40 MB/);
    expect(text).toMatch(/(Saved by compression|Compressed away)[^\n]*?36 MB/);
  });

  it('calls written what went into files', () => {
    const report = reported({ command: 'copy', images: [{}] });
    const target = { ...report.target, engine: null, archives: ['docker-archive:a.tar'] };
    expect(textOf({ ...report, target })).toMatch(/\bwritten\b/);
    expect(textOf(report)).not.toMatch(/\bwritten\b/);
  });
});

describe('HTML', () => {
  it('escapes what is put into it, in text and in attributes', () => {
    expect(html`<p title="${`"'<>&\u0007`}">${'</p>'}${7}</p>`.text).toBe(
      '<p title="&quot;&#39;&lt;&gt;&amp;\\u0007">&lt;/p&gt;7</p>',
    );
    expect(html`<ul>${['<b>', '&'].map((text) => html`<li>${text}</li>`)}</ul>`.text).toBe(
      '<ul><li>&lt;b&gt;</li><li>&amp;</li></ul>',
    );
  });

  it.each([variety(), hostileReport(), many(300), reported({})])(
    'has no script, link or resource',
    (report) => {
      const page = htmlReport(report);
      expect(page).not.toMatch(/<(script|link|img|iframe|object|embed|form|a|svg|base)\b/i);
      expect(/<style>.*<\/style>/s.exec(page)?.[0]).not.toMatch(/@import|url\(/i);
      for (const [, style] of page.matchAll(/<[^>]* style="([^"]*)"/g))
        expect(style).toMatch(/^width:[\d.]+%$/);
      expect(page).not.toMatch(/<[^>]* on[a-z]+=/i);
      expect(page).toContain(`content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;`);
      expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
    },
  );
});
