/** The list of images on a real terminal, as a person sees and uses it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type PickerRow, pickImages } from '../../cli/picker.ts';
import { PickerFrame } from '../../cli/picker-frame.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux, type Tmux, type TmuxOptions } from '../rig/tmux.ts';

const PROGRAM = fileURLToPath(new URL('picker-program.ts', import.meta.url));
const LONG = 'registry.example:5000/team/a-rather-long-name-of-an-image:1.0';
const KEYS = /Space: mark, Enter: done, Esc: cancel\.$/;

const idOf = (index: number) => `sha256:${String(index).padStart(4, '0').repeat(16)}` as const;

interface Picker extends AsyncDisposable {
  readonly terminal: Tmux;
  /** What the program has written to its standard output. */
  stdout(): Promise<string>;
}

async function startPicker(args: string, options: Partial<TmuxOptions> = {}): Promise<Picker> {
  const scratch = await scratchDirectory();
  const out = join(scratch.path, 'out');
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), PROGRAM];
  const command = `${node.map((word) => `'${word}'`).join(' ')} ${args} > '${out}'`;
  const terminal = await startTmux(command, { columns: 100, rows: 24, ...options });
  await terminal.shows(KEYS);
  return {
    terminal,
    stdout: () => readFile(out, 'utf8'),
    async [Symbol.asyncDispose]() {
      await terminal[Symbol.asyncDispose]();
      await scratch[Symbol.asyncDispose]();
    },
  };
}

describeOn(
  'the picker on a terminal',
  [await supportOf(() => requirePrograms('tmux'))],
  () => {
    it('shows a line for each name, with size and age, and nothing of a name acts', async () => {
      await using picker = await startPicker('4');
      expect((await picker.terminal.screen()).split('\n')).toEqual([
        'Which images? (5)',
        'Search: █',
        `> [ ] ${LONG}  1.05 MB  12h`,
        `  [ ] ${'web:1.0'.padEnd(LONG.length)}  1.05 MB  12h`,
        `  [ ] ${'000100010001'.padEnd(LONG.length)}   2.1 MB  36h`,
        `  [ ] ${'bad:\\u001b[31mred\\u0007\\u202e'.padEnd(LONG.length)}  3.15 MB   2d`,
        `  [ ] ${'image-3:latest'.padEnd(LONG.length)}  4.19 MB   3d`,
        'Space: mark, Enter: done, Esc: cancel.',
      ]);
    });

    it('gives what was marked, in the order shown, and leaves one line', async () => {
      await using picker = await startPicker('300');
      const { terminal } = picker;
      await terminal.press('image-29');
      await terminal.shows(/^Which images\? \(11 of 301\)/);
      await terminal.press('Down', 'Down', 'Space');
      await terminal.shows(/> \[x\] image-291:latest/);
      await terminal.press('BSpace', 'BSpace', 'BSpace', 'BSpace', 'BSpace', 'BSpace', 'BSpace', 'BSpace');
      await terminal.shows(/^Which images\? \(301, 1 marked\)\nSearch: █\n/);
      await terminal.press('web', 'Tab');
      await terminal.shows(/> \[x\] web:1\.0/);
      await terminal.press('BSpace', 'BSpace', 'BSpace', '00010001');
      await terminal.shows(/^Which images\? \(1 of 301, 2 marked\)/);
      await terminal.press('Space', 'Enter');
      const screen = await terminal.shows(/exit status/);
      expect(screen).toBe('Picked 3 (309 MB): web:1.0, 000100010001, image-291:latest\nexit status 0');
      expect(JSON.parse(await picker.stdout())).toEqual([
        { id: idOf(0), names: ['web:1.0'] },
        { id: idOf(1), names: [] },
        { id: idOf(291), names: ['image-291:latest'] },
      ]);
      expect(await terminal.showsCursor()).toBe(true);
    });

    it('gives the names of one image together, and takes marks back', async () => {
      await using picker = await startPicker('4');
      const { terminal } = picker;
      await terminal.press('Space', 'Down', 'Space', 'Down', 'Space', 'Space');
      await terminal.shows(/2 marked/);
      await terminal.press('Enter');
      await terminal.shows(/exit status 0/);
      expect(JSON.parse(await picker.stdout())).toEqual([{ id: idOf(0), names: [LONG, 'web:1.0'] }]);
    });

    it('stays where nothing is marked, or nothing is found', async () => {
      await using picker = await startPicker('4');
      const { terminal } = picker;
      await terminal.press('Enter');
      await terminal.shows(/Nothing is marked: Space marks a line\.$/);
      await terminal.press('nowhere');
      await terminal.shows(
        /^Which images\? \(0 of 5\)\nSearch: nowhere█\n {2}nothing has this in its name\n/,
      );
      await terminal.press('Space', 'Enter');
      await terminal.shows(/Nothing is marked/);
      await terminal.press('C-u', 'Space');
      await terminal.shows(/^Which images\? \(5, 1 marked\)/);
    });

    it.each([
      ['Escape', 'imgmv: no image was picked\nexit status 2'],
      ['C-d', 'imgmv: no image was picked\nexit status 2'],
      ['C-c', 'Stopping.\n\nimgmv: stopped by SIGINT\nexit status 130'],
    ])('%s ends it, whatever is marked', async (key, left) => {
      await using picker = await startPicker('4');
      const { terminal } = picker;
      await terminal.press('Space');
      await terminal.shows(/1 marked/);
      await terminal.press(key);
      expect((await terminal.shows(/exit status/)).trimStart()).toBe(left);
      expect([await picker.stdout(), await terminal.showsCursor()]).toEqual(['', true]);
    });

    it('a signal ends it', async () => {
      await using picker = await startPicker('4');
      const { terminal } = picker;
      process.kill(await terminal.pid(), 'SIGTERM');
      await terminal.shows(/imgmv: stopped by SIGTERM\nexit status 143/);
      expect(await terminal.showsCursor()).toBe(true);
    });

    it('hands the terminal on to the question for the code', async () => {
      await using picker = await startPicker('4 --code');
      const { terminal } = picker;
      await terminal.press('Space', 'Enter');
      await terminal.shows(/host-b \(hidden\):$/);
      await terminal.press('one two', 'Enter');
      expect(await terminal.shows(/try again/)).not.toContain('one two');
      await terminal.press('C-c');
      await terminal.shows(/exit status 130/);
    });

    it('fits into 40 columns and 10 rows, and follows when that changes', async () => {
      await using picker = await startPicker('300', { columns: 40, rows: 10 });
      const { terminal } = picker;
      await terminal.press('Up', 'Space');
      const narrow = await terminal.shows(/> \[x\] image-299:latest {5}315 MB {2}299d\n/);
      expect(narrow.split('\n')).toHaveLength(9);
      await terminal.press('Down');
      const first = await terminal.shows(/> \[ \] …e-of-an-image:1\.0 {2}1\.05 MB {3}12h\n/);
      expect(first.split('\n')[0]).toBe('Which images? (301, 1 marked)');
      await terminal.resize(100, 30);
      await terminal.press('Down');
      const wide = await terminal.shows(new RegExp(`^ {2}\\[ \\] ${LONG} `, 'm'));
      expect(wide).toMatch(/^> \[ \] web:1\.0 /m);
      await terminal.press('Enter');
      await terminal.shows(/Picked 1 \(315 MB\): image-299:latest\nexit status 0/);
    });

    it('honours NO_COLOR', async () => {
      await using plain = await startPicker('4', { env: { NO_COLOR: '1' } });
      await using painted = await startPicker('4');
      expect(await plain.terminal.screen({ styled: true })).not.toContain('\u001b');
      expect(await painted.terminal.screen({ styled: true })).toContain('\u001b[1m> [ ]');
    });
  },
  { required: true },
);

describe('pickImages', () => {
  const row: PickerRow = { id: idOf(1), names: ['web:1.0'], bytes: 1, created: new Date(0) };
  const terminal = (isTTY: boolean) =>
    Object.assign(new PassThrough(), { isTTY, setRawMode: () => {} }) as never;
  const { signal } = new AbortController();

  it.each([
    ['no terminal to type at', [row], false, true, 'there is no terminal to pick images on'],
    ['no terminal to show on', [row], true, false, 'there is no terminal to pick images on'],
    ['no images', [], true, true, 'there are no images to pick from'],
  ])('throws usage for %s', async (_what, rows, input, output, message) => {
    const io = { input: terminal(input), output: terminal(output), signal };
    await expect(pickImages(rows, io)).rejects.toMatchObject({ code: 'usage', message });
  });

  it('throws the reason of a signal that is there already, and of one that comes', async () => {
    const reason = new Error('stopped');
    const io = { input: terminal(true), output: terminal(true) };
    await expect(pickImages([row], { ...io, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    const picked = pickImages([row], { ...io, signal: stop.signal });
    stop.abort(reason);
    await expect(picked).rejects.toBe(reason);
  });

  it('is given up when the input ends', async () => {
    const input = new PassThrough();
    const io = {
      input: Object.assign(input, { isTTY: true, setRawMode: () => {} }) as never,
      output: terminal(true),
      signal,
    };
    const picked = pickImages([row], io);
    input.end();
    await expect(picked).rejects.toMatchObject({ code: 'usage', message: 'no image was picked' });
  });
});

describe('PickerFrame', () => {
  it.each([
    [undefined, ''],
    [5_000, '5s'],
    [119 * 60_000, '119m'],
    [47 * 3_600_000, '47h'],
    [729 * 86_400_000, '729d'],
    [3_000 * 86_400_000, '8y'],
    [-60_000, '0s'],
  ])('%s ms ago is %j', (ago, age) => {
    const created = new Date(ago === undefined ? 0 : Date.now() - ago);
    const line = { id: idOf(1), name: 'web:1.0', bytes: 1_000, created };
    const frame = new PickerFrame([line], { columns: 80, rows: 24, color: false });
    const shown = frame.draw({
      state: 'active',
      error: '',
      search: '',
      shown: [line],
      cursor: 0,
      marked: new Set(),
    });
    expect(shown.split('\n')[2]?.trimEnd()).toBe(`> [ ] web:1.0  1 kB  ${age}`.trimEnd());
  });
});
