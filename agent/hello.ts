/** What a host says of itself: to the other one, and to whoever watches. */
import { readFileSync } from 'node:fs';
import type { Hello } from '../proto/messages.ts';
import type { Engine } from './engine/engine.ts';
import type { Event } from './events.ts';

/** package.json is one folder up in the sources and two in dist/. */
function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string })
        .version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new Error('package.json is missing beside imgmv: the installation is incomplete');
}

export const VERSION = readVersion();

export function helloOf(
  { info }: Engine,
  hostName: string,
  purpose?: Hello['purpose'],
): Omit<Hello, 'type' | 'role'> {
  const { kind, version, store, platform } = info;
  return {
    software: `imgmv/${VERSION}`,
    name: hostName.slice(0, 100) || 'unnamed',
    engine: { kind, version, store, os: platform.os, architecture: platform.architecture },
    capabilities: [],
    ...(purpose && { purpose }),
  };
}

export function engineEvent({ endpoint, info }: Engine): Event {
  const { kind, version, store } = info;
  return { event: 'engine', address: endpoint.address, foundBy: endpoint.foundBy, kind, version, store };
}
