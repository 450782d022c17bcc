import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../rig/command.ts';

const SSHD = '/usr/sbin/sshd';

/** The command line of ssh to a real sshd of this host's, without a port of its own; the remote command follows. */
export async function makeSsh(directory: string): Promise<string[]> {
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
  };
  await writeFile(at('sshd_config'), lines(daemon, ' '));
  await mkdir('/run/sshd', { recursive: true });
  const client = {
    ProxyCommand: `${SSHD} -i -f ${at('sshd_config')}`,
    IdentityFile: at('user-key'),
    UserKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'no',
    BatchMode: 'yes',
    LogLevel: 'ERROR',
  };
  const options = Object.entries(client).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  return ['ssh', '-F', 'none', ...options, 'root@localhost'];
}

function lines(settings: Readonly<Record<string, string>>, between: string): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}${between}${value}\n`)
    .join('');
}
