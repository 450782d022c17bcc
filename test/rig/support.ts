import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';

/** Whether this machine can run a part of the rig, and if not, why: one line for people. */
export type Support = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** What `attempt` comes to: its failure is the reason. */
export async function supportOf(attempt: () => Promise<unknown>): Promise<Support> {
  try {
    await attempt();
    return { ok: true };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, reason: reason.replaceAll(/\s*\n\s*/g, '; ') };
  }
}

/** Throws unless these are on the path, naming the first that is not. */
export async function requirePrograms(...programs: readonly string[]): Promise<void> {
  const directories = (process.env.PATH ?? '').split(':');
  for (const program of programs) {
    const tries = directories.map((directory) => access(join(directory, program), constants.X_OK));
    await Promise.any(tries).catch((cause: unknown) => {
      throw new Error(`${program} is not installed`, { cause });
    });
  }
}
