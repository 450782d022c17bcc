/** The engine of this host: whether it is found and answers, how its images are read, and what room it has. */
import { LayerStore } from '../docker/classic/direct/layer-store.ts';
import { Engine, type EngineOptions } from '../docker/engine.ts';
import { WHY_SAVED } from '../docker/podman/podman-store.ts';
import { roomOf } from '../docker/room.ts';
import { type Check, fault, faultOf, ok, warning } from './check.ts';

/** Below it most images do not fit, and below the other one none do. */
const ROOM_SCARCE_BYTES = 2 * 2 ** 30;
const ROOM_NONE_BYTES = 64 * 2 ** 20;

/**
 * A line for each question, also for those that are not asked where there is no engine to answer. Who only sends
 * (`receives` is false) needs no room for images, but what an engine takes that saves them as a whole.
 */
export async function checkEngine(options: EngineOptions, receives: boolean): Promise<readonly Check[]> {
  const warnings: Check[] = [];
  const warn = (message: string) => void warnings.push(warning('engine', message));
  let engine: Engine;
  try {
    engine = await Engine.connect({ ...options, warn });
  } catch (error) {
    options.signal?.throwIfAborted();
    const unasked = (['store', 'room'] as const).map((name) =>
      warning(name, 'not looked at: no engine answers that could tell'),
    );
    return [...warnings, faultOf('engine', error), ...unasked];
  }
  using _ = engine;
  const { endpoint, info } = engine;
  const found = ok('engine', `${info.kind} ${info.version} at ${endpoint.address} (${endpoint.foundBy})`);
  const { check, saves } = await checkStore(engine);
  return [...warnings, found, check, await checkRoom(engine, receives || saves)];
}

/** An engine of another host, by ssh. */
export async function checkEngineThere(options: EngineOptions): Promise<Check> {
  try {
    using engine = await Engine.connect(options);
    const { endpoint, info } = engine;
    return ok('host', `${info.kind} ${info.version} (${info.store} store) at ${endpoint.address}`);
  } catch (error) {
    options.signal?.throwIfAborted();
    return faultOf('host', error);
  }
}

/** `saves`: the engine has to write images to its disk before they can be read. */
async function checkStore(engine: Engine): Promise<{ readonly check: Check; readonly saves: boolean }> {
  try {
    await engine.list();
    const { kind, store } = engine.info;
    if (store === 'classic') {
      const why = kind === 'podman' ? WHY_SAVED : await whyNotRead(engine);
      const how = why === undefined ? 'whose layers are read where they lie' : `read by ${kind} save: ${why}`;
      return { check: ok('store', `${store} store, ${how}`), saves: why !== undefined };
    }
    const content = await engine.content();
    if (content) return { check: ok('store', `${store} store, read blob by blob`), saves: false };
    const check = warning(
      'store',
      `${store} store, which cannot be read blob by blob from here: ${kind} saves each image as a whole`,
      'this works, but takes longer; a newer docker may allow it, or a socket without a proxy in front of it',
    );
    return { check, saves: true };
  } catch (error) {
    return { check: faultOf('store', error), saves: true };
  }
}

async function whyNotRead(engine: Engine): Promise<string | undefined> {
  const layers = LayerStore.of(engine);
  if (typeof layers === 'string') return layers;
  await using _ = layers;
  const why = await layers.whyNot();
  return why;
}

async function checkRoom(engine: Engine, needed: boolean): Promise<Check> {
  const room = await roomOf(engine);
  if (!room)
    return warning(
      'room',
      "imgmv cannot see the engine's disk from here, so it cannot tell beforehand whether images fit",
      "on the engine's host, run `df` on the directory that `docker info` calls Docker Root Dir",
    );
  const free = Math.max(0, room.freeBytes);
  const size = free < 1e9 ? `${Math.floor(free / 1e6)} MB` : `${(free / 1e9).toFixed(1)} GB`;
  const message = `${size} free under ${room.path}`;
  if (!needed) return ok('room', message);
  const hint =
    'an image takes up twice its size while it is loaded: make room with `docker system prune`, or use a larger disk';
  if (room.freeBytes < ROOM_NONE_BYTES) return fault('room', 'refused', `only ${message}`, hint);
  return room.freeBytes < ROOM_SCARCE_BYTES ? warning('room', `only ${message}`, hint) : ok('room', message);
}
