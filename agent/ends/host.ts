/** What a host says of itself: to the other one, and to whoever watches. */
import { CONFIRMS, type Hello, KEEPS_IDS, PLACES, PUSH } from '../../proto/messages.ts';
import { shippedText } from '../../proto/shipped.ts';
import { Engine, type EngineOptions } from '../docker/engine.ts';
import type { EngineInfo } from '../docker/engine-info.ts';
import { type Emit, type EventOf, warnBy } from '../model/events.ts';
import { HOST_PLATFORM } from '../model/image.ts';
import type { Session } from '../peer/session.ts';

export const VERSION = (JSON.parse(shippedText('package.json')) as { version: string }).version;

export interface Host {
  readonly info: Pick<EngineInfo, 'version' | 'store' | 'platform'> & { readonly kind: string };
  /** Images keep their ids, whatever store they come from. */
  readonly keepsIds?: true;
  /** Images are there all together, at the end, or not at all. */
  readonly places?: boolean;
  /** What comes here is pushed on, or may be if the sender wants that. */
  readonly pushes?: boolean;
  /** Somebody here is asked before anything moves. */
  readonly confirms?: boolean;
}

/** Files take images of any platform; the one named is this host's. */
export function archiveHost(kind: string, places = false): Host {
  return {
    info: { kind, version: '1', store: 'containerd', platform: HOST_PLATFORM },
    keepsIds: true,
    places,
  };
}

export function helloOf(
  { info, keepsIds, places, pushes, confirms }: Host,
  hostName: string,
  sending?: Pick<Hello, 'purpose' | 'asks' | 'push'>,
): Omit<Hello, 'type' | 'role'> {
  const { kind, version, store, platform } = info;
  return {
    software: `imgmv/${VERSION}`,
    name: hostName.slice(0, 100) || 'unnamed',
    engine: { kind, version, store, os: platform.os, architecture: platform.architecture },
    // A sender can deal with a receiver that places or pushes; a receiver says whether it does.
    capabilities: [
      ...(keepsIds ? [KEEPS_IDS] : []),
      ...(places || sending ? [PLACES] : []),
      ...(pushes || sending ? [PUSH] : []),
      ...(confirms ? [CONFIRMS] : []),
    ],
    ...sending,
  };
}

/** The other host, as it says of itself, at the address where it is. */
export function pairedEvent({ peer, rs, role }: Session, address: string): EventOf<'paired'> {
  const { kind, version, store } = peer.engine;
  const engine = { kind, version, store };
  return { event: 'paired', peer: { name: peer.name, address, key: rs.toString('hex'), engine }, role };
}

/** Connects to an engine and tells which one it is. Throws as `Engine.connect` does. */
export async function connectEngine(options: EngineOptions, emit: Emit): Promise<Engine> {
  const engine = await Engine.connect({ ...options, warn: warnBy(emit) });
  const { address, foundBy } = engine.endpoint;
  const { kind, version, store } = engine.info;
  emit({ event: 'engine', address, foundBy, kind, version, store });
  return engine;
}
