/** The engine of another host, given as `ssh://[USER@]HOST[:PORT][/SOCKET]`, and the options for ssh. */
import { type Command, InvalidArgumentError } from 'commander';
import type { EngineOptions } from '../agent/docker/engine.ts';
import { ImgmvError } from '../proto/errors.ts';

export interface SshFlags {
  readonly identity?: string;
  readonly sshOption?: readonly string[];
}

export function isSsh(to: string): boolean {
  return to.startsWith('ssh://');
}

export function addSshOptions(command: Command): Command {
  return command
    .option('-i, --identity <file>', 'with ssh://: the key that ssh logs in with')
    .option(
      '--ssh-option <name=value>',
      'with ssh://: as ssh takes with -o; may be repeated',
      collectOptions,
    );
}

/** The engine there, in place of one that an option or the environment names. */
export function engineAt(to: string, engine: EngineOptions, flags: SshFlags): EngineOptions {
  const ssh = argumentsOf(flags);
  return { ...engine, context: undefined, dockerHost: to, givenBy: '--to', isPeer: true, ssh };
}

/** Throws usage. */
export function requireNoSsh({ identity, sshOption }: SshFlags): void {
  const given = identity === undefined ? sshOption && '--ssh-option' : '--identity';
  if (given)
    throw new ImgmvError('usage', `${given} works only with --to ssh://`, {
      hint: 'leave it out, or give --to ssh://[USER@]HOST',
    });
}

function argumentsOf({ identity, sshOption = [] }: SshFlags): readonly string[] {
  const key = identity === undefined ? [] : ['-i', identity];
  return [...key, ...sshOption.flatMap((option) => ['-o', option])];
}

function collectOptions(text: string, before: readonly string[] = []): readonly string[] {
  if (!/^[A-Za-z]+ *[= ][^\n]*\S/.test(text))
    throw new InvalidArgumentError('Expected NAME=VALUE, for example ProxyJump=host-a.');
  return [...before, text];
}
