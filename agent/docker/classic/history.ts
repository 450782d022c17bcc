/** How large the layers of a classic store are, by what each step of an image's history added. */
import type { Digest, LayerBlob } from '../../model/image.ts';

/** sha256 of a tar of nothing: a step that changed no file may have it for a layer. */
const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/**
 * A classic engine does not say how large a layer is, but what each step of the history added. Where steps and
 * layers do not match one to one, each layer counts for its share of the image.
 */
export function layersOfHistory(
  diffIds: readonly Digest[],
  imageBytes: number,
  steps: readonly number[],
): readonly LayerBlob[] {
  const sizes = steps.filter((bytes) => bytes > 0);
  const filled = diffIds.filter((diffId) => diffId !== EMPTY_LAYER);
  const share = Math.round(imageBytes / Math.max(1, filled.length));
  const layers = new Map<Digest, LayerBlob>();
  for (const [at, digest] of filled.entries())
    layers.set(digest, { digest, size: sizes.length === filled.length ? (sizes[at] as number) : share });
  if (filled.length < diffIds.length) layers.set(EMPTY_LAYER, { digest: EMPTY_LAYER, size: 1_024 });
  return [...layers.values()];
}
