/** The file that carries the pairing code where there is no terminal: whole from the start, 0600, ours to remove. */
import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError, whyNot } from '../agent/streams/file-error.ts';
import { giveName } from '../agent/streams/new-name.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { Secret } from '../proto/secret.ts';

export class CodeFile {
  readonly path: string;
  #written = false;

  constructor(path: string) {
    this.path = resolve(path);
    // Also when a second signal ends the process at once.
    process.once('exit', () => this.remove());
  }

  /** Replaces the file of an earlier session; never one that is not ours. Throws usage. */
  async write(code: Secret): Promise<void> {
    this.remove();
    const temporary = join(dirname(this.path), `.${basename(this.path)}.${randomBytes(6).toString('hex')}`);
    try {
      await writeFile(temporary, `${code.reveal()}\n`, { flag: 'wx', mode: 0o600 });
      // Who reads it finds it whole.
      await giveName(temporary, this.path).finally(() => rm(temporary, { force: true }));
    } catch (cause) {
      const cannot = `cannot write the code file ${this.path}`;
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
        throw fileError(cannot, this.path, cause, { toWrite: true });
      const hint = 'remove it, or name another one';
      throw new ImgmvError('usage', `${cannot}: it exists already`, { cause, hint });
    }
    this.#written = true;
  }

  remove(): void {
    if (!this.#written) return;
    this.#written = false;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        process.stderr.write(
          `imgmv: cannot remove the code file ${this.path}: ${whyNot(this.path, error)}\n`,
        );
    }
  }
}
