import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';

/** Of those that Debian's archive still has. */
const OLD_SUITE = 'bullseye';
const PACKAGES = ['docker.io', 'containerd', 'runc', 'iptables', 'ca-certificates'];

/** Where what is costly to make is kept between runs; `IMGMV_RIG_CACHE` moves it. */
export function cacheDirectory(): string {
  return process.env.IMGMV_RIG_CACHE ?? '/var/cache/imgmv-rig';
}

/**
 * The root of a Debian that holds a newer Docker than this host's. Made once, which takes about two minutes
 * and needs Debian's archive; other processes that ask meanwhile wait for it. It is never written to after.
 */
export function newerDebian(): Promise<string> {
  return debian('sid', PACKAGES);
}

/** The root of the oldest Debian that imgmv's single executable runs on, and nothing besides. Made as the other. */
export function oldDebian(): Promise<string> {
  return debian(OLD_SUITE, []);
}

async function debian(suite: string, packages: readonly string[]): Promise<string> {
  const root = join(cacheDirectory(), suite);
  if (await exists(root)) return root;
  await mkdir(cacheDirectory(), { recursive: true });
  // flock is let go of by the kernel, so a run that was killed here blocks nobody.
  await run([
    'flock',
    `${root}.lock`,
    'sh',
    '-euc',
    DEBOOTSTRAP,
    'debootstrap',
    root,
    suite,
    packages.join(','),
  ]);
  return root;
}

/** A half-made root is never seen under the final name, nor what debootstrap mounts in it by the host. */
const DEBOOTSTRAP = `
  test -e "$1" && exit
  command -v debootstrap >/dev/null || { echo 'debootstrap is not installed' >&2; exit 1; }
  rm -rf "$1.new"
  unshare --mount debootstrap --variant=minbase \${3:+--include="$3"} "$2" "$1.new" >"$1.log" 2>&1 || {
    tail -n 2 "$1.log" >&2
    exit 1
  }
  rm -rf "$1.new"/var/cache/apt/archives/*.deb
  mv "$1.new" "$1"
`;

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
