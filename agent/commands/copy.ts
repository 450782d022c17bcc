/** The whole of `imgmv copy`: images from places of this host to one of them, with nobody else. */
import type { WriteStdout } from '../archive/output.ts';
import type { SinkEndpoint } from '../ends/endpoint.ts';
import { type OriginOptions, openOrigin } from '../ends/origin.ts';
import { sinkEnd } from '../ends/sink-end.ts';
import type { Settled } from '../move/ledger.ts';
import { move } from '../move/move.ts';
import { EVERY_NAME } from '../push/policy.ts';

export interface CopyImagesOptions extends OriginOptions {
  readonly destination: SinkEndpoint;
  readonly jobs: number;
  readonly retries: number;
  readonly noReplace: boolean;
  readonly overwrite: boolean;
  /** Push what was loaded into the engine to where its names say. */
  readonly push: boolean;
  readonly stdout: WriteStdout;
}

/** Throws what ended the run before there was a ledger; what became of each image is in the ledger. */
export async function copyImages(options: CopyImagesOptions): Promise<Settled> {
  const { destination, emit, jobs, push, retries, signal } = options;
  const pushPolicy = (asked: boolean) => (asked ? EVERY_NAME : undefined);
  await using end = sinkEnd(destination, { ...options, pushPolicy, pushes: push });
  // A file that cannot be made is known at once; no archive that is not good gets near an engine.
  await using files = destination.kind === 'docker-daemon' ? undefined : await end.open(push);
  await using origin = await openOrigin(options);
  await using engine = files ? undefined : await end.open(push);
  const { lacking, source } = origin;
  const how = { signal, emit, jobs, retries, lacking, wireBytes: () => 0, pushes: push };
  return await move(source, (files ?? engine) as NonNullable<typeof files>, how);
}
