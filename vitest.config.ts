import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Where a machine-readable report goes, beside the usual output. */
const report = process.env.IMGMV_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Tests wait for engines and clocks more than for a processor: one more of them than vitest takes by itself.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
