/** The whole of `imgmv copy`: images from one place of this host to another, with nobody else. */
import type { WriteStdout } from '../archive/output.ts';
import { EngineSink } from '../docker/engine-sink.ts';
import { type Destination, destinationText, openDestination } from '../ends/destination.ts';
import { connectEngine } from '../ends/host.ts';
import { type OriginOptions, openOrigin } from '../ends/origin.ts';
import { warnBy } from '../model/events.ts';
import type { Sink } from '../model/sink.ts';
import type { Settled } from '../move/ledger.ts';
import { move } from '../move/move.ts';
import { EVERY_NAME } from '../push/policy.ts';
import { pushBy } from '../push/push.ts';
import { PushingSink } from '../push/pushing-sink.ts';

export interface CopyImagesOptions extends OriginOptions {
  /** Undefined: the engine. */
  readonly destination: Destination | undefined;
  readonly jobs: number;
  /** How often what failed is tried again. */
  readonly retries: number;
  readonly noReplace: boolean;
  readonly overwrite: boolean;
  /** Push what was loaded into the engine to where its names say. */
  readonly push?: boolean;
  readonly stdout: WriteStdout;
}

/** Throws what ended the run before there was a ledger; what became of each image is in the ledger. */
export async function copyImages(options: CopyImagesOptions): Promise<Settled> {
  const { destination, emit, jobs, retries, signal } = options;
  // A file that cannot be made is known at once; an archive takes its time to be read.
  await using files = destination && (await openDestination(destination, options));
  if (destination) emit({ event: 'writing', archive: destinationText(destination) });
  const origin = await openOrigin(options);
  const { lacking } = origin;
  const how = { signal, emit, jobs, retries, lacking, wireBytes: () => 0, pushes: options.push === true };
  await using source = origin.source;
  if (files) return await move(source, files, how);
  await using sink = await openEngine(options);
  return await move(source, sink, how);
}

/** Only now: no archive that is not good gets near it. */
async function openEngine(options: CopyImagesOptions): Promise<Sink> {
  const { emit, engine, ignoreSpace, noReplace, push } = options;
  const connected = await connectEngine(engine, emit);
  const sink = await EngineSink.open(connected, { noReplace, ignoreSpace });
  if (!push) return sink;
  const pushName = pushBy(connected, engine.env, { warn: warnBy(emit) });
  return new PushingSink(sink, { push: pushName, policy: EVERY_NAME, emit });
}
