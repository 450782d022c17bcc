/** Both hosts on terminals of 40 columns: no word is cut, and the code is taken as it is shown. No engine is needed. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { classicTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux } from '../rig/tmux.ts';

const COLUMNS = 40;
const CODE = /^ {2}Pairing code:\n((?: {4}(?:[a-z]+-)+\n)+ {4}(?:[a-z]+-)*[a-z]+)$/m;

describeOn('a narrow terminal', [await supportOf(() => requirePrograms('tmux', 'pgrep'))], () => {
  let scratch: ScratchDirectory;
  beforeAll(async () => {
    scratch = await scratchDirectory();
    await mkdir(at('out'));
    await writeFile(at('web.tar'), classicTar(await testImage({ name: 'web:1.0' })));
  });
  afterAll(() => scratch?.[Symbol.asyncDispose]());

  const at = (name: string) => join(scratch.path, name);
  const start = (args: readonly string[], columns = COLUMNS) => {
    const words = [process.execPath, IMGMV, ...args].map((word) => `'${word}'`);
    return startTmux(words.join(' '), { columns, rows: 50 });
  };

  it('shows the code on several lines, and takes them as they are', async () => {
    const where = ['--listen', '127.0.0.1:0', '--each', at('out')];
    await using receiver = await start(['receive', '--once', ...where]);
    const shown = await receiver.shows(CODE);
    expect(shown).toMatch(/^Listening on 127\.0\.0\.1:\d+, until\n {2}\d\d:\d\d:\d\d, for one session\.$/m);
    const [, to = ''] = /--to\s+(127\.0\.0\.1:\d+)$/m.exec(shown) ?? [];
    const lines = CODE.exec(shown)?.[1]?.trim().split(/\s+/) ?? [];
    await using sender = await start(['send', '--from', `docker-archive:${at('web.tar')}`, '--to', to]);
    expect(await sender.shows(/\(hidden\):$/)).toMatch(
      /^The first four letters of each word of\n {2}the pairing code are enough\.\nPairing code that `imgmv receive` shows\n {2}on 127\.0\.0\.1 \(hidden\):$/m,
    );
    for (const [index, line] of lines.entries()) {
      await sender.press(line, 'Enter');
      if (index < lines.length - 1) await sender.shows(/^Its next line \(hidden\):$/m);
    }
    const end = await sender.shows(/exit status/);
    expect(end).toMatch(/^exit status 0$/m);
    expect(end.replaceAll(/\n */g, ' ')).toMatch(
      /written web:1\.0 [0-9a-f]{12}: .* on the wire, \S+ s, verified/,
    );
    expect(await receiver.shows(/exit status/)).toMatch(/^exit status 0$/m);
  });

  it.each([30, 40])('lists images in %d columns', async (columns) => {
    await using listed = await start(['ls', '--from', `docker-archive:${at('web.tar')}`], columns);
    const screen = await listed.shows(/exit status/);
    expect(screen).not.toMatch(/^NAME/m);
    expect(screen).toMatch(/^web:1\.0$/m);
    expect(screen.replaceAll(/\n */g, ' ')).toMatch(/web:1\.0 [0-9a-f]{12}, linux\/amd64, \S+ kB/);
  });

  it('wraps help and errors between words', async () => {
    await using help = await start(['doctor', '--help']);
    const screen = await help.shows(/exit status/);
    for (const line of screen.split('\n')) expect(line.length).toBeLessThanOrEqual(COLUMNS);
    expect(screen.replaceAll(/\n */g, ' ')).toContain('Nothing is changed, and no pairing code is used up.');
    await using failed = await start(['send', 'web:1.0', '--to', 'me@host-b']);
    expect(await failed.shows(/exit status/)).toMatch(
      /argument 'me@host-b' is invalid\. A\n {2}host takes no user, password or\n/,
    );
  });
});
