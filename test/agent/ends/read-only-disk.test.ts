/** What a receiver finds out of a disk that is read only, before it listens. */
import { expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { parseEndpoint, type SinkEndpoint } from '../../../agent/ends/endpoint.ts';
import { quietEnd } from '../../quiet-end.ts';
import { run } from '../../rig/command.ts';
import { requireRoot } from '../../rig/root.ts';
import { scratchDirectory } from '../../rig/scratch.ts';
import { describeOn } from '../../rig/suite.ts';
import { supportOf } from '../../rig/support.ts';

const into = (place: string) => parseEndpoint(place) as ArchiveEndpoint;
const PLACES: readonly (readonly [string, (folder: string) => SinkEndpoint])[] = [
  ['docker-archive:x.tar', (folder) => into(`docker-archive:${folder}/x.tar`)],
  ['oci:x', (folder) => into(`oci:${folder}/x`)],
  ['oci:.', (folder) => into(`oci:${folder}`)],
  ['dir:x', (folder) => into(`dir:${folder}/x`)],
  ['each:.', (folder) => ({ kind: 'each', path: folder, format: 'tar' })],
];

describeOn('a disk that is read only', [await supportOf(async () => requireRoot())], () => {
  it.each(PLACES)('is refused: %s', async (_place, destination) => {
    await using scratch = await scratchDirectory();
    await run(['mount', '-t', 'tmpfs', '-o', 'size=1m,ro', 'tmpfs', scratch.path]);
    try {
      await expect(quietEnd(destination(scratch.path)).check()).rejects.toMatchObject({ code: 'usage' });
    } finally {
      await run(['umount', scratch.path]);
    }
  });
});
