/** The whole of `imgmv clean`: removes from an engine what interrupted runs kept there. */
import type { EngineOptions } from '../docker/engine.ts';
import { dropHelper, type Helper, helpersAmong, isOver } from '../docker/helpers.ts';
import { connectEngine } from '../ends/host.ts';
import type { Emit, KeptImage } from '../model/events.ts';

export interface CleanOptions {
  readonly engine: EngineOptions;
  /** What a session may still use, too: it gets those layers again. */
  readonly force: boolean;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

export async function clean({ engine: endpoint, force, emit, signal }: CleanOptions): Promise<void> {
  using engine = await connectEngine(endpoint, emit);
  const removed: KeptImage[] = [];
  const kept: (KeptImage & { reason: string })[] = [];
  const helpers = helpersAmong(await engine.list());
  const removable = helpers.some((helper) => whyKept(helper, force) === undefined);
  const before = removable ? await engine.layerBytes() : 0;
  for (const helper of helpers) {
    signal.throwIfAborted();
    const reason = whyKept(helper, force);
    if (reason !== undefined) kept.push({ ...toldOf(helper), reason });
    else if (await dropHelper(engine, helper)) removed.push(toldOf(helper));
    else kept.push({ ...toldOf(helper), reason: 'docker does not remove it, because a container uses it' });
  }
  const after = removable && before !== undefined ? await engine.layerBytes() : before;
  const freedBytes = before === undefined || after === undefined ? null : Math.max(0, before - after);
  emit({ event: 'cleaned', removed, kept, freedBytes });
}

function whyKept(helper: Helper, force: boolean): string | undefined {
  if (force || isOver(helper) || helper.live === false) return undefined;
  return helper.live
    ? 'the imgmv that made it is still running: --force removes it anyway'
    : 'its session may still be running where it cannot be seen from here, such as in a container: --force removes it';
}

function toldOf({ name, image, bytes, since }: Helper): KeptImage {
  return { name, image: image ?? null, bytes, since: since.toISOString() };
}
