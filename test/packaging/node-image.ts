/**
 * Stand-ins for the two public images that the Dockerfile starts from, since tests reach no registry: made of
 * this machine's own Debian packages and npm, and of a Node from npm's registry. They replace NODE_IMAGE and BASE_IMAGE,
 * and nothing else.
 */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import { requireRoot } from '../rig/root.ts';
import { type Support, supportOf } from '../rig/support.ts';
import type { OtherNode } from './other-node.ts';

const DEBIAN_BASE = 'packaging-debian:1';
/** Stands for node:24-bookworm-slim. */
export const NODE_IMAGE = 'packaging-node:1';
/** Stands for debian:bookworm-slim; holds the libraries that Node is linked to, and no more. */
export const BASE_IMAGE = 'packaging-base:1';

/** What the image of a Debian has at least, and what the Dockerfile installs: a no-op then, done in seconds. */
const PACKAGES = [
  ...[
    'apt',
    'base-files',
    'bash',
    'ca-certificates',
    'coreutils',
    'dash',
    'debian-archive-keyring',
    'findutils',
  ],
  ...['grep', 'gzip', 'mawk', 'passwd', 'perl-base', 'sed', 'tar', 'g++', 'make', 'python3'],
];

export async function nodeImageSupport(): Promise<Support> {
  return supportOf(async () => {
    requireRoot();
    await run([
      'sh',
      '-euc',
      'command -v dpkg-query apt-cache >/dev/null || { echo "not a Debian" >&2; exit 1; }',
    ]);
    await run(['dpkg-query', '--show', ...PACKAGES]);
    if (process.arch !== 'x64') throw new Error(`a Node for x64 is pinned, not for ${process.arch}`);
  });
}

/** Puts both images on the engine. The directory is scratch. */
export async function makeNodeImages(engine: Engine, node: OtherNode, directory: string): Promise<void> {
  const archive = join(directory, 'debian.tar');
  await run(['sh', '-euc', DEBIAN, 'debian', archive, ...PACKAGES]);
  await engine.docker(['import', archive, DEBIAN_BASE]);

  const context = join(directory, 'node');
  await mkdir(context);
  const npm = (await run(['readlink', '-f', await which('npm')])).trim();
  const binary = join(node.prefix, 'bin/node');
  await cp(binary, join(context, 'node'));
  await cp(dirname(dirname(npm)), join(context, 'npm'), { recursive: true });
  await cp(join(node.prefix, 'include/node'), join(context, 'include'), { recursive: true });
  const { settings, certificates } = await npmSettings();
  await writeFile(join(context, 'ca.pem'), certificates);
  await writeFile(join(context, 'Dockerfile'), dockerfile(settings));
  await engine.docker(['build', '--quiet', '--network', 'none', '--tag', NODE_IMAGE, context]);

  const libraries = join(directory, 'base.tar');
  await run(['sh', '-euc', LIBRARIES, 'libraries', libraries, binary]);
  await engine.docker(['import', libraries, BASE_IMAGE]);
}

/**
 * $1 the archive to make, then packages: their files and those of all that they depend on, and where apt gets
 * packages on this machine. Of /etc/apt no more than that: the rest may hold credentials.
 */
const DEBIAN = `
  archive=$1
  shift
  names=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \\
    --no-replaces --no-enhances "$@" | grep '^[a-z0-9]' | sort -u)
  installed=$(dpkg-query --show --showformat '\${db:Status-Abbrev} \${binary:Package}\\n' $names 2>/dev/null |
    sed -n 's/^ii *//p' || true)
  {
    dpkg-query --listfiles $installed | grep '^/'
    find /usr/bin -lname '/etc/alternatives/*'
    find /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/trusted.gpg /etc/apt/trusted.gpg.d \
      /etc/apt/keyrings /usr/share/keyrings 2>/dev/null || true
    find /etc/alternatives /etc/ld.so.conf /etc/ld.so.conf.d /etc/ssl/certs /var/lib/dpkg
    printf '%s\\n' /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache
  } |
    # Packages name files by the old paths: /bin/sh is usr/bin/sh.
    sed -e 's,^/\\(bin\\|sbin\\|lib\\|lib64\\)/,/usr/\\1/,' -e 's,^/,,' |
    grep -v -e '^\\.$' -e '^usr/share/\\(doc\\|man\\|locale\\|info\\)/' | sort -u >"$archive.list"
  # Some listed files are gone by rights: a Debian in a container leaves its documentation out.
  tar --create --file "$archive" --directory / --no-recursion --ignore-failed-read --files-from "$archive.list" \
    2>"$archive.log" || { tail -n 2 "$archive.log" >&2; test -s "$archive"; }
`;

/** $1 the archive to make, $2 a program. */
const LIBRARIES = `
  ldd "$2" | grep -o '/[^ ]*' >"$1.list"
  tar --create --file "$1" --absolute-names --dereference --files-from "$1.list"
`;

/** As the official image has it: everything under /usr/local. */
function dockerfile(settings: Readonly<Record<string, string>>): string {
  return `
FROM ${DEBIAN_BASE}
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY include /usr/local/include/node
COPY ca.pem /etc/npm-ca.pem
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
${Object.entries(settings)
  .map(([name, value]) => `ENV npm_config_${name}="${value}"`)
  .join('\n')}
`;
}

/** Where npm finds its packages on this machine, and whom it trusts there; no credentials. */
async function npmSettings(): Promise<{ settings: Record<string, string>; certificates: string }> {
  const settings: Record<string, string> = {};
  for (const name of ['registry', 'https-proxy', 'noproxy']) {
    const value = (await run(['npm', 'config', 'get', name])).trim();
    if (value !== '' && value !== 'null') settings[name.replace('-', '_')] = value;
  }
  const configured = (await run(['npm', 'config', 'get', 'cafile'])).trim();
  const file = [configured, process.env.NODE_EXTRA_CA_CERTS].find((path) => path && path !== 'null');
  if (file === undefined) return { settings, certificates: '' };
  return { settings: { ...settings, cafile: '/etc/npm-ca.pem' }, certificates: await readFile(file, 'utf8') };
}

async function which(command: string): Promise<string> {
  return (await run(['sh', '-c', 'command -v "$1"', 'sh', command])).trim();
}
