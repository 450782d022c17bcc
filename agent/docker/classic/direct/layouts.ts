/** Of each engine where it keeps layers. */
import type { EngineInfo } from '../../engine-info.ts';
import type { Layout } from './layout.ts';
import { mobyLayout } from './moby-layout.ts';
import { podmanLayout } from './podman-layout.ts';

/** Undefined for a driver that keeps layers in another way. */
export function layoutOf(kind: EngineInfo['kind'], driver: string): Layout | undefined {
  return kind === 'podman' ? podmanLayout(driver) : mobyLayout(driver);
}
