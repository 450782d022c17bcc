/** A real ssh to a real sshd of this host's, with keys of their own. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { run } from './command.ts';
import type { Place } from './imgmv.ts';

const SSHD = '/usr/sbin/sshd';

/** Somebody who is known on that host alone. */
export interface SshUser {
  readonly name: string;
  /** The number of the group, besides the user's own. */
  readonly group?: number;
  /** What it may do as root without a password, as sudoers has it. */
  readonly sudo?: string;
}

export interface SshOptions {
  readonly users?: readonly SshUser[];
  /** Where sshd runs; beside the test when left out. */
  readonly place?: Place;
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
  /** Kills the sshd of each login, at once. `forGood`: and lets nobody log in again. */
  cut(forGood?: boolean): Promise<void>;
}

/** `directory` need not exist. */
export async function sshHost(directory: string, options: SshOptions = {}): Promise<SshHost> {
  const at = (name: string) => join(directory, name);
  await mkdir(at('bin'), { recursive: true });
  await mkdir(at('tmp'));
  await Promise.all(['starts', 'sshd.log', 'sshd.pids'].map((name) => writeFile(at(name), '')));
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
    cut: async (forGood = false) => {
      if (forGood) await writeFile(at('sshd.sh'), '#!/bin/sh\n');
      // sshd has a process for the user, besides its own.
      for (const pid of await lines('sshd.pids'))
        await run(['sh', '-c', `pkill -KILL -P ${pid}; kill -KILL ${pid}; true`]);
    },
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
    ProxyCommand: await makeSshd(directory, options),
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

const FIRST_USER = 61_000;

/** A script that serves one login on its standard input and output, in a mount namespace where the users are known. */
async function makeSshd(directory: string, { users = [], place }: SshOptions): Promise<string> {
  const at = (name: string) => join(directory, name);
  const file = async (path: string, more: readonly string[], mode: number) => {
    const own = at(path.replaceAll('/', '-'));
    await writeFile(own, `${await readFile(path, 'utf8')}${more.map((line) => `${line}\n`).join('')}`, {
      mode,
    });
    return `mount --bind ${own} ${path}`;
  };
  const ids = users.map((user, at) => ({ ...user, id: FIRST_USER + at }));
  const mounts =
    users.length === 0
      ? []
      : [
          await file(
            '/etc/passwd',
            ids.map(({ name, id }) => `${name}:x:${id}:${id}::/tmp:/bin/sh`),
            0o644,
          ),
          await file(
            '/etc/group',
            ids.flatMap(({ name, id, group }) => [
              `${name}:x:${id}:`,
              ...(group === undefined ? [] : [`${name}-too:x:${group}:${name}`]),
            ]),
            0o644,
          ),
          await file(
            '/etc/shadow',
            ids.map(({ name }) => `${name}:*:19000:0:99999:7:::`),
            0o600,
          ),
          await file(
            '/etc/sudoers',
            ids.flatMap(({ name, sudo }) =>
              sudo === undefined ? [] : [`${name} ALL=(root) NOPASSWD: ${sudo}`],
            ),
            0o440,
          ),
        ];
  const script = [
    '#!/bin/sh',
    'set -e',
    ...mounts,
    `echo $$ >> ${at('sshd.pids')}`,
    `exec ${SSHD} -i -f ${at('sshd_config')} -E ${at('sshd.log')}`,
  ];
  await writeFile(at('sshd.sh'), `${script.join('\n')}\n`, { mode: 0o755 });
  const command = [...(users.length > 0 ? ['unshare', '--mount'] : []), at('sshd.sh')];
  return (place?.argv(command) ?? command).join(' ');
}
