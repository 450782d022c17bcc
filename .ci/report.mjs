// Tells what a report of vitest holds: the counts, then each failed test with the beginning of its error.
// node .ci/report.mjs REPORT.json
import { existsSync, readFileSync } from 'node:fs';

const LINES_OF_AN_ERROR = 8;
const [path] = process.argv.slice(2);

if (!existsSync(path)) {
  console.log('no test report: vitest did not get that far');
} else {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = report;
  console.log(
    `${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests + numTodoTests} skipped`,
  );
  for (const file of report.testResults) {
    // A file that could not be loaded has a message of its own, and no tests.
    if (file.message) console.log(beginning(`${file.name}: ${file.message}`));
    for (const test of file.assertionResults) {
      if (test.status !== 'failed') continue;
      console.log(`FAILED ${file.name}: ${test.fullName} (${Math.round(test.duration ?? 0)} ms)`);
      for (const message of test.failureMessages ?? []) console.log(beginning(message));
    }
  }
}

function beginning(text) {
  // Where the runner called it nobody wants to know.
  const lines = text.split('\n').filter((line) => !/^\s+at .*(node_modules|node:)/.test(line));
  const shown = lines.slice(0, LINES_OF_AN_ERROR).map((line) => `  ${line.slice(0, 500)}`);
  return shown.join('\n');
}
