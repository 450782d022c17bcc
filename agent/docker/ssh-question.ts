/** What is asked of a host that somebody has logged in to, and what it answers. */

/**
 * Where docker there finds its engine, and whether we may use it. Then it keeps the login for as long as our end of its
 * standard input is open. One line without `!`, for csh.
 */
const QUESTION = [
  'h=$2; [ "$h" ] || h=$DOCKER_HOST',
  '[ "$h" ] || h=$(docker context inspect --format "{{.Endpoints.docker.Host}}" </dev/null 2>/dev/null)',
  'd=; case $h in *://*) ;; *) d=1; h=unix:///var/run/docker.sock; esac',
  `s=\${h#unix://}`,
  // Where nothing names an engine: a rootless one, or podman.
  'u=$XDG_RUNTIME_DIR; [ "$u" ] || u=/run/user/$(id -u 2>/dev/null)',
  '[ -S "$s" ] && d=; for c in "$u/docker.sock" /run/podman/podman.sock "$u/podman/podman.sock"; do if [ "$d" ] && [ -w "$c" ]; then d=; s=$c; h=unix://$c; fi; done',
  'w=open; [ -w "$s" ] || w=denied; [ -S "$s" ] || w=missing',
  // Not `sudo true`: docker may be the only command that it allows.
  'case $w in denied) sudo -n docker --host "$h" version </dev/null >/dev/null 2>&1 && w=sudo; esac',
  'printf "\\n%s %s %s %s\\n" "$1" $w "$h" "$1"',
  'exec cat >/dev/null',
].join('; ');

export interface Answer {
  /** Of a socket only: whether we may use it, could if we were root, and can be, or it is not there. */
  readonly state: 'open' | 'denied' | 'sudo' | 'missing';
  /** As DOCKER_HOST has it. */
  readonly address: string;
}

/** The command that asks. `mark`: random, so that nothing else that the host says is taken for the answer. */
export function question(mark: string, socket: string | undefined): readonly string[] {
  const host = socket === undefined ? [] : [quoted(`unix://${socket}`)];
  return ['exec', 'sh', '-c', quoted(QUESTION), 'sh', mark, ...host];
}

/** Undefined as long as it is not among what the host has said. */
export function answerIn(said: string, mark: string): Answer | undefined {
  const [, state, address] = new RegExp(`${mark} (open|denied|sudo|missing) (.+) ${mark}`).exec(said) ?? [];
  return state === undefined || address === undefined
    ? undefined
    : { state: state as Answer['state'], address };
}

/** Bytes that are free where `path` is there, in the answer to `freeSpaceAt`. */
export function freeSpaceIn(said: string): number | undefined {
  // POSIX: the header, then one line of device, blocks, used, available, share, and where it is mounted.
  const kilobytes = /^\S.*?\s\d+\s+\d+\s+(\d+)\s+\d+%\s/m.exec(said)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

export function freeSpaceAt(path: string): readonly string[] {
  return ['exec', 'df', '-Pk', quoted(path)];
}

/** For the shell of the other host, which is given what ssh has for a command in one line. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
