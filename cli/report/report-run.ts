/** `--report FILE` around a run: the place is looked at before it, and the report written behind it. */
import { type Event, type EventOf, errorEvent } from '../../agent/model/events.ts';
import { exitStatusOf, ImgmvError } from '../../proto/errors.ts';
import { Report, type ReportOptions } from './report.ts';
import { ReportFile } from './report-file.ts';

/** For commander. */
export const REPORT_HELP = 'write what has happened to FILE.md, FILE.html or FILE.json at the end';

export interface ReportFlags extends ReportOptions {
  readonly report?: string;
  /** More than one session may come. */
  readonly sessions?: boolean;
}

/** Throws usage where there can be no report; undefined where none is wanted. */
export function openReport({ report, sessions, ...options }: ReportFlags): ReportRun | undefined {
  if (report === undefined) return undefined;
  if (sessions)
    throw new ImgmvError('usage', '--report is of one session, and `imgmv receive` takes one after another', {
      hint: 'add --once',
    });
  return new ReportRun(new ReportFile(report), new Report(options));
}

export class ReportRun {
  readonly #file: ReportFile;
  readonly #report: Report;

  constructor(file: ReportFile, report: Report) {
    this.#file = file;
    this.#report = report;
  }

  add(event: Event): void {
    this.#report.add(event);
  }

  /**
   * Once, when the run has ended with `exit`. Gives the error event where the report could not be written: it does not
   * change what became of the images.
   */
  write(exit: number, stopped: ImgmvError | undefined): EventOf<'error'> | undefined {
    try {
      this.#file.write(this.#report.data(exit, stopped));
      return undefined;
    } catch (error) {
      const message = `cannot write the report ${this.#file.path}: ${(error as Error).message}`;
      const hint = 'all else is as told; only the report is missing';
      return errorEvent(new ImgmvError('internal', message, { cause: error, hint }));
    }
  }
}

/** What a run exits with whose report could not be written: its own status, but where that says that all is well. */
export function exitWithoutReport(exit: number): number {
  return exit === 0 ? exitStatusOf('internal') : exit;
}
