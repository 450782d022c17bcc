/**
 * A report as a value: what the JSON report is, word for word, and what the other forms show. docs/report.md says
 * what each field means. Sizes are bytes, times seconds, moments RFC 3339. Fields may be added, never renamed.
 */
import type { EventOf, Keeper, PlanImage, PushedRef, ToldError } from '../../agent/model/events.ts';

export type ReportCommand = 'send' | 'receive' | 'copy';

export interface ReportData {
  readonly version: 1;
  readonly imgmv: string;
  readonly command: ReportCommand;
  /** As a shell takes it, without queries of URLs; null where it is not known. */
  readonly commandLine: string | null;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly seconds: number;
  readonly exit: number;
  /** What ended the whole run; null where it went to its end, whatever became of single images. */
  readonly error: (ToldError & { readonly exit: number }) | null;
  readonly source: Side;
  readonly target: Side;
  readonly reconnections: number;
  readonly totals: Totals;
  /** In the order of the plan; empty where there was none. */
  readonly images: readonly ReportImage[];
}

export interface Side {
  /** What the host calls itself; null where it was not reached. */
  readonly host: string | null;
  /** Of the other host, as this one sees it; null for this one. */
  readonly address: string | null;
  readonly engine: Keeper | null;
  /** As they were named on this host. */
  readonly archives: readonly string[];
}

export interface Moved {
  readonly bytes: number;
  readonly wireBytes: number | null;
  readonly saved: { readonly layers: number; readonly compression: number };
  readonly ratio: number | null;
  readonly rate: number | null;
}

/** Counts of images by status add up to `images`. */
export interface Totals extends Moved, Readonly<Record<ImageStatus, number>> {
  readonly images: number;
  readonly size: number;
}

export const IMAGE_STATUSES = [
  'loaded',
  'present',
  'refused',
  'failed',
  'skipped',
  'planned',
  'unfinished',
] as const;
/** Those of the `image` event; and `planned` for an `imgmv plan` of the sender, `unfinished` where the run ended first. */
export type ImageStatus = (typeof IMAGE_STATUSES)[number];

type Planned = 'id' | 'platform' | 'layers' | 'reason' | 'warning' | 'idChange';
type Told = 'targetId' | 'layersSent' | 'layersSkipped' | 'seconds' | 'phases' | 'kept' | 'error';

export interface ReportImage extends Moved, Pick<PlanImage, Planned>, Pick<EventOf<'image'>, Told> {
  readonly refs: readonly (EventOf<'image'>['refs'][number] & { readonly renamed: boolean })[];
  readonly status: ImageStatus;
  readonly size: number;
  readonly startedAt: number | null;
  readonly tries: number;
  /** As the `image` event has it, or the plan where there is none; null at the other host, and of archives. */
  readonly read: 'store' | 'save' | null;
  readonly readReason: string | null;
  readonly pushed: readonly PushedRef[];
}

/** Whether it is at the target, whole and verified. */
export function arrived({ status }: Pick<ReportImage, 'status'>): boolean {
  return status === 'loaded' || status === 'present';
}

/** Whether it was to move, and is not at the target. */
export function isLost({ status }: Pick<ReportImage, 'status'>): boolean {
  return !arrived({ status }) && status !== 'planned';
}
