/** What people read of an image under way: how far it is, and what it waits for, as seen from this side. */
import type { EventOf, Keeper } from '../agent/model/events.ts';
import type { BarWords } from './bar-line.ts';
import { paceText, perSecond, size } from './sizes.ts';

type Progress = EventOf<'progress'>;

/** From here on nothing moving is worth a word. */
const STALL_SECONDS = 5;

interface ProgressShown {
  readonly event: Progress;
  readonly rate: number;
  readonly wireRate: number;
  readonly wire?: string;
}

/** Who reads and who writes, as far as the events have told. */
export class Ends {
  #reads = 'docker save';
  /** The source is another host. */
  #remote = false;
  #intoFiles = false;
  /** The target is another host. */
  #away = false;

  /** An archive is read on this host. */
  reading(): void {
    this.#reads = 'reading the archive';
  }

  /** Files are written on this host. */
  writing(): void {
    this.#intoFiles = true;
  }

  paired({ peer, role }: EventOf<'paired'>): void {
    const engine = isEngine(peer.engine);
    this.#remote = role === 'receiver';
    this.#away = role === 'sender';
    if (this.#away) this.#intoFiles = !engine;
    else this.#reads = engine ? `${peer.engine.kind} save` : 'reading the archive';
  }

  get intoFiles(): boolean {
    return this.#intoFiles;
  }

  /** Nothing goes to another host, nor comes from one. */
  get local(): boolean {
    return !this.#away && !this.#remote;
  }

  /** Rates are smoothed, in bytes a second. `wire`: what the wire has carried, or nothing. */
  words({ event, rate, wireRate, wire = '' }: ProgressShown): BarWords {
    const { phase, bytes, bytesTotal, bottleneck, limit, stalledSeconds } = event;
    const stalled = stalledSeconds >= STALL_SECONDS;
    if (phase === 'push') return pushWords(event, rate, stalled);
    if (phase === 'load') {
      const shortState = this.#intoFiles ? 'being written' : 'being loaded';
      return { state: this.#loading(bytes, bytesTotal), shortState };
    }
    if (bytes === 0 && (bottleneck === null || bottleneck === 'save'))
      return this.#preparing(stalled ? `${stalledSeconds} s` : undefined);
    const state = `${size(bytes)} of ${size(bytesTotal)}${wire}`;
    const heldUp = limit && this.#heldUp(limit);
    if (stalled) {
      const whom = bottleneck === null ? 'the other host' : this.#limit(bottleneck);
      return {
        state: `${state}, nothing for ${stalledSeconds} s: ${heldUp ?? `waiting for ${whom}`}`,
        shortState: `${share(bytes, bytesTotal)}, nothing for ${stalledSeconds} s`,
      };
    }
    return {
      state,
      shortState: share(bytes, bytesTotal),
      pace: paceText(bytesTotal - bytes, rate),
      ...(heldUp
        ? {
            limit: `${heldUp} (${perSecond(wireRate)} of ${perSecond(limit.rate)} on the wire)`,
            shortLimit: heldUp,
          }
        : bottleneck !== null && { limit: `held up by ${this.#limit(bottleneck)}` }),
    };
  }

  /** The limit is an option of the command on one of the two hosts. */
  #heldUp({ by }: NonNullable<Progress['limit']>): string {
    const here = (by === 'sender') === this.#away;
    return `held up by --limit${here ? '' : ` at the ${by === 'sender' ? 'source' : 'target'}`}`;
  }

  #preparing(time: string | undefined): BarWords {
    const what = this.#remote ? 'the source prepares it' : 'preparing';
    if (time === undefined) return { state: `${what} (${this.#reads})`, shortState: what };
    return { state: `${what} (${this.#reads}), for ${time}`, shortState: `${what}, ${time}` };
  }

  #loading(bytes: number, bytesTotal: number): string {
    const where = this.#away ? ' at the target' : '';
    const all = this.#away || this.#remote ? 'all sent' : 'all read';
    if (this.#intoFiles) return `${all}, being written${where}`;
    if (bytes === 0) return `${all}, docker load is at work${where}`;
    return `${all}, loaded${where}: ${size(bytes)} of ${size(bytesTotal)}`;
  }

  #limit(bottleneck: NonNullable<Progress['bottleneck']>): string {
    const load = this.#intoFiles ? 'writing' : 'docker load';
    return { save: this.#reads, compress: 'compression', network: 'the network', load }[bottleneck];
  }
}

/** Anything else is a kind of archive. */
export function isEngine({ kind }: Pick<Keeper, 'kind'>): boolean {
  return kind === 'docker' || kind === 'podman';
}

function pushWords(
  { bytes, bytesTotal, stalledSeconds }: Progress,
  rate: number,
  stalled: boolean,
): BarWords {
  // Before its first bytes it may wait for the pushes of others.
  if (bytesTotal === 0) return { state: `loaded, being pushed${stalled ? `, for ${stalledSeconds} s` : ''}` };
  const state = `loaded, pushing: ${size(bytes)} of ${size(bytesTotal)}`;
  if (stalled)
    return {
      state: `${state}, nothing for ${stalledSeconds} s: waiting for the registry`,
      shortState: `pushed ${share(bytes, bytesTotal)}, nothing for ${stalledSeconds} s`,
    };
  return {
    state,
    shortState: `pushed ${share(bytes, bytesTotal)}`,
    pace: paceText(bytesTotal - bytes, rate),
  };
}

export function share(bytes: number, bytesTotal: number): string {
  return `${Math.floor((Math.min(bytes, bytesTotal) / Math.max(1, bytesTotal)) * 100)}%`;
}
