import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './chroot.ts';
import { run } from './command.ts';

/** Where the package has it. */
const PROGRAM = 'usr/libexec/docker/cli-plugins/docker-compose';

/**
 * A docker compose of Debian's newest, unpacked beside the rig's other costly things and not installed: it is one
 * program that needs no more than a C library to say what is in a file. Fetched once, in some seconds; other
 * processes that ask meanwhile wait for it.
 */
export async function dockerCompose(): Promise<string> {
  const root = join(cacheDirectory(), 'compose');
  const program = join(root, PROGRAM);
  const there = await access(program).then(
    () => true,
    () => false,
  );
  if (there) return program;
  await mkdir(cacheDirectory(), { recursive: true });
  await run(['flock', `${root}.lock`, 'sh', '-euc', FETCH, 'fetch', root, PROGRAM]).catch(
    (cause: unknown) => {
      throw new Error('docker compose cannot be fetched from Debian', { cause });
    },
  );
  return program;
}

/**
 * From where this machine has its packages, by apt with lists of its own: what it installs stays as it is. A half-made
 * root is never seen under the final name.
 */
const FETCH = `
  test -e "$1/$2" && exit
  command -v apt-get >/dev/null || { echo 'no apt to get docker compose with' >&2; exit 1; }
  rm -rf "$1.new" "$1.apt"
  trap 'rm -rf "$1.apt"' EXIT
  mkdir -p "$1.apt/lists/partial" "$1.apt/archives/partial"
  cd "$1.apt"
  archive=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Component: main' | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive sid main" >sources
  : >status
  apt() {
    timeout 120 apt-get -qq -o Dir::Etc::sourcelist="$PWD/sources" -o Dir::Etc::sourceparts=/dev/null \\
      -o Dir::State::lists="$PWD/lists" -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD" \\
      -o APT::Sandbox::User= "$@" >&2
  }
  apt update
  apt download docker-compose
  dpkg -x docker-compose_*.deb "$1.new"
  mv "$1.new" "$1"
`;
