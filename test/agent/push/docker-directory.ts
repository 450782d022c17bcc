/** What a user's docker command has in its directory, and the helpers that it runs. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export function writeDockerConfig(directory: string, config: unknown): Promise<void> {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  return writeFile(join(directory, 'config.json'), text);
}

/** Writes `docker-credential-NAME`: a shell script. */
export async function writeHelper(directory: string, name: string, script: string): Promise<void> {
  const file = join(directory, `docker-credential-${name}`);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}
