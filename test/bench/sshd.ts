/** A real sshd of this host's, with keys of its own, for what people do today: `docker save | ssh … docker load`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, tied } from '../rig/command.ts';
import type { Host } from '../rig/hosts.ts';
import { accounted, readUsage, type Usage } from './measure.ts';

export interface Sshd extends AsyncDisposable {
  /** The ssh command line that a remote command is appended to, for a shell to read. */
  readonly ssh: string;
  /** Stops it; gives its account with that of all that ran under it. */
  stop(): Promise<Usage>;
}

/** Of no matter to others: the host's network namespace is the bench's own. */
const PORT = 2222;
const SSHD = '/usr/sbin/sshd';
const POLL_MS = 10;

/** Makes the keys; once for a directory. */
export async function makeKeys(directory: string): Promise<void> {
  for (const name of ['host-key', 'user-key']) {
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)]);
  }
}

/** Starts a daemon on `host` and waits until it listens. The directory holds the keys. */
export async function startSshd(host: Host, address: string, directory: string): Promise<Sshd> {
  const at = (name: string) => join(directory, name);
  const config = {
    ListenAddress: `${address}:${PORT}`,
    HostKey: at('host-key'),
    AuthorizedKeysFile: at('user-key.pub'),
    PidFile: at('sshd.pid'),
    SetEnv: `PATH=${process.env.PATH} DOCKER_CONFIG=${directory}`,
    StrictModes: 'no',
    UsePAM: 'no',
    PermitRootLogin: 'prohibit-password',
  };
  await mkdir('/run/sshd', { recursive: true });
  const lines = Object.entries(config).map(([key, value]) => `${key} ${value}\n`);
  await writeFile(at('sshd_config'), lines.join(''));
  const account = at('sshd.account');
  const [command = '', ...args] = tied(
    host.argv(accounted([SSHD, '-D', '-e', '-f', at('sshd_config')], account)),
  );
  const daemon = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: Buffer[] = [];
  daemon.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const exited = once(daemon, 'exit');
  while (!(await host.listeners()).includes(`${address}:${PORT} `)) {
    if (daemon.exitCode !== null) throw new Error(`sshd did not start: ${Buffer.concat(said).toString()}`);
    await sleep(POLL_MS);
  }

  const end = async () => {
    if (daemon.exitCode === null) process.kill(await listener(), 'SIGTERM');
    await exited;
  };
  const listener = async () => Number(await readFile(at('sshd.pid'), 'utf8'));
  const options = {
    IdentityFile: at('user-key'),
    UserKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'no',
    BatchMode: 'yes',
    Compression: 'no',
    ControlMaster: 'no',
    ControlPath: 'none',
    LogLevel: 'ERROR',
  };
  const flags = Object.entries(options).map(([key, value]) => `-o ${key}=${value}`);
  return {
    ssh: `ssh -F none ${flags.join(' ')} -p ${PORT} root@${address}`,
    async stop() {
      // The account holds only what the daemon has waited for; ssh may be gone before its session here is.
      const pid = await listener();
      while ((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')) !== '') await sleep(POLL_MS);
      await end();
      return readUsage(account);
    },
    [Symbol.asyncDispose]: end,
  };
}
