/** What to do about an error, where that takes the commands and options of this program: agent/ and proto/ know none. */
import type { Event, ToldError } from '../agent/model/events.ts';
import type { About, ErrorCode } from '../proto/errors.ts';
import type { ReportCommand } from './report/model.ts';

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
    send: "`imgmv receive --allow-push 'registry.example/team/*'` there allows it; the code is used, and that shows a new one",
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
