import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { findTests } from './test/rig/projects.ts';

/** Where a machine-readable report goes, beside the usual output. */
const report = process.env.IMGMV_TEST_REPORT;

export default defineConfig(async (): Promise<ViteUserConfig> => {
  const { unit, engines } = await findTests(fileURLToPath(new URL('.', import.meta.url)));
  return {
    test: {
      // A slow machine is no fault: only a test that hangs is to fail by these.
      testTimeout: 120_000,
      hookTimeout: 300_000,
      expect: { poll: { timeout: 60_000 } },
      // Tests wait for engines and clocks more than for a processor: one more of them than vitest takes by itself.
      maxWorkers: Math.max(2, availableParallelism() - 1),
      reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
      projects: [
        {
          extends: true,
          test: { name: 'unit', include: [...unit], setupFiles: ['test/rig/unit-guard.ts'] },
        },
        { extends: true, test: { name: 'engines', include: [...engines] } },
      ],
    },
  };
});
