/** The figures of a report that are computed: of one image, from its line in the plan and its `image` event. */
import type { EventOf, PlanImage } from '../../agent/model/events.ts';
import {
  arrived,
  IMAGE_STATUSES,
  type ImageStatus,
  type Moved,
  type ReportCommand,
  type ReportImage,
  type Totals,
} from './model.ts';

export type ImageEvent = EventOf<'image'>;

/** `told` is undefined where the run ended before; `retries` is how often it was said to be tried again. */
export function imageOf(
  planned: PlanImage,
  told: ImageEvent | undefined,
  retries: number,
  { command, planOnly }: { readonly command: ReportCommand; readonly planOnly: boolean },
): ReportImage {
  const status = told?.status ?? (planOnly ? 'planned' : 'unfinished');
  const refs = told?.refs ?? planned.refs.map((ref) => ({ ...ref, replaced: null }));
  const phases = told?.phases ?? { transfer: 0, load: 0, push: null };
  const wireBytes = command === 'copy' ? null : (told?.wireBytes ?? 0);
  const there = arrived({ status }) ? bytesThere(planned) : 0;
  return {
    id: planned.id,
    targetId: told?.targetId ?? null,
    platform: planned.platform,
    refs: refs.map(({ source, target, replaced }) => ({
      source,
      target,
      renamed: source !== target,
      replaced,
    })),
    status,
    size: planned.bytes,
    layers: planned.layers,
    layersSent: told?.layersSent ?? 0,
    layersSkipped: told?.layersSkipped ?? 0,
    ...moved(told?.bytes ?? 0, wireBytes, there, phases.transfer),
    startedAt: told?.startedAt ?? null,
    seconds: told?.seconds ?? 0,
    phases,
    tries: retries + (told ? 1 : 0),
    kept: told?.kept ?? 0,
    read: told?.read ?? planned.read ?? null,
    readReason: (told?.read ? told : planned).readReason ?? null,
    reason: planned.reason,
    warning: planned.warning,
    idChange: planned.idChange,
    pushed: told?.pushed ?? [],
    error: told?.error ?? null,
  };
}

/** Where every layer travels nothing was saved, however an engine counts what else an image is. */
function bytesThere({ bytes, bytesMissing, layers, layersMissing }: PlanImage): number {
  return layersMissing >= layers && layers > 0 ? 0 : Math.max(0, bytes - bytesMissing);
}

/** Of the whole run as its `done` event has them; sums of the images where it did not come to that. */
export function totalsOf(images: readonly ReportImage[], done: EventOf<'done'> | undefined): Totals {
  const sum = (of: (image: ReportImage) => number) => images.reduce((total, image) => total + of(image), 0);
  const bytes = done?.bytes ?? sum((image) => image.bytes);
  const noWire = images.some((image) => image.wireBytes === null);
  const wireBytes = noWire ? null : (done?.wireBytes ?? sum((image) => image.wireBytes ?? 0));
  const counts = IMAGE_STATUSES.map((status) => [
    status,
    images.filter((image) => image.status === status).length,
  ]);
  const there = sum(({ saved }) => saved.layers);
  const transfer = sum(({ phases }) => phases.transfer);
  return {
    images: images.length,
    ...(Object.fromEntries(counts) as Record<ImageStatus, number>),
    size: sum(({ size }) => size),
    ...moved(bytes, wireBytes, there, transfer),
  };
}

function moved(bytes: number, wireBytes: number | null, layers: number, seconds: number): Moved {
  // What is all talk and little image may take more on the wire than it is: that saves nothing.
  const compression = wireBytes === null ? 0 : Math.max(0, bytes - wireBytes);
  return {
    bytes,
    wireBytes,
    saved: { layers, compression },
    ratio: wireBytes === null || bytes === 0 ? null : Math.round((wireBytes / bytes) * 10_000) / 10_000,
    rate: bytes === 0 || seconds === 0 ? null : Math.round(bytes / seconds),
  };
}
