/** A throwaway registry: Debian's docker-registry on the loopback, with all that it keeps in a directory of its own. */
import { spawn } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tied } from './command.ts';
import { scratchDirectory } from './scratch.ts';
import { requirePrograms, type Support, supportOf } from './support.ts';

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:40123`, what names in it begin with; engines reach it there without TLS. */
  readonly address: string;
}

const PROGRAM = 'docker-registry';
const START_TIMEOUT_MS = 15_000;
const POLL_MS = 20;

/** Whether this machine can run registries. */
export async function registrySupport(): Promise<Support> {
  return supportOf(() => requirePrograms(PROGRAM));
}

/** Starts a registry and waits until it listens. Any number may run side by side. Throws if it does not start. */
export async function startRegistry(): Promise<Registry> {
  const directory = await scratchDirectory();
  const at = (name: string) => join(directory.path, name);
  // JSON is YAML, too.
  await writeFile(at('config.yml'), JSON.stringify(registryConfig(at('data'))));
  const log = await open(at('log'), 'w');
  const [command = '', ...args] = tied([PROGRAM, 'serve', at('config.yml')]);
  // REGISTRY_… in the environment would change the configuration.
  const env = { PATH: process.env.PATH, HOME: directory.path };
  const server = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], env });
  const exited = new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.once('close', () => resolve());
  });
  await log.close();
  const dispose = async () => {
    server.kill('SIGKILL');
    await exited;
    await directory[Symbol.asyncDispose]();
  };

  try {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let address: string | undefined;
    while (address === undefined) {
      const said = await readFile(at('log'), 'utf8');
      address = /listening on (127\.0\.0\.1:[0-9]+)/.exec(said)?.[1];
      if (address === undefined && (server.exitCode !== null || Date.now() > deadline))
        throw new Error(`registry did not start:\n${said.trim().split('\n').slice(-5).join('\n')}`);
      await sleep(POLL_MS);
    }
    return { address, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function registryConfig(data: string): Record<string, unknown> {
  return {
    version: '0.1',
    storage: { filesystem: { rootdirectory: data } },
    // The kernel picks the port, the log tells it.
    http: { addr: '127.0.0.1:0' },
  };
}
