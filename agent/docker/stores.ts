/** Which kind of store an engine has. */
import { ClassicStore } from './classic/classic-store.ts';
import { ContainerdStore } from './containerd/containerd-store.ts';
import type { Engine } from './engine.ts';
import type { ImageStore } from './image-store.ts';
import { PodmanStore } from './podman/podman-store.ts';

export function imageStoreOf(engine: Engine): ImageStore {
  if (engine.info.store === 'containerd') return new ContainerdStore(engine);
  return engine.info.kind === 'podman' ? new PodmanStore(engine) : new ClassicStore(engine);
}
