/**
 * How long choosing and planning take with many images. As root:
 *
 *     npm run bench:many
 *
 * 300 tiny images on two layers each; `imgmv plan --all` to a target that has none of them, and to one that has them
 * all, for both kinds of store. Seconds from the start of the command until it has paired, and from there to the
 * plan. It asserts nothing.
 */
import { type Scene, startScene } from '../e2e/scene.ts';
import type { Flavour } from '../rig/engine.ts';
import { loadMany } from '../rig/many.ts';
import { requireRoot } from '../rig/root.ts';

const IMAGES = 300;
const ROUNDS = 3;

requireRoot();
for (const [source, target] of [
  ['20', '20'],
  ['28c', '28c'],
  ['20', '28c'],
  ['28c', '20'],
] as const satisfies readonly (readonly [Flavour, Flavour])[]) {
  await using scene = await startScene({ source, target });
  await loadMany(scene.source, IMAGES);
  await report(scene, `${source} to ${target}, none there`);
  await loadMany(scene.target, IMAGES);
  await report(scene, `${source} to ${target}, all there`);
}

async function report(scene: Scene, what: string): Promise<void> {
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await plan(scene));
  const [{ actions } = { actions: '' }] = rounds;
  const told = (pick: (round: Round) => number) => rounds.map((round) => pick(round).toFixed(2)).join(', ');
  console.log(`${what}: ${actions}`);
  console.log(`  choosing, until paired: ${told(({ chosen }) => chosen)} s`);
  console.log(`  planning, after paired: ${told(({ planned }) => planned)} s`);
}

interface Round {
  readonly chosen: number;
  readonly planned: number;
  readonly actions: string;
}

async function plan(scene: Scene): Promise<Round> {
  await using receiver = await scene.receive();
  const startedAt = Date.now();
  await using sender = scene.send(receiver, ['--all', '--json'], { command: 'plan' });
  const paired = Date.parse((await sender.waitFor('paired')).time);
  const event = await sender.waitFor('plan');
  const { code } = await sender.exit;
  if (code !== 0) throw new Error(`the plan ended with ${code}:\n${sender.stdout}${sender.stderr}`);
  const images = event.images as readonly { action: string }[];
  const counts = [...new Set(images.map(({ action }) => action))].map(
    (action) => `${images.filter((image) => image.action === action).length} ${action}`,
  );
  return {
    chosen: (paired - startedAt) / 1000,
    planned: (Date.parse(event.time) - paired) / 1000,
    actions: counts.join(', '),
  };
}
