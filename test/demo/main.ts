/**
 * Shows imgmv at work on this machine and proves what it did, in under a minute:
 *
 *     npm run demo -- [--fixtures]
 *
 * With root and dockerd: between two throwaway engines. Without, or with --fixtures: between two ends in
 * memory. The images, containers and engines of this machine are neither read nor changed.
 */
import { parseArgs } from 'node:util';
import { engineDemo, engineDemoSupport } from './engines.ts';
import { fixtureDemo } from './fixtures.ts';
import { say, title } from './say.ts';

const { values } = parseArgs({ options: { fixtures: { type: 'boolean', default: false } } });
const support = values.fixtures ? { ok: false, reason: '--fixtures was given' } : await engineDemoSupport();
const started = performance.now();

if (support.ok) {
  title('imgmv demo: between two throwaway docker engines on this machine');
  await engineDemo();
} else {
  title('imgmv demo: between two ends in memory, NOT docker engines');
  say(`Why: ${support.reason}.`);
  say('With root, dockerd 20.10 or newer and busybox-static, it runs between two throwaway engines.');
  await fixtureDemo();
}

title(
  `Done in ${((performance.now() - started) / 1000).toFixed(1)} s; nothing of it is left on this machine.`,
);
process.exit();
