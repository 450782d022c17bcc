/** `--report FILE` around a run: the place is looked at before it, and the report written behind it. */
import { type Event, type EventOf, errorEvent } from '../../agent/model/events.ts';
import { whyNot } from '../../agent/streams/file-error.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { Report, type ReportOptions } from './report.ts';
import { ReportFile } from './report-file.ts';

export const REPORT_HELP = 'write a report to FILE.md, FILE.html or FILE.json at the end';

export interface ReportFlags extends ReportOptions {
  readonly report?: string | undefined;
  /** A run that ends with the plan has nothing to report. */
  readonly reportsMoves?: boolean;
  /** More than one session may come. */
  readonly sessions?: boolean;
}

export interface ReportRun {
  readonly add: (event: Event) => void;
  /**
   * Once, when the run has ended with `exit`. Gives the error event where the report could not be written: it does not
   * change what became of the images.
   */
  readonly write: (exit: number, stopped: ImgmvError | undefined) => EventOf<'error'> | undefined;
}

/** Throws usage where there can be no report; undefined where none is wanted. */
export function openReport(options: Partial<ReportFlags>): ReportRun | undefined {
  const { command, commandLine, report: path, reportsMoves = false, sessions, target } = options;
  if (command === undefined || path === undefined) return undefined;
  if (sessions)
    throw new ImgmvError('usage', '--report is of one session, and `imgmv receive` takes one after another', {
      hint: 'add --once',
    });
  const file = new ReportFile(path);
  const report = new Report({ command, target, commandLine });
  return {
    add: (event) => report.add(event),
    write(exit, stopped) {
      if (reportsMoves && !report.moves) return undefined;
      try {
        file.write(report.data(exit, stopped));
        return undefined;
      } catch (cause) {
        const message = `cannot write the report ${file.path}: ${whyNot(file.path, cause)}`;
        const hint = 'only the report is missing: the images are as shown above';
        return errorEvent(new ImgmvError('internal', message, { cause, hint }));
      }
    },
  };
}
