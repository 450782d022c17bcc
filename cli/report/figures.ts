/** The figures of a report that are computed: of one image, from its line in the plan and its `image` event. */
import type { EventOf, PlanImage } from '../../agent/model/events.ts';
import {
  arrived,
  IMAGE_STATUSES,
  type ImageStatus,
  type ReportCommand,
  type ReportImage,
  type Totals,
} from './model.ts';

export type ImageEvent = EventOf<'image'>;

export interface ImageFacts {
  readonly planned: PlanImage;
  /** Nothing but the plan was asked for. */
  readonly planOnly: boolean;
  /** Undefined where the run ended before. */
  readonly told: ImageEvent | undefined;
  /** How often it was said to be tried again. */
  readonly retries: number;
  readonly command: ReportCommand;
}

export function imageOf({ planned, planOnly, told, retries, command }: ImageFacts): ReportImage {
  const status = told?.status ?? (planOnly ? 'planned' : 'unfinished');
  const bytes = told?.bytes ?? 0;
  const wireBytes = command === 'copy' ? null : (told?.wireBytes ?? 0);
  const phases = told?.phases ?? { transfer: 0, load: 0, push: null };
  const refs = told?.refs ?? planned.refs.map((ref) => ({ ...ref, replaced: null }));
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
    bytes,
    wireBytes,
    saved: {
      layers: arrived({ status }) ? bytesThere(planned) : 0,
      compression: compressedAway(bytes, wireBytes),
    },
    ratio: ratioOf(bytes, wireBytes),
    rate: rateOf(bytes, phases.transfer),
    startedAt: told?.startedAt ?? null,
    seconds: told?.seconds ?? 0,
    phases,
    tries: retries + (told ? 1 : 0),
    kept: told?.kept ?? 0,
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
  return {
    images: images.length,
    ...(Object.fromEntries(counts) as Record<ImageStatus, number>),
    size: sum(({ size }) => size),
    bytes,
    wireBytes,
    saved: { layers: sum(({ saved }) => saved.layers), compression: compressedAway(bytes, wireBytes) },
    ratio: ratioOf(bytes, wireBytes),
    rate: rateOf(
      bytes,
      sum(({ phases }) => phases.transfer),
    ),
  };
}

/** What is all talk and little image may take more on the wire than it is: that saves nothing. */
function compressedAway(bytes: number, wireBytes: number | null): number {
  return wireBytes === null ? 0 : Math.max(0, bytes - wireBytes);
}

function ratioOf(bytes: number, wireBytes: number | null): number | null {
  return wireBytes === null || bytes === 0 ? null : Math.round((wireBytes / bytes) * 10_000) / 10_000;
}

function rateOf(bytes: number, seconds: number): number | null {
  return bytes === 0 || seconds === 0 ? null : Math.round(bytes / seconds);
}
