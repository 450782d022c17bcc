/** What to do about an error, where that takes the commands and options of this program: agent/ and proto/ know none. */
import type { Event, ToldError } from '../agent/model/events.ts';
import type { About, ErrorCode } from '../proto/errors.ts';
import type { ReportCommand } from './report/model.ts';
import { shellWords } from './shell-word.ts';

/** The same for every command, or of those that it is said to; `other` for those without a report. A plan counts as `send`. */
type Hint = string | Partial<Record<ReportCommand | 'other', string>>;

const OTHER_SERVICE = 'is something else on that port? `imgmv receive` shows the address and port to use';

/** By what an error is about, or else by its code. */
const HINTS: Readonly<Record<Exclude<About, 'told-by-peer'>, Hint> & Partial<Record<ErrorCode, Hint>>> = {
  'code-burnt':
    'run `imgmv receive` again for a new code, unless one follows by itself; if the tries were not yours, find out who can reach this port',
  'code-expired': 'run `imgmv receive` again; --ttl gives it a longer life',
  'port-in-use':
    'is another `imgmv receive` running? --listen ADDR:PORT takes another port, port 0 a free one',
  'session-too-long': '--max-session allows more',
  'connection-refused':
    'run `imgmv receive --once` on that host, and use the port it shows; if it runs, open that port in the firewall there',
  'receiver-gone': 'run `imgmv receive` on that host again for a new code',
  'host-not-found': 'check the name, or give an IP address',
  'not-imgmv': OTHER_SERVICE,
  'silent-port': OTHER_SERVICE,
  'other-web-server': 'is another web server on that port? `imgmv receive` shows the address and port to use',
  'version-mismatch': 'install the same version of imgmv on both hosts',
  'role-mismatch': 'one host runs `imgmv receive`, the other `imgmv send`',
  'altered-handshake':
    'something between them changes the connection, perhaps to make them use an older version: connect them directly',
  'channel-corrupt':
    'something between the hosts changes bytes; run both commands again, and look there if it stays so',
  'connection-broke': 'see what the other host shows, then run both commands again',
  'peer-lost': 'run both commands again: `imgmv receive` on the target, `imgmv send` on the source',
  'engine-images': {
    send: '`imgmv ls` lists what is there',
    receive: '`imgmv ls` lists what is there',
    copy: '`imgmv ls` lists what is there',
    other: '`imgmv ls` lists what is there; that of another host `imgmv ls --docker-host ssh://USER@HOST`',
  },
  'long-name': {
    send: 'name the image by its id, and --as NAME',
    copy: 'name the image by its id, and in DEST what it is to be called',
    other: 'name the image by its id; `imgmv send` gives it a shorter name by --as NAME',
  },
  'too-many': 'send them in several runs: --except, --since and patterns narrow the choice',
  'push-not-allowed': {
    send: "`imgmv receive --allow-push 'registry.example/team/*'` there allows it",
    receive:
      "`imgmv receive --allow-push 'registry.example/team/*'` allows it, with the credentials that docker has here",
  },
  'push-patterns': 'its --allow-push or --push says what it pushes',
  'no-registry-named': {
    send: 'a name such as registry.example/team/web:1.0 does; --as, --retag or --registry give it one',
    receive: 'a name such as registry.example/team/web:1.0 does; --retag or --registry give it one',
    copy: 'a name such as registry.example/team/web:1.0 does; --retag or --registry give it one',
  },
  'no-name': {
    receive: 'chosen by its id, it gets one with --as registry.example/team/web:1.0',
    copy: 'chosen by its id, it gets one with docker-daemon:registry.example/team/web:1.0 as DEST',
  },
  'on-peer': {},
};

/** What the other host has said, by its code. */
const TOLD_BY_PEER: Readonly<Partial<Record<ErrorCode, string>>> = {
  'wrong-code': 'check the code that `imgmv receive` shows there',
  'code-used': 'start `imgmv receive` there again for a new code, unless it shows one already',
  'code-expired': 'start `imgmv receive` there again for a new code',
  'code-burnt': 'look there for a new code, or start `imgmv receive` again',
  'try-later': 'wait, then try again',
  'handshake-failed': HINTS['altered-handshake'] as string,
  'peer-failed': 'see what it shows, then run both commands again',
  'peer-stopped': 'see what it shows, then run both commands again',
  'session-unknown': 'run both commands again',
  'role-mismatch': HINTS['role-mismatch'] as string,
  'channel-corrupt': 'run both commands again; if it stays so, look at what is between the hosts',
  'protocol-violation': 'install the same version of imgmv on both hosts',
};

/** The event as `command` shows it: each error in it with a hint, which is its own one if it has one. */
export function withHints(event: Event, command: ReportCommand | undefined): Event {
  const hinted = <E extends ToldError | null>(error: E): E =>
    error && { ...error, hint: error.hint ?? hintFor(error, command), about: undefined };
  switch (event.event) {
    case 'error':
      return hinted(event);
    case 'check': {
      const { code, about } = event;
      return { ...event, hint: event.hint ?? (code && hintFor({ code, about }, command)), about: undefined };
    }
    case 'retrying':
      return { ...event, error: hinted(event.error) };
    case 'image': {
      const pushed = event.pushed?.map((one) => ({ ...one, error: hinted(one.error) }));
      return { ...event, error: hinted(event.error), ...(pushed && { pushed }) };
    }
    default:
      return event;
  }
}

function hintFor(
  { code, about }: Pick<ToldError, 'code' | 'about'>,
  command: ReportCommand | undefined,
): string | null {
  if (about === 'told-by-peer') return TOLD_BY_PEER[code] ?? 'see what it shows';
  const hint = HINTS[about ?? code];
  return (typeof hint === 'object' ? hint[command ?? 'other'] : hint) ?? null;
}

const TO_FILE =
  '`imgmv copy docker-daemon:NAME docker-archive:FILE` writes a file; `imgmv send NAME --to HOST` needs none';
const FROM_FILE =
  '`imgmv copy docker-archive:FILE docker-daemon:` loads a file; `imgmv receive` loads what another host sends';

/** Commands that people know from elsewhere, and what does that here. */
const FOREIGN_COMMANDS: Readonly<Record<string, string>> = {
  load: FROM_FILE,
  import: FROM_FILE,
  save: TO_FILE,
  export: TO_FILE,
  pull: 'the host that has the image sends it: `imgmv receive` here, then `imgmv send NAME --to HOST` there',
  push: '`imgmv send NAME --to HOST` moves it to another host; `docker push` to a registry',
  images: '`imgmv ls` lists images',
  list: '`imgmv ls` lists images',
  move: '`imgmv send NAME --to HOST` moves images to another host',
  mv: '`imgmv send NAME --to HOST` moves images to another host',
  cp: '`imgmv copy SOURCE DEST` copies between engines and archives of this host',
  listen: '`imgmv receive` waits for a sender',
  serve: '`imgmv receive` waits for a sender',
  prune: '`imgmv clean` removes what interrupted runs kept',
};

/** The same of options. */
const FOREIGN_OPTIONS: Readonly<Record<string, string>> = {
  '--port': '`imgmv receive --listen :PORT` listens on another port, and `--to HOST:PORT` sends there',
  '--host': '`--to HOST` names the host where `imgmv receive` waits',
  '--dry-run': '`imgmv plan` shows what would be sent, and sends nothing',
  '--yes': 'nothing is asked without --confirm',
  '-y': 'nothing is asked without --confirm',
  '--debug': '--verbose prints each step',
};

const RECEIVES_ANYTHING =
  '`imgmv receive` takes no image: the sender names them; --accept NAME accepts only that name';

const NO_CODE_ARGUMENT =
  'a code is never given as an argument, where others on this host could read it: `imgmv send` asks for it, or reads it by --code-file FILE';

/** An error of the command line as commander words it, with what was meant. A code that was typed is not repeated. */
export function commandLineError(text: string): string {
  const [, command = ''] = /^error: unknown command '([^']*)'/.exec(text) ?? [];
  if (Object.hasOwn(FOREIGN_COMMANDS, command))
    return `error: unknown command '${command}'\n${FOREIGN_COMMANDS[command]}\n`;
  if (/^error: unknown option '--code(=|')/.test(text))
    return `error: unknown option '--code'\n${NO_CODE_ARGUMENT}\n`;
  const [, option = ''] = /^error: unknown option '([^'=]*)/.exec(text) ?? [];
  if (Object.hasOwn(FOREIGN_OPTIONS, option))
    return `error: unknown option '${option}'\n${FOREIGN_OPTIONS[option]}\n`;
  if (text.startsWith("error: too many arguments for 'receive'")) return `${text}${RECEIVES_ANYTHING}\n`;
  return text;
}

/** Scheme, user, host, what is behind a colon, and path: as ssh, scp and rsync write where to go. */
const SSH_PLACE = /^(ssh:\/\/)?(?:([^@/\s]*)@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::([^/\s]*))?(\/\S*)?$/;

/** `HOST` or `HOST:PORT` out of what ssh, scp or rsync would take; undefined where it is nothing like that. */
export function hostOfSshPlace(text: string): string | undefined {
  const [, scheme, user, host, behind = '', path] = SSH_PLACE.exec(text) ?? [];
  if (host === undefined) return undefined;
  const isPort = scheme === undefined && path === undefined && /^[0-9]+$/.test(behind);
  if (scheme === undefined && user === undefined && path === undefined && (isPort || behind === ''))
    return undefined;
  return isPort ? `${host}:${behind}` : host;
}

/** Behind what is wrong with a host; empty where nobody knows what was meant. */
export function meantHost(text: string): string {
  const [, scheme, place] = /^(https?):\/\/([^/?#]+)/.exec(text) ?? [];
  if (place !== undefined)
    return ` Write the host only: ${place}; or ${scheme === 'https' ? 'wss' : 'ws'}://${place} for a proxy.`;
  const host = hostOfSshPlace(text);
  return host === undefined ? '' : ` imgmv needs no ssh, user or path. Did you mean ${host}?`;
}

const PLAIN_HOST = /^[\w.-]+(:[0-9]{4,5})?$/;
const ADDRESS = /^[0-9]+(\.[0-9]+){3}(:[0-9]+)?$/;

/** Where no host is named: the last of the images may have been meant as one. */
export function missingHostHint(command: 'send' | 'plan', images: readonly string[]): string {
  const general = 'name the one where `imgmv receive` waits: --to HOST, or to: in a move file';
  const last = images.at(-1) ?? '';
  const host = hostAmong(last, images.length > 1);
  if (host === undefined) return general;
  const words = ['imgmv', command, ...images.slice(0, -1), '--to', host];
  return `${general}; did you mean \`${shellWords(words)}\`?`;
}

function hostAmong(text: string, behindOthers: boolean): string | undefined {
  if (ADDRESS.test(text) || (behindOthers && PLAIN_HOST.test(text))) return text;
  return /^ssh:\/\/|^[^/@:]+@(?!sha256:)/.test(text) ? hostOfSshPlace(text) : undefined;
}

/** Places without their kind, as docker's users write them, with the kinds that they most likely have. */
export function placesHint(places: readonly string[], isPlace: (text: string) => boolean): string {
  const kindOf = (text: string, isDest: boolean) => {
    const isFile = text === '-' || /^[./~]|\.(tar|tgz)(\.|$)/.test(text);
    // A new name for an image has a tag; anything else to write to is a file.
    return isFile || (isDest && !text.includes(':')) ? 'docker-archive' : 'docker-daemon';
  };
  const meant = places.map((text, at) => {
    const isDest = at > 0 && at === places.length - 1;
    return isPlace(text) ? text : `${kindOf(text, isDest)}:${text}`;
  });
  return `did you mean \`${shellWords(['imgmv', 'copy', ...meant])}\`? \`imgmv copy --help\` lists all kinds of places`;
}
