/**
 * What is ours in an engine while an image is incomplete: images under a private name. It is known by that
 * name, which also tells of which session it is and since when; those that keep committed layers carry labels
 * besides. Nothing is ever removed but by such a name: by id, docker would remove the user's names as well.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { toImgmvError } from '../../proto/errors.ts';
import type { Digest } from '../model/image.ts';
import type { Engine, ListedByEngine } from './engine.ts';

const REPOSITORY = 'imgmv-incoming';
/** Session, place, since when, process and its start, number. */
const NAME =
  /^imgmv-incoming:([0-9a-f]{12})-([0-9a-f]{8})-([0-9]{10})-([0-9]{1,7})\.([0-9]{1,20})-[0-9]{1,6}$/;
const LABEL = 'io.imgmv.incoming';
/** Longer than the longest session that is not asked for. */
const KEPT_MAX_MS = 24 * 60 * 60_000;

export interface Helper {
  readonly name: string;
  readonly id: Digest;
  /** Id at its source of the image whose layers it keeps; undefined for an image that was being loaded whole. */
  readonly image: Digest | undefined;
  /** What the engine says that it takes, with the layers below that were there before. */
  readonly bytes: number;
  readonly since: Date;
  /** Whether its session may go on, since its process runs; undefined where that cannot be seen from here. */
  readonly live: boolean | undefined;
}

/** The private names of one session, which lives until this is disposed of. */
export class Helpers implements Disposable {
  readonly #session: string;
  #count = 0;

  /** `session`: 12 hex digits, new for each session. */
  constructor(session: string) {
    this.#session = session;
    sessionsHere.add(session);
  }

  owns({ name }: Helper): boolean {
    return name.startsWith(`${REPOSITORY}:${this.#session}-`);
  }

  nextName(): string {
    const { place, pid, started } = HERE ?? NOWHERE;
    return `${REPOSITORY}:${this.#session}-${place}-${seconds(Date.now())}-${pid}.${started}-${this.#count++}`;
  }

  [Symbol.dispose](): void {
    sessionsHere.delete(this.#session);
  }
}

/** The config of a helper that keeps layers of `image`. */
export function helperConfig(
  image: Digest,
  platform: { readonly os: string; readonly architecture: string },
  diffIds: readonly Digest[],
): Buffer {
  const created = new Date().toISOString();
  const step = { created, created_by: 'imgmv', comment: `kept until ${image} is complete` };
  return Buffer.from(
    JSON.stringify({
      ...platform,
      created,
      config: { Labels: { [LABEL]: image } },
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: diffIds.map(() => step),
    }),
  );
}

/** Whether a name is a private one, which no list shows. */
export function isPrivateName(name: string): boolean {
  return NAME.test(name);
}

/** What is ours in an engine, of whatever session, among all that it has `listed`. */
export function helpersAmong(listed: readonly ListedByEngine[]): readonly Helper[] {
  const found: Helper[] = [];
  for (const { Id, RepoTags, Labels, Size } of listed)
    for (const name of RepoTags ?? []) {
      const [, session = '', place = '', at, pid, started = ''] = NAME.exec(name) ?? [];
      if (at === undefined) continue;
      const image = Labels?.[LABEL] as Digest | undefined;
      const live = isLive(session, { place, pid: Number(pid), started });
      found.push({ name, id: Id, image, bytes: Size, since: new Date(Number(at) * 1000), live });
    }
  return found;
}

/** Whether its time is over, whoever made it and whether or not that one lives. */
export function isOver({ since }: Helper): boolean {
  return Date.now() - since.getTime() > KEPT_MAX_MS;
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
 * Whether a session lives is told by its process, which its private names name by id and start time: no other
 * process of one boot and PID namespace ever has both, so nobody can pose as it. A socket or a file of some name
 * could be held by any local user, or is not seen by others who share the docker socket. Both facts are open to all
 * users, unless /proc hides them. A process of another namespace, as that of a container, cannot be seen.
 */
interface Process {
  /** One boot of one PID namespace. */
  readonly place: string;
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly started: string;
}

const NOWHERE: Process = { place: '0'.repeat(8), pid: 0, started: '0' };
const HERE = processHere();
/** Sessions of this process that have not ended. */
const sessionsHere = new Set<string>();

function processHere(): Process | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const place = createHash('sha256')
      .update(`${boot}${readlinkSync('/proc/self/ns/pid')}`)
      .digest('hex');
    const stat = statOf(process.pid);
    return stat && { place: place.slice(0, 8), pid: process.pid, started: stat.started };
  } catch {
    // No Linux: whether a session lives is not known there.
    return undefined;
  }
}

function isLive(session: string, { place, pid, started }: Process): boolean | undefined {
  if (place !== HERE?.place) return undefined;
  if (pid === HERE.pid && started === HERE.started) return sessionsHere.has(session);
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM is a process of another user, and one that /proc may hide.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const stat = statOf(pid);
  return stat && stat.started === started && !ENDED_STATES.includes(stat.state);
}

/** It has ended, and its parent has not asked for its status. */
const ENDED_STATES = ['Z', 'X', 'x'];

/** proc(5): behind the name in brackets, which may hold anything, state is the first field and starttime the 20th. */
function statOf(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, started] = [fields[0], fields[19]];
    return state === undefined || started === undefined ? undefined : { state, started };
  } catch {
    return undefined;
  }
}

function seconds(ms: number): string {
  return String(Math.floor(ms / 1000)).padStart(10, '0');
}
