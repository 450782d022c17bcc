/** A real ssh to a real sshd of this host's, with keys of their own. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { run } from './command.ts';

const SSHD = '/usr/sbin/sshd';

export interface SshOptions {
  /** As sshd_config has them. */
  readonly daemon?: Readonly<Record<string, string>>;
  /** As ssh_config has them. */
  readonly client?: Readonly<Record<string, string>>;
}

/** The `ssh` that a program finds, to whatever host it names. */
export interface SshHost {
  /** For who runs it. */
  readonly env: Readonly<Record<string, string>>;
  /** The arguments of each ssh that was started so far. */
  starts(): Promise<readonly string[]>;
  /** How often somebody has logged in so far. */
  logins(): Promise<number>;
}

/** `directory` need not exist. */
export async function sshHost(directory: string, options: SshOptions = {}): Promise<SshHost> {
  const at = (name: string) => join(directory, name);
  await mkdir(at('bin'), { recursive: true });
  await mkdir(at('tmp'));
  await Promise.all(['starts', 'sshd.log'].map((name) => writeFile(at(name), '')));
  const words = (await makeSsh(directory, options)).slice(0, -1).map((word) => `'${word}'`);
  const script = [
    '#!/bin/sh',
    `printf '%s\\n' "$(printf %s "$*" | tr '\\n' ' ')" >> '${at('starts')}'`,
    `PATH=${process.env.PATH}`,
    `exec ${words.join(' ')} "$@"`,
  ];
  await writeFile(at('bin/ssh'), `${script.join('\n')}\n`, { mode: 0o755 });
  const lines = async (name: string) => (await readFile(at(name), 'utf8')).split('\n').slice(0, -1);
  return {
    env: { PATH: `${at('bin')}${delimiter}${process.env.PATH}`, TMPDIR: at('tmp') },
    starts: () => lines('starts'),
    logins: async () => (await lines('sshd.log')).filter((line) => line.startsWith('Accepted ')).length,
  };
}

/** The command line of ssh, without a port of its own; the remote command follows. */
export async function makeSsh(directory: string, options: SshOptions = {}): Promise<string[]> {
  const at = (name: string) => join(directory, name);
  for (const name of ['host-key', 'user-key']) {
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  }
  const daemon = {
    HostKey: at('host-key'),
    AuthorizedKeysFile: at('user-key.pub'),
    SetEnv: `PATH=${process.env.PATH}`,
    StrictModes: 'no',
    UsePAM: 'no',
    PidFile: 'none',
    PermitRootLogin: 'prohibit-password',
    ...options.daemon,
  };
  const settings = Object.entries(daemon).map(([key, value]) => `${key} ${value}\n`);
  await writeFile(at('sshd_config'), settings.join(''));
  await mkdir('/run/sshd', { recursive: true });
  const client = {
    ProxyCommand: `${SSHD} -i -f ${at('sshd_config')} -E ${at('sshd.log')}`,
    IdentityFile: at('user-key'),
    UserKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'no',
    BatchMode: 'yes',
    LogLevel: 'ERROR',
    ...options.client,
  };
  const flags = Object.entries(client).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  return ['ssh', '-F', 'none', ...flags, 'root@localhost'];
}
