/**
 * What is ours in an engine while an image is incomplete: images under a private name. It is known by that
 * name, which also tells of which session it is and since when; those that keep committed layers carry labels
 * besides. Nothing is ever removed but by such a name: by id, docker would remove the user's names as well.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { toImgmvError } from '../../proto/errors.ts';
import type { Digest } from '../image.ts';
import type { Engine, ListedByEngine } from './engine.ts';

const REPOSITORY = 'imgmv-incoming';
const NAME = /^imgmv-incoming:([0-9a-f]{12})-([0-9a-f]{8})-([0-9]{10})-[0-9]{1,6}$/;
const LABEL = 'io.imgmv.incoming';
/** Longer than the longest session that is not asked for. */
const KEPT_MAX_MS = 24 * 60 * 60_000;

export interface Helper {
  /** The private name. */
  readonly name: string;
  /** Of the image that has it. */
  readonly id: Digest;
  /** Id at its source of the image whose layers it keeps; undefined for an image that was being loaded whole. */
  readonly image: Digest | undefined;
  /** What the engine says that it takes, with the layers below that were there before. */
  readonly bytes: number;
  readonly since: Date;
  /** Whether its session goes on; undefined where that cannot be seen from here. */
  readonly live: boolean | undefined;
}

/** The private names of one session, and the sign that the session lives. */
export class Helpers implements AsyncDisposable {
  readonly #session: string;
  readonly #sign: Server | undefined;
  #count = 0;

  private constructor(session: string, sign: Server | undefined) {
    this.#session = session;
    this.#sign = sign;
  }

  /** `session`: 12 hex digits, new for each session. */
  static async begin(session: string): Promise<Helpers> {
    return new Helpers(session, await giveSign(session));
  }

  /** Whether this session has left it. */
  owns({ name }: Helper): boolean {
    return name.startsWith(`${REPOSITORY}:${this.#session}-`);
  }

  /** A name that no image has. */
  nextName(): string {
    return `${REPOSITORY}:${this.#session}-${PLACE ?? '0'.repeat(8)}-${seconds(Date.now())}-${this.#count++}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sign?.close();
  }
}

/** Labels of an image that keeps layers of `image`. */
export function helperLabels(image: Digest): Record<string, string> {
  return { [LABEL]: image };
}

/** Whether a name is a private one, which no list shows. */
export function isPrivateName(name: string): boolean {
  return NAME.test(name);
}

/** What is ours in an engine, of whatever session, among all that it has `listed`. */
export async function helpersAmong(listed: readonly ListedByEngine[]): Promise<readonly Helper[]> {
  const found: Helper[] = [];
  for (const { Id, RepoTags, Labels, Size } of listed)
    for (const name of RepoTags ?? []) {
      const [, session, place, at] = NAME.exec(name) ?? [];
      if (session === undefined || at === undefined) continue;
      const image = Labels?.[LABEL] as Digest | undefined;
      const live = place === PLACE ? await showsSign(session) : undefined;
      found.push({ name, id: Id, image, bytes: Size, since: new Date(Number(at) * 1000), live });
    }
  return found;
}

/** Whether its time is over, whoever left it. */
export function isOver({ since, live }: Helper): boolean {
  return live !== true && Date.now() - since.getTime() > KEPT_MAX_MS;
}

/** Removes a helper. False where the engine does not want to, since something uses it. */
export async function dropHelper(engine: Engine, { name }: Helper): Promise<boolean> {
  try {
    await engine.dropName(name);
    return true;
  } catch (error) {
    if (toImgmvError(error).code !== 'engine-refused') throw error;
    return false;
  }
}

/**
 * Names of sessions are seen through abstract sockets (unix(7)), which end with their process and are no
 * files. Those of another network namespace cannot be seen: a place is one boot of one of these.
 */
const PLACE = placeHere();

function placeHere(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const place = `${boot}${readlinkSync('/proc/self/ns/net')}`;
    return createHash('sha256').update(place).digest('hex').slice(0, 8);
  } catch {
    // No Linux: whether a session lives is not known there.
    return undefined;
  }
}

async function giveSign(session: string): Promise<Server | undefined> {
  if (PLACE === undefined) return undefined;
  const server = createServer((socket) => socket.destroy()).unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(signOf(session), resolve);
  });
  return server;
}

function showsSign(session: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(signOf(session));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function signOf(session: string): string {
  return `\0imgmv-${session}`;
}

function seconds(ms: number): string {
  return String(Math.floor(ms / 1000)).padStart(10, '0');
}
