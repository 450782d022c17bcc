/** Room for images on the disk where an engine keeps its data, as far as this host can see that disk. */
import { type Room, roomAt } from '../model/room.ts';
import type { Engine } from './engine.ts';

export type { Room };

/** Of its data root. Undefined where the engine is on another host that ssh does not lead to, or its data root not to be seen from here (a container, a VM). */
export async function roomOf({ endpoint, info, transport }: Engine): Promise<Room | undefined> {
  if (transport?.freeBytesAt && info.dataRoot !== undefined) {
    const freeBytes = await transport.freeBytesAt(info.dataRoot);
    return freeBytes === undefined ? undefined : { path: info.dataRoot, freeBytes };
  }
  if (!endpoint.address.startsWith('unix://') || info.dataRoot === undefined) return undefined;
  try {
    return await roomAt(info.dataRoot);
  } catch {
    // Whatever hides the path from us, the engine itself will tell when its disk is full.
    return undefined;
  }
}

/**
 * Bytes that an image takes on the target's disk while it is loaded, at least: `docker load` writes down what
 * comes before it unpacks it (classic), or keeps the blobs beside what it makes of them (containerd).
 */
export function bytesWhileLoading(missingBytes: number): number {
  return 2 * missingBytes;
}

/** Why an image is refused: `what` is done to it. Every command that does so has the option. */
export function noRoom(what: 'saved' | 'loaded', needed: number, { path, freeBytes }: Room): string {
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  const host = what === 'saved' ? 'the source' : 'the target';
  return (
    `it needs ${megabytes(needed)} under ${path} on ${host} while it is ${what}, and ` +
    `${megabytes(Math.max(0, freeBytes))} are free; --ignore-space on ${host} tries anyway`
  );
}
