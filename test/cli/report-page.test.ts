/** The HTML report as a browser shows it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { escapeText } from '../../cli/escape.ts';
import { htmlReport } from '../../cli/report/html.ts';
import type { ReportData } from '../../cli/report/model.ts';
import { type Browser, browserSupport, type Look, startBrowser, type Visit } from '../rig/browser.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { HOSTILE, hostileReport, many, reported, variety } from './reports.ts';

const LOST = {
  event: 'error',
  code: 'peer-lost',
  exit: 11,
  message: 'the connection to host-b was lost',
  hint: 'run both commands again',
} as const;

const REPORTS: Readonly<Record<string, ReportData>> = {
  'every fate': variety(),
  'what is hostile': hostileReport(),
  '300 images': many(300),
  'no image': reported({ exit: 11, end: [LOST] }),
  'a copy': reported({ command: 'copy', images: [{}, { told: { wireBytes: 0 } }] }),
};
/** What text needs against what is behind it (WCAG 2.2, 1.4.3). Bars need less: their numbers stand beside them. */
const TEXT_CONTRAST_MIN = 4.5;
/** Of layout, in pixels. */
const ROUNDING = 1;

/** The lowest contrast of any text of the page, with the text. */
const LOWEST_CONTRAST = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
      if (color[3] !== 0) throw new Error('half transparent: ' + at.className);
    }
    throw new Error('nothing behind');
  };
  let lowest = { ratio: 21, text: '' };
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('').trim();
    if (text === '') continue;
    const [a, b] = [channels(getComputedStyle(element).color), behind(element)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < lowest.ratio) lowest = { ratio, text };
  }
  return lowest;
})()`;

/** How many elements of each name. */
const ELEMENTS = `(() => {
  const counts = {};
  for (const { tagName } of document.querySelectorAll('*')) counts[tagName] = (counts[tagName] ?? 0) + 1;
  return counts;
})()`;

/** Of each bar in order: the width of the track, and of each piece by its class. */
const BARS = `[...document.querySelectorAll('.bar')].map((bar) => ({
  track: bar.getBoundingClientRect().width,
  pieces: [...bar.children].map((piece) => [piece.className, piece.getBoundingClientRect().width]),
}))`;

interface Bar {
  readonly track: number;
  readonly pieces: readonly (readonly [string, number])[];
}

describeOn(
  'the HTML report in a browser',
  [await browserSupport()],
  () => {
    let browser: Browser;
    let scratch: ScratchDirectory;

    beforeAll(async () => {
      scratch = await scratchDirectory();
      browser = await startBrowser();
    });
    afterAll(async () => {
      await browser?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });

    let pages = 0;
    const visit = async (report: ReportData, look: Look): Promise<Visit> => {
      const file = join(scratch.path, `${++pages}.html`);
      await writeFile(file, htmlReport(report));
      return browser.visit(pathToFileURL(file).href, look);
    };

    describe.each(Object.entries(REPORTS))('of %s', (_name, report) => {
      it.each([360, 1280])('asks for nothing, complains of nothing and fits, %i px wide', async (width) => {
        await using visited = await visit(report, { width });
        const { page, requests, complaints } = visited;
        expect(requests).toEqual([page.url()]);
        expect(complaints).toEqual([]);
        const wide = 'document.documentElement.scrollWidth';
        expect(await page.evaluate<number>(wide)).toBeLessThanOrEqual(width);
        const outside = `[...document.body.querySelectorAll('*')].filter((one) => one.closest('thead') === null)
          .filter((one) => one.getBoundingClientRect().right > innerWidth + ${ROUNDING}).length`;
        expect(await page.evaluate<number>(outside)).toBe(0);
      });

      it.each(['light', 'dark'] as const)('can be read, %s', async (scheme) => {
        await using visited = await visit(report, { width: 1280, scheme });
        const lowest = await visited.page.evaluate<{ ratio: number; text: string }>(LOWEST_CONTRAST);
        expect(lowest.ratio, lowest.text).toBeGreaterThanOrEqual(TEXT_CONTRAST_MIN);
        expect(lowest.ratio).toBeLessThan(21);
      });
    });

    it('is dark where that is wanted', async () => {
      const paper = 'getComputedStyle(document.body).backgroundColor';
      await using light = await visit(variety(), { width: 1280, scheme: 'light' });
      await using dark = await visit(variety(), { width: 1280, scheme: 'dark' });
      expect(await light.page.evaluate<string>(paper)).toBe('rgb(251, 250, 248)');
      expect(await dark.page.evaluate<string>(paper)).toBe('rgb(20, 22, 25)');
    });

    it('shows hostile text as text: it has the elements that harmless text has', async () => {
      await using hostile = await visit(hostileReport(), { width: 1280 });
      await using harmless = await visit(hostileReport(HOSTILE.map((_, at) => `harmless-${at}`)), {
        width: 1280,
      });
      const elements = await hostile.page.evaluate<Record<string, number>>(ELEMENTS);
      expect(elements).toEqual(await harmless.page.evaluate<Record<string, number>>(ELEMENTS));
      expect(elements).toMatchObject({ H1: 1, STYLE: 1 });
      const shown = await hostile.page.evaluate<string>('document.body.textContent');
      for (const text of HOSTILE) expect(shown).toContain(escapeText(text));
      expect(await hostile.page.title()).toContain('<script>alert(1)</script>');
    });

    it.each([360, 1280])('has bars in proportion to the numbers, %i px wide', async (width) => {
      const report = variety();
      const { images, totals } = report;
      await using visited = await visit(report, { width });
      const [whole, ...bars] = await visited.page.evaluate<readonly Bar[]>(BARS);
      const expectPieces = (
        bar: Bar | undefined,
        full: number,
        amounts: Readonly<Record<string, number>>,
      ) => {
        const track = bar?.track ?? 0;
        expect(track).toBeGreaterThan(100);
        const want = Object.entries(amounts).filter(([, amount]) => amount > 0);
        expect(bar?.pieces.map(([kind]) => kind)).toEqual(want.map(([kind]) => kind));
        for (const [at, [kind, amount]] of want.entries())
          expect(Math.abs((bar?.pieces[at]?.[1] ?? 0) - (amount / full) * track), kind).toBeLessThan(
            ROUNDING,
          );
      };
      const sum = (totals.wireBytes ?? 0) + totals.saved.compression + totals.saved.layers;
      const { saved } = totals;
      expectPieces(whole, sum, { wire: totals.wireBytes ?? 0, zip: saved.compression, there: saved.layers });
      const most = Math.max(
        ...images.map((image) => (image.wireBytes ?? 0) + image.saved.compression + image.saved.layers),
      );
      const end = Math.max(...images.map(({ startedAt, seconds }) => (startedAt ?? 0) + seconds));
      expect(bars).toHaveLength(2 * images.length);
      for (const [at, image] of images.entries()) {
        const { transfer, load, push } = image.phases;
        expectPieces(bars[2 * at], most, {
          wire: image.wireBytes ?? 0,
          zip: image.saved.compression,
          there: image.saved.layers,
        });
        const waited = image.seconds - transfer - load - (push ?? 0);
        const before = image.startedAt ?? 0;
        expectPieces(bars[2 * at + 1], end, {
          before,
          transfer,
          load,
          push: push ?? 0,
          waited: waited > 1e-9 ? waited : 0,
        });
      }
    });

    it('reads as a table, wide and narrow', async () => {
      for (const width of [360, 1280]) {
        await using visited = await visit(variety(), { width });
        const { page } = visited;
        expect(await page.getByRole('columnheader').count()).toBe(4);
        expect(await page.getByRole('rowheader', { name: /^web:1\.0/ }).count()).toBe(1);
        expect(await page.getByRole('cell', { name: '282 MB moved as 106 MB' }).count()).toBe(1);
        expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('host-b');
      }
    });

    it('prints on white paper with its colours, from a dark screen, too', async () => {
      await using visited = await visit(many(300), { width: 1280, scheme: 'dark' });
      await visited.page.emulateMedia({ media: 'print', colorScheme: 'dark' });
      const paper = 'getComputedStyle(document.body).backgroundColor';
      expect(await visited.page.evaluate<string>(paper)).toBe('rgb(255, 255, 255)');
      const lowest = await visited.page.evaluate<{ ratio: number; text: string }>(LOWEST_CONTRAST);
      expect(lowest.ratio, lowest.text).toBeGreaterThanOrEqual(TEXT_CONTRAST_MIN);
      const adjust = "getComputedStyle(document.querySelector('.bar i')).printColorAdjust";
      expect(await visited.page.evaluate<string>(adjust)).toBe('exact');
      const head = "getComputedStyle(document.querySelector('thead')).display";
      expect(await visited.page.evaluate<string>(head)).toBe('table-header-group');
    });
  },
  { required: true },
);
