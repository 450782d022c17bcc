/**
 * A report as a value: what the JSON report is, word for word, and what the other forms show. docs/report.md says
 * what each field means. Sizes are bytes, times seconds, moments RFC 3339. Fields may be added, never renamed.
 */
import type { Keeper, PhaseSeconds, PushedRef, ToldError } from '../../agent/model/events.ts';

export type ReportCommand = 'send' | 'receive' | 'copy';

export interface ReportData {
  readonly version: 1;
  /** Version of the program. */
  readonly imgmv: string;
  readonly command: ReportCommand;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly seconds: number;
  readonly exit: number;
  /** What ended the whole run; null where it went to its end, whatever became of single images. */
  readonly error: (ToldError & { readonly exit: number }) | null;
  readonly source: Side;
  readonly target: Side;
  /** How often the connection was lost. */
  readonly reconnections: number;
  readonly totals: Totals;
  /** In the order of the plan; empty where there was none. */
  readonly images: readonly ReportImage[];
}

export type ReportError = Omit<ToldError, 'about'>;

export interface Side {
  /** What the host calls itself; null where it was not reached. */
  readonly host: string | null;
  /** Of the other host, as this one sees it; null for this one. */
  readonly address: string | null;
  readonly engine: Keeper | null;
  /** As they were named on this host. */
  readonly archives: readonly string[];
}

export interface Saved {
  readonly layers: number;
  readonly compression: number;
}

/** Counts of images by status add up to `images`. */
export interface Totals extends Readonly<Record<ImageStatus, number>> {
  readonly images: number;
  readonly size: number;
  readonly bytes: number;
  readonly wireBytes: number | null;
  readonly saved: Saved;
  readonly ratio: number | null;
  readonly rate: number | null;
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

export interface ReportRef {
  readonly source: string;
  readonly target: string;
  readonly renamed: boolean;
  readonly replaced: string | null;
}

export interface ReportImage {
  readonly id: string;
  readonly targetId: string | null;
  readonly platform: string;
  readonly refs: readonly ReportRef[];
  readonly status: ImageStatus;
  readonly size: number;
  readonly layers: number;
  readonly layersSent: number;
  readonly layersSkipped: number;
  readonly bytes: number;
  readonly wireBytes: number | null;
  readonly saved: Saved;
  readonly ratio: number | null;
  readonly rate: number | null;
  readonly startedAt: number | null;
  readonly seconds: number;
  readonly phases: PhaseSeconds;
  readonly tries: number;
  readonly kept: number;
  readonly reason: string | null;
  readonly warning: string | null;
  readonly idChange: string | null;
  readonly pushed: readonly PushedRef[];
  readonly error: ToldError | null;
}

/** Whether it is at the target, whole and verified. */
export function arrived({ status }: Pick<ReportImage, 'status'>): boolean {
  return status === 'loaded' || status === 'present';
}

/** Whether it was to move, and is not at the target. */
export function isLost({ status }: Pick<ReportImage, 'status'>): boolean {
  return !arrived({ status }) && status !== 'planned';
}
