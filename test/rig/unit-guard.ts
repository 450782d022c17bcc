/**
 * Loaded before each file of the project `unit`: a test in there that runs an engine, a registry, the built program, or
 * what only root can use, fails. projects.ts sorts by imports, and does not see what a test starts by itself.
 */
import { ChildProcess } from 'node:child_process';
import { basename, join } from 'node:path';

const REFUSED = new Set([
  ...['docker', 'dockerd', 'containerd', 'docker-registry', 'podman'],
  ...['chroot', 'debootstrap', 'ip', 'iptables', 'mount', 'nsenter', 'tc', 'umount', 'unshare'],
]);
const BUILT = join('dist', 'imgmv.js');

interface Spawning {
  spawn(options: { readonly file: string; readonly args: readonly string[] }): number;
}

/** What all of `spawn`, `exec`, `execFile` and `fork` come to, in the program as well. */
const { prototype } = ChildProcess as unknown as { readonly prototype: Spawning };
const { spawn } = prototype;
/** Loaded once more for each file of a process; one guard is enough. */
if (spawn.name !== 'guarded') prototype.spawn = guarded;

function guarded(this: Spawning, options: Parameters<Spawning['spawn']>[0]): number {
  // A command that wraps another one has it among its arguments.
  const words = [options.file, ...options.args];
  const refused = words.find((word) => REFUSED.has(basename(word)) || word.endsWith(BUILT));
  if (refused !== undefined)
    throw new Error(
      `a unit test runs ${refused}: it needs root, an engine or a build. ` +
        'Start it through test/rig (startEngine, runImgmv, requireRoot …): then its file belongs to `engines`',
    );
  return spawn.call(this, options);
}
