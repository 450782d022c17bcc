/** Where somebody is asked at a terminal whether images are to move: three of them at the source, and none at the target. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Engine, engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux, type Tmux } from '../rig/tmux.ts';
import { type Scene, startScene } from './scene.ts';

/** Each test starts two to four programs. */
export const DECISION_TIMEOUT_MS = 120_000;

/** `at.scene` is there in the tests: `team/web:1.0`, `team/db:16` and `cache:7`, and whatever a test loads into the target. */
export async function describeDecisions(
  title: string,
  tests: (at: { readonly scene: Scene }) => void,
): Promise<void> {
  const supports = [await engineSupport('20'), await supportOf(() => requirePrograms('tmux', 'pgrep'))];
  describeOn(title, supports, () => {
    let scene: Scene | undefined;
    const at = {
      get scene(): Scene {
        if (!scene) throw new Error('there is no scene before the tests');
        return scene;
      },
    };
    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      for (const name of ['team/web:1.0', 'team/db:16', 'cache:7'])
        await loadImage(scene.source, { name, layers: [{ name }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      const ids = (await at.scene.target.docker(['image', 'ls', '--quiet', '--no-trunc'])).split('\n');
      const left = [...new Set(ids)].filter((id) => id !== '');
      if (left.length > 0) await at.scene.target.docker(['image', 'rm', '--force', ...left]);
    });
    tests(at);
  });
}

/** imgmv with this engine on a terminal; `output` is where its standard output goes instead. */
export function terminalOf(engine: Engine, args: readonly string[], output?: string): Promise<Tmux> {
  const words = [process.execPath, IMGMV, ...args, '--docker-host', engine.dockerHost];
  const command = words.map((word) => `'${word}'`).join(' ');
  return startTmux(output === undefined ? command : `${command} > '${output}'`, { columns: 120, rows: 40 });
}
