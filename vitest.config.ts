import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { findTests } from './test/rig/projects.ts';

/** Where a machine-readable report goes, beside the usual output. */
const report = process.env.IMGMV_TEST_REPORT;

const processors = availableParallelism();

/** About whether an honest sender gets in soon beside thousands of strangers: other tests at the same time are more of those. */
const ALONE = ['test/hostile/flood.test.ts'];

export default defineConfig(async (): Promise<ViteUserConfig> => {
  const { unit, mocked, engines } = await findTests(fileURLToPath(new URL('.', import.meta.url)));
  return {
    test: {
      // A slow machine is no fault: only a test that hangs is to fail by these.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      teardownTimeout: 60_000,
      expect: { poll: { timeout: 60_000 } },
      // What the projects, the files and the next run load alike is compiled once.
      experimental: { fsModuleCache: true },
      reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
      projects: [
        {
          extends: true,
          test: {
            name: 'unit',
            include: [...unit],
            setupFiles: ['test/rig/unit-guard.ts'],
            // Loading the program and the runner anew for each file takes as long as a third of the tests.
            isolate: false,
            // Some of them wait for a deadline, and leave their processor to others.
            maxWorkers: processors + 2,
            sequence: { groupOrder: 0 },
          },
        },
        {
          extends: true,
          test: {
            name: 'mocked',
            include: [...mocked],
            setupFiles: ['test/rig/unit-guard.ts'],
            maxWorkers: processors + 2,
            sequence: { groupOrder: 0 },
          },
        },
        {
          extends: true,
          test: {
            name: 'engines',
            include: engines.filter((file) => !ALONE.includes(file)),
            testTimeout: 300_000,
            hookTimeout: 600_000,
            // They wait for engines more than for a processor.
            maxWorkers: processors + 1,
            sequence: { groupOrder: 1 },
          },
        },
        {
          extends: true,
          test: {
            name: 'alone',
            include: engines.filter((file) => ALONE.includes(file)),
            testTimeout: 300_000,
            hookTimeout: 600_000,
            maxWorkers: 1,
            sequence: { groupOrder: 2 },
          },
        },
      ],
    },
  };
});
