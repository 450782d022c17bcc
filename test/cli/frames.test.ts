/** A move on real terminals of several widths: golden/ has the screens, and `vitest -u` writes them anew. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux } from '../rig/tmux.ts';

const PROGRAM = fileURLToPath(new URL('frames-program.ts', import.meta.url));
const LAST_BAR = /(web:1\.0|:1\.0|\.0)[^:\n]*(preparing|prepares).*$/;
const ESC = '\u001b';
const ROLES = ['sender', 'receiver'] as const;
const COLOURS = new RegExp(`${ESC}\\[3[0-9]m`);

describeOn(
  'a move on a terminal',
  [await supportOf(() => requirePrograms('tmux'))],
  () => {
    it.each([30, 40, 80, 120].flatMap((columns) => ROLES.map((role) => ({ columns, role }))))(
      'of $columns columns, $role',
      async ({ columns, role }) => {
        await using terminal = await start(role, columns, {});
        const screen = await terminal.shows(LAST_BAR);
        await expect(`${screen}\n`).toMatchFileSnapshot(`golden/${role}-${columns}.txt`);
        if (columns >= 40) expect(screen).toMatch(/11\.8 MB\/s, 24 s left/);
        expect(await terminal.screen({ styled: true })).toMatch(COLOURS);
      },
    );

    it('without colours', async () => {
      await using terminal = await start('sender', 80, { NO_COLOR: '1' });
      const screen = await terminal.shows(LAST_BAR);
      await expect(`${screen}\n`).toMatchFileSnapshot('golden/sender-80.txt');
      expect(await terminal.screen({ styled: true })).not.toMatch(COLOURS);
    });

    it('follows a terminal that becomes narrow', async () => {
      await using terminal = await start('sender', 120, {});
      await terminal.shows(LAST_BAR);
      await terminal.resize(40, 30);
      await terminal.shows(/ …\S+ 30%, 11\.8 MB\/s, 24 s left$/m);
    });
  },
  { required: true },
);

function start(role: string, columns: number, env: Readonly<Record<string, string>>) {
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), PROGRAM, role];
  return startTmux(node.map((word) => `'${word}'`).join(' '), { columns, rows: 30, env });
}
