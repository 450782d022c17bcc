/** The file that a report goes to: looked at before anything else, written at the end, never seen half written. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { fileError } from '../../agent/streams/file-error.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { HTML_MARK, htmlReport } from './html.ts';
import { jsonReport } from './json.ts';
import { MARKDOWN_MARK, markdownReport } from './markdown.ts';
import type { ReportData } from './model.ts';

interface Form {
  readonly write: (report: ReportData) => string;
  /** Whether a file that begins so is a report of this form. */
  readonly knows: (beginning: string) => boolean;
}

const html: Form = { write: htmlReport, knows: (beginning) => beginning.includes(HTML_MARK) };
const FORMS: Readonly<Record<string, Form>> = {
  '.md': { write: markdownReport, knows: (beginning) => MARKDOWN_MARK.test(beginning) },
  '.html': html,
  '.htm': html,
  '.json': { write: jsonReport, knows: (beginning) => /^\{\s*"version": \d+,\s*"imgmv": /.test(beginning) },
};
const BEGINNING_BYTES = 512;
const MODE = 0o644;

export class ReportFile {
  readonly path: string;
  readonly #form: Form;

  /** Throws usage where no report can go there: another ending, no such directory, no right to write, no report there. */
  constructor(path: string) {
    if (path === '-')
      throw new ImgmvError('usage', 'a report does not go to standard output', {
        hint: 'name a file: --report FILE.md, FILE.html or FILE.json; --json tells what happens on standard output',
      });
    const form = FORMS[extname(path).toLowerCase()];
    if (!form)
      throw new ImgmvError('usage', `cannot tell from its ending what report ${path} is to be`, {
        hint: 'name FILE.md, FILE.html or FILE.json',
      });
    this.path = resolve(path);
    this.#form = form;
    try {
      this.#requireOurs();
      const temporary = this.#temporary();
      closeSync(openSync(temporary, 'wx', MODE));
      unlinkSync(temporary);
    } catch (cause) {
      const hint =
        cause instanceof NotOurs
          ? 'name another one, or remove it'
          : 'name a file in a directory that you may write to';
      throw fileError(`cannot write the report ${this.path}`, this.path, cause, { toWrite: true, hint });
    }
  }

  /** Synchronous, so that a second signal finds either no file of ours or a whole one. Throws what the system says. */
  write(report: ReportData): void {
    const text = this.#form.write(report);
    const mode = this.#requireOurs();
    const temporary = this.#temporary();
    try {
      writeFileSync(temporary, text, { flag: 'wx', mode: mode ?? MODE, flush: true });
      // Of a mode for a new file the umask takes its part.
      if (mode !== undefined) chmodSync(temporary, mode);
      renameSync(temporary, this.path);
    } catch (error) {
      // It may not be there at all, and there is a better error to tell.
      try {
        unlinkSync(temporary);
      } catch {}
      throw error;
    }
  }

  /** Beside the file, where alone a rename is all or nothing. */
  #temporary(): string {
    return join(dirname(this.path), `.${basename(this.path)}.${randomBytes(6).toString('hex')}`);
  }

  /**
   * What is there is replaced only if it is a report of this form, or empty: a typo costs nobody a file. The rights
   * to it are its owner's business: its mode, undefined where there is none.
   */
  #requireOurs(): number | undefined {
    const there = lstatSync(this.path, { throwIfNoEntry: false });
    if (!there) return undefined;
    if (!there.isFile())
      throw new NotOurs(there.isDirectory() ? 'it is a directory' : 'it is not a regular file');
    if (there.size > 0 && !this.#form.knows(beginningOf(this.path)))
      throw new NotOurs('the file there is not a report');
    return there.mode & 0o777;
  }
}

class NotOurs extends Error {}

function beginningOf(path: string): string {
  const file = openSync(path, 'r');
  try {
    if (!fstatSync(file).isFile()) return '';
    const bytes = Buffer.alloc(BEGINNING_BYTES);
    return bytes.toString('utf8', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}
