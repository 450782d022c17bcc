/** Collects the events of one run into a report, beside whoever shows them. */
import { hostname } from 'node:os';
import { VERSION } from '../../agent/ends/host.ts';
import {
  type Event,
  type EventOf,
  errorEvent,
  type Keeper,
  type PlanImage,
} from '../../agent/model/events.ts';
import type { ImgmvError } from '../../proto/errors.ts';
import { type ImageEvent, imageOf, totalsOf } from './figures.ts';
import type { ReportCommand, ReportData } from './model.ts';

export interface ReportOptions {
  readonly command: ReportCommand;
  /** The other host, where the command names one. */
  readonly target?: string | undefined;
  /** As a shell takes it. */
  readonly commandLine?: string | undefined;
}

export class Report {
  readonly #options: ReportOptions;
  readonly #startedAt = new Date();
  readonly #started = performance.now();
  readonly #engines: Keeper[] = [];
  readonly #reading: string[] = [];
  readonly #writing: string[] = [];
  #peer: EventOf<'paired'>['peer'] | undefined;
  #plan: readonly PlanImage[] = [];
  #planOnly = false;
  #moves = false;
  /** By `keyOf`. */
  readonly #images = new Map<string, ImageEvent>();
  /** By id. */
  readonly #retries = new Map<string, number>();
  #reconnections = 0;
  #done: EventOf<'done'> | undefined;
  #error: EventOf<'error'> | undefined;

  constructor(options: ReportOptions) {
    this.#options = options;
  }

  add(event: Event): void {
    switch (event.event) {
      case 'engine':
        return void this.#engines.push({ kind: event.kind, version: event.version, store: event.store });
      case 'reading':
        // Told again while it goes on.
        if (!this.#reading.includes(event.archive)) this.#reading.push(event.archive);
        return;
      case 'writing':
        return void this.#writing.push(event.archive);
      case 'paired':
        this.#peer = event.peer;
        return;
      case 'plan':
        this.#plan = event.images;
        this.#planOnly = event.only;
        this.#moves ||= !event.only;
        return;
      case 'reconnecting':
        // The tries of one loss count as one.
        if (event.attempt <= 1) this.#reconnections++;
        return;
      case 'retrying':
        // That of a push is none of the image, which is there.
        if (event.phase === 'push') return;
        this.#retries.set(event.id, (this.#retries.get(event.id) ?? 0) + 1);
        return;
      case 'image':
        return void this.#images.set(keyOf(event), event);
      case 'done':
        this.#done = event;
        return;
      case 'error':
        // What comes behind the first one came of it.
        this.#error ??= event;
        return;
      case 'listening':
      case 'attempt':
      case 'confirming':
      case 'estimate':
      case 'progress':
      case 'silent':
      case 'images':
      case 'warning':
      case 'cleaned':
      case 'check':
      case 'checked':
        return;
      default:
        return event satisfies never;
    }
  }

  /** There was more than a plan. */
  get moves(): boolean {
    return this.#moves;
  }

  /** As the run has ended: with this exit status, and with the reason where it was stopped. */
  data(exit: number, stopped?: ImgmvError): ReportData {
    const run = { command: this.#options.command, planOnly: this.#planOnly };
    const images = this.#plan.map((planned) =>
      imageOf(planned, this.#images.get(keyOf(planned)), this.#retries.get(planned.id) ?? 0, run),
    );
    const told = this.#error ?? (stopped && errorEvent(stopped));
    return {
      version: 1,
      imgmv: VERSION,
      command: run.command,
      commandLine: this.#options.commandLine ?? null,
      startedAt: this.#startedAt.toISOString(),
      endedAt: new Date().toISOString(),
      seconds: Math.round(performance.now() - this.#started) / 1000,
      exit,
      error: told ? { code: told.code, exit: told.exit, message: told.message, hint: told.hint } : null,
      ...this.#sides(),
      reconnections: this.#reconnections,
      totals: totalsOf(images, this.#done),
      images,
    };
  }

  #sides(): Pick<ReportData, 'source' | 'target'> {
    const { command, target: address = null } = this.#options;
    const [first = null] = this.#engines;
    const last = this.#engines.at(-1) ?? null;
    const here = { host: hostname(), address: null, engine: last };
    const source = { ...here, archives: this.#reading };
    const target = { ...here, archives: this.#writing };
    if (command === 'copy') {
      const intoFiles = this.#writing.length > 0;
      // An engine that is both was connected to for either.
      const from = intoFiles || this.#engines.length > 1 ? first : null;
      return { source: { ...source, engine: from }, target: { ...target, engine: intoFiles ? null : last } };
    }
    const peer = {
      host: this.#peer?.name ?? null,
      address: this.#peer?.address ?? address,
      engine: this.#peer?.engine ?? null,
      archives: [],
    };
    return command === 'send' ? { source, target: peer } : { source: peer, target };
  }
}

function keyOf({ id, platform }: { readonly id: string; readonly platform: string }): string {
  return `${id} ${platform}`;
}
