import { escapeText } from '../escape.ts';
import type { ReportData } from './model.ts';

/** The report itself, indented; what a terminal would act on is escaped as JSON has it. */
export function jsonReport(report: ReportData): string {
  return `${JSON.stringify(report, null, 2).split('\n').map(escapeText).join('\n')}\n`;
}
