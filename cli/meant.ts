/** What was most likely meant on the command line, for people who know other programs, or who mistyped. */
import { shellWords } from './shell-word.ts';

const PLAIN_HOST = /^[\w.-]+(:[0-9]{4,5})?$/;
const ADDRESS = /^[0-9]+(\.[0-9]+){3}(:[0-9]+)?$/;
const PORT_MAX = 65_535;

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
  tag: '`imgmv send NAME --as NEW --to HOST` and `imgmv copy docker-daemon:NAME docker-daemon:NEW` rename',
  retag: '`imgmv send NAME --retag OLD=NEW --to HOST` renames on arrival',
  prune: '`imgmv clean` removes what interrupted runs kept',
};

/** The same of options. */
const FOREIGN_OPTIONS: Readonly<Record<string, string>> = {
  '--port': '`imgmv receive --listen :PORT` listens on another port, and `--to HOST:PORT` sends there',
  '--host': '`--to HOST` names the host where `imgmv receive` waits',
  '--dry-run': '`imgmv plan` shows what would be sent, and sends nothing',
  '--yes': 'nothing is asked without --confirm',
  '-y': 'nothing is asked without --confirm',
  '-v': '`imgmv -V` shows the version; behind a command, as in `imgmv send -v`, it prints each step (--verbose)',
  '--debug': '--verbose prints each step',
  '-m': '`--move FILE` takes a move file',
  '-f': '`--file FILE` takes a list of images, `--move FILE` a move file, `--compose FILE` a compose file',
  '-o': '`imgmv copy docker-daemon:NAME docker-archive:FILE` writes a file',
  '-i': '`imgmv copy docker-archive:FILE docker-daemon:` loads a file',
};

/** Of options that imgmv has, but not in that command, where more is to be said than which commands have them. */
const MISPLACED_OPTIONS: Readonly<Record<string, string>> = {
  'receive --to':
    '`imgmv receive` waits for a sender: `imgmv send NAME --to HOST` on the other host goes to this one',
  'receive --from':
    '`imgmv receive` waits for a sender; `imgmv copy docker-archive:FILE docker-daemon:` loads a file',
  'copy --to': '`imgmv copy` stays on this host; `imgmv send NAME --to HOST` goes to another',
  'copy --from': 'the places need no option: `imgmv copy docker-archive:FILE docker-daemon:` loads a file',
  'ls --to': '`imgmv ls` lists the images of this host; `imgmv plan --to HOST` shows what HOST lacks',
};

const COMMAND_FIRST = 'the command stands first, and its options behind it: `imgmv send NAME --to HOST`';

const RECEIVES_ANYTHING =
  '`imgmv receive` takes no image: the sender names them; --accept NAME accepts only that name';

const NO_CODE_ARGUMENT =
  'a code is never given as an argument, where others on this host could read it: `imgmv send` asks for it, or reads it by --code-file FILE';

/** As it was typed behind `imgmv`, and the long options, `--to`, each with the commands that have it. */
export interface Typed {
  readonly args: readonly string[];
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** An error of the command line as commander words it, with what was meant. A code that was typed is not repeated. */
export function commandLineError(commanders: string, typed: Typed): string {
  const text = commanders.replace(/\n\(Did you mean ([^\n]*)\?\)/, '\ndid you mean $1?');
  const [, command = ''] = /^error: unknown command '([^']*)'/.exec(text) ?? [];
  if (command !== '') return unknownCommand(command, text);
  if (/^error: unknown option '--code(=|')/.test(text))
    return `error: unknown option '--code'\n${NO_CODE_ARGUMENT}\n`;
  const [, option = ''] = /^error: unknown option '([^'=]*)/.exec(text) ?? [];
  const misplaced = option !== '' && hintOfPlace(option, typed);
  if (misplaced) return `error: unknown option '${option}'\n${misplaced}\n`;
  if (Object.hasOwn(FOREIGN_OPTIONS, option))
    return `error: unknown option '${option}'\n${FOREIGN_OPTIONS[option]}\n`;
  const long = option === '' ? undefined : oneDash(option, typed);
  if (long !== undefined) return `error: unknown option '${long.slice(1)}'\ndid you mean ${long}?\n`;
  if (!text.startsWith('error: too many arguments')) return text;
  const port = portBehindHost(typed.args);
  if (port !== undefined) return `${text}did you mean \`--to ${port}\`?\n`;
  const [first, host] = typed.args;
  if (first === 'doctor' && host !== undefined && PLAIN_HOST.test(host))
    return `${text}did you mean \`imgmv doctor --to ${host}\`?\n`;
  return text.startsWith("error: too many arguments for 'receive'") ? `${text}${RECEIVES_ANYTHING}\n` : text;
}

function unknownCommand(command: string, text: string): string {
  if (Object.hasOwn(FOREIGN_COMMANDS, command))
    return `error: unknown command '${command}'\n${FOREIGN_COMMANDS[command]}\n`;
  return text.includes('\ndid you mean ') ? text : `${text}\`imgmv help\` lists all commands\n`;
}

/** For an option that imgmv has, but not there. */
function hintOfPlace(option: string, { args: [first = ''], options }: Typed): string | undefined {
  const commands = options.get(option) ?? [];
  if (commands.length === 0) return options.has(option) ? `did you mean \`imgmv ${option}\`?` : undefined;
  if (first.split('=')[0] === option) return COMMAND_FIRST;
  const which = `${first} ${option}`;
  if (Object.hasOwn(MISPLACED_OPTIONS, which)) return MISPLACED_OPTIONS[which];
  if (first === 'plan' && commands.includes('send'))
    return `it is an option of \`imgmv send\`, where --confirm shows the plan and asks before anything is sent`;
  return `it is an option of ${commands.map((name) => `\`imgmv ${name}\``).join(', ')}`;
}

/** The option that was typed with one dash, of which commander takes the first letter for an option of its own. */
function oneDash(option: string, { args, options }: Typed): string | undefined {
  const typed = args.filter((arg) => /^-[a-z][a-z-]+$/.test(arg) && options.has(`-${arg}`));
  return typed.map((arg) => `-${arg}`).find((long) => long.endsWith(option.replace(/^-+/, '')));
}

/** `HOST:PORT` of `--to HOST PORT`. */
function portBehindHost(args: readonly string[]): string | undefined {
  const host = args[args.indexOf('--to') + 1];
  const port = args[args.indexOf('--to') + 2];
  const both = args.includes('--to') && host !== undefined && PLAIN_HOST.test(host) && isPort(port);
  return both && !host.includes(':') ? `${host}:${port}` : undefined;
}

function isPort(text = ''): boolean {
  return /^[0-9]{2,5}$/.test(text) && Number(text) <= PORT_MAX;
}

/** Scheme, user, host, what is behind a colon, and path: as ssh, scp and rsync write where to go. */
const SSH_PLACE = /^(ssh:\/\/)?(?:([^@/\s]*)@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::([^/\s]*))?(\/\S*)?$/;

/** `HOST` or `HOST:PORT` out of what ssh, scp or rsync would take; undefined where it is nothing like that. */
export function hostOfSshPlace(text: string): string | undefined {
  const [, scheme, user, host, behind = '', path] = SSH_PLACE.exec(text) ?? [];
  if (host === undefined) return undefined;
  const hasPort = scheme === undefined && path === undefined && /^[0-9]+$/.test(behind);
  if (scheme === undefined && user === undefined && path === undefined && (hasPort || behind === ''))
    return undefined;
  return hasPort ? `${host}:${behind}` : host;
}

/** Behind what is wrong with a host; empty where nobody knows what was meant. */
export function meantHost(text: string): string {
  const [, scheme, place] = /^(https?):\/\/([^/?#]+)/.exec(text) ?? [];
  if (place !== undefined)
    return ` Write the host only: ${place}; or ${scheme === 'https' ? 'wss' : 'ws'}://${place} for a proxy.`;
  const host = hostOfSshPlace(text);
  if (host === undefined) return '';
  const user = SSH_PLACE.exec(text)?.[2];
  return ` Did you mean ${host}, where \`imgmv receive\` waits, or ssh://${user === undefined ? '' : `${user}@`}${host}, the engine there?`;
}

/** Where no host is named: the last of the images may have been meant as one, or one of them as a move file. */
export function missingHostHint(command: 'send' | 'plan', images: readonly string[]): string {
  const general = 'name the one where `imgmv receive` waits: --to HOST, or to: in a move file';
  const file = fileAmong(images);
  if (file !== undefined) return `did you mean \`${shellWords(['imgmv', command, ...file])}\`? ${general}`;
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

/** An image that is not there may be a file, or the port of the host; undefined where nobody knows what was meant. */
export function missingImageHint(images: readonly string[], to: URL): string | undefined {
  const file = fileAmong(images);
  if (file !== undefined) return `did you mean \`${shellWords(file)}\`?`;
  const port = images.find(isPort);
  return port === undefined ? undefined : `did you mean \`--to ${to.hostname}:${port}\`?`;
}

const COMPOSE_FILE = /(^|\/)(docker-)?compose(\.[\w-]+)*\.ya?ml$/;

/** The option for the first that looks like a file which another option takes, and its value. */
function fileAmong(images: readonly string[]): readonly [option: string, file: string] | undefined {
  for (const image of images) {
    if (COMPOSE_FILE.test(image)) return ['--compose', image];
    if (/\.ya?ml$/.test(image)) return ['--move', image];
    if (/\.(tar|tgz)(\.\w+)?$/.test(image)) return ['--from', `docker-archive:${image}`];
    if (/\.txt$/.test(image)) return ['--file', image];
  }
  return undefined;
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
    if (!text.includes(':') && isPlace(`${text}:x`)) return `${text}:`;
    return isPlace(text) ? text : `${kindOf(text, isDest)}:${text}`;
  });
  return `did you mean \`${shellWords(['imgmv', 'copy', ...meant])}\`? \`imgmv copy --help\` lists all kinds of places`;
}
