import { defineConfig } from 'vitest/config';

/** Where a machine-readable report goes, beside the usual output. */
const report = process.env.IMGMV_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
