/** What Tab does in the shells that people have, and the manual page. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { IMGMV, runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux } from '../rig/tmux.ts';

/** How each shell is begun with nothing but what is in the directory. */
const SHELLS = {
  bash: (at: string) => `bash --noprofile --rcfile ${at}/bashrc -i`,
  zsh: (at: string) => `env ZDOTDIR=${at} zsh -i`,
  fish: (at: string) => `env XDG_CONFIG_HOME=${at} fish --interactive`,
};

/** What is typed before Tab, and what stands there behind it. */
const TYPED = [
  ['a command', 'imgmv rec', 'imgmv receive'],
  ['an option', 'imgmv send --code-f', 'imgmv send --code-file'],
  ['an image', 'imgmv send team/w', 'imgmv send team/web:1.0'],
  ['an image behind a colon', 'imgmv send team/web:1', 'imgmv send team/web:1.0'],
  ['an image behind its kind', 'imgmv copy docker-daemon:te', 'imgmv copy docker-daemon:team/web:1.0'],
  ['a context', 'imgmv ls --context fa', 'imgmv ls --context far-away'],
  [
    'a file behind its kind',
    'imgmv ls --from docker-archive:arch',
    'imgmv ls --from docker-archive:archive.tar',
  ],
  ['a file behind an option', 'imgmv send --move mo', 'imgmv send --move move.yaml'],
] as const;

describeOn(
  'completion',
  [await engineSupport('20'), await supportOf(() => requirePrograms('tmux', 'zsh', 'fish'))],
  () => {
    let engine: Engine;
    let scratch: ScratchDirectory;
    beforeAll(async () => {
      [engine, scratch] = [await startEngine({ flavour: '20' }), await scratchDirectory()];
      await loadImage(engine, { name: 'team/web:1.0', layers: [{ web: '1.0' }] });
      const at = (...names: readonly string[]) => join(scratch.path, ...names);
      for (const directory of ['bin', 'fish/completions', 'docker/contexts/meta/x', 'site'])
        await mkdir(at(directory), { recursive: true });
      await writeFile(at('bin/imgmv'), `#!/bin/sh\nexec '${process.execPath}' '${IMGMV}' "$@"\n`, {
        mode: 0o755,
      });
      for (const file of ['archive.tar', 'move.yaml']) await writeFile(at(file), '');
      await writeFile(at('docker/contexts/meta/x/meta.json'), '{"Name":"far-away","Endpoints":{}}');
      const script = async (shell: string) => {
        await using imgmv = runImgmv(['completion', shell]);
        expect(await imgmv.exit).toEqual({ code: 0, signal: null });
        return imgmv.stdout;
      };
      await writeFile(at('bashrc'), `PS1='> '\n${await script('bash')}`);
      await writeFile(at('site/_imgmv'), await script('zsh'));
      await writeFile(
        at('.zshrc'),
        `PS1='> '\nfpath=(${at('site')} $fpath)\nautoload -Uz compinit && compinit -u -d ${at('dump')}\n`,
      );
      await writeFile(
        at('fish/config.fish'),
        `function fish_prompt; echo '> '; end\nfunction fish_greeting; end\n`,
      );
      await writeFile(at('fish/completions/imgmv.fish'), await script('fish'));
    });
    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });

    it.each(Object.keys(SHELLS) as readonly (keyof typeof SHELLS)[])('in %s', async (shell) => {
      const { path } = scratch;
      const env = {
        ...{ PATH: `${path}/bin:${process.env.PATH}`, HOME: path, TERM: 'dumb' },
        ...{ DOCKER_HOST: engine.dockerHost, DOCKER_CONFIG: `${path}/docker` },
      };
      const command = `cd ${path} && ${SHELLS[shell](path)}`;
      await using terminal = await startTmux(command, { columns: 120, rows: 50, env });
      await terminal.shows(/^> *$/m);
      for (const [, typed, completed] of TYPED) {
        await terminal.press(typed, 'Tab');
        await terminal.shows(new RegExp(`^> ${completed.replaceAll('.', '\\.')} *$`, 'm'));
        await terminal.press('C-u');
      }
    });
  },
);

it('the manual page has every command and option, and nothing that troff would take for its own', async () => {
  await using imgmv = runImgmv(['help', '--man']);
  expect(await imgmv.exit).toEqual({ code: 0, signal: null });
  const page = imgmv.stdout;
  expect(page).toMatch(/^\.TH IMGMV 1 "" "imgmv [0-9.]+" "User Commands"$/m);
  for (const command of ['receive', 'send', 'plan', 'ls', 'copy', 'clean', 'doctor', 'help', 'completion'])
    expect(page).toMatch(new RegExp(`^\\.SS imgmv ${command}`, 'm'));
  await using help = runImgmv(['send', '--help']);
  await help.exit;
  const options = help.stdout.match(/^ {2}(?:-\w, )?--[a-z-]+/gm) ?? [];
  expect(options.length).toBeGreaterThan(30);
  for (const option of options) expect(page).toContain(`.B ${option.trim().replaceAll('-', '\\-')}`);
  expect(page.match(/^[.'](?!TH|SH|SS|TP|PP|B|br|nf|fi)/gm)).toBeNull();
});
