/** `ssh://[USER@]HOST[:PORT][/SOCKET]`, where an engine of another host is meant. */
import type { EngineOptions } from '../agent/docker/engine.ts';

export function isSsh(to: string): boolean {
  return to.startsWith('ssh://');
}

/** The engine there, in place of one that an option or the environment names. */
export function engineAt(to: string, engine: EngineOptions): EngineOptions {
  return { ...engine, context: undefined, dockerHost: to, givenBy: '--to' };
}
