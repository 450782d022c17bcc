/** What a bench leaves behind: the shape of bench-results.json. */
import type { Outcome } from './peers.ts';

export const SCENARIO_NAMES = ['cold', 'again', 'changed', 'three'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** `hosts`: a cable as fast as may be, and a processor for each host. */
export const LINKS = ['loopback', '100mbit', 'hosts'] as const;
export type Link = (typeof LINKS)[number];

/** One peer moving one subject once. */
export interface Run extends Outcome {
  /** See scenarios.ts. */
  readonly scenario: ScenarioName;
  readonly link: Link;
  readonly subject: string;
  readonly peer: string;
  readonly title: string;
  readonly round: number;
  /** Against the local pipe of the same round. */
  readonly ratio?: number;
  /** TCP payload in both directions, by the network device's counters. */
  readonly wireBytes: number;
  /** Payload a second while data flowed; where the link is limited. */
  readonly bytesPerSecond?: number;
}

/** What is moved, measured once. */
export interface Facts {
  readonly scenario: ScenarioName;
  readonly subject: string;
  readonly images: readonly {
    readonly reference: string;
    /** As `docker image inspect` says. */
    readonly bytes: number;
  }[];
  /** What has to travel, where its size is a yardstick. */
  readonly payload?: {
    readonly what: string;
    readonly bytes: number;
    /** By one thread of `zstd -3`. */
    readonly zstdBytes: number;
    /** Seconds of a processor that the work on it takes by itself: `openssl dgst` at either end, `zstd -1`, `zstd -d`. */
    readonly bareSeconds: number;
  };
}

export interface Results {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly facts: readonly Facts[];
  /** What plain TCP reached over the limited link, one figure a round. */
  readonly plainBytesPerSecond: readonly number[];
  readonly runs: readonly Run[];
}
