/**
 * A decoder under fuzz: an arbitrary that makes its input, and a check of what it does with it. Around every check
 * stands what holds for all of them: no exception but an ImgmvError that the check allows, no case that takes long,
 * no memory out of proportion to the input, nothing left on the prototypes.
 */
import fc from 'fast-check';
import { AllocationMeter } from './allocations.ts';
import { type CaseData, sizeOf } from './kept.ts';

/** Far more than any case takes, on a machine that is busy with other things too. */
const CASE_DEADLINE_MS = 10_000;
const ALLOWANCE_BYTES = 1024 * 1024;
const ALLOWANCE_FACTOR = 32;
/** A failing case is made smaller for no longer than this. */
const SHRINK_MS = 30_000;
const CASES_A_TURN = 32;

export interface TargetOptions<T> {
  /** `part/what`, as `--only` takes it. */
  readonly name: string;
  /** How many of its cases go with one of a target of share 1; the slower, the fewer. */
  readonly share: number;
  /** Of values that `CaseData` describes: what fails is kept as JSON. */
  readonly input: fc.Arbitrary<T>;
  /** Throws for whatever the decoder must not do. */
  readonly check: (input: T) => void | Promise<void>;
  /** Bytes of buffers that a case may allocate, its check included; 1 MiB and 32 times its input when left out. */
  readonly allowance?: (input: T) => number;
}

/** What a run of one target came to. */
export interface TargetResult {
  readonly cases: number;
  readonly failure?: TargetFailure;
}

export interface TargetFailure {
  readonly seed: number;
  /** fast-check's path to the smallest input that fails. */
  readonly path: string;
  readonly input: CaseData;
  readonly message: string;
}

export interface RunOptions {
  readonly cases: number;
  readonly seed: number;
  readonly path?: string;
  /** Told before each case, counted from 0. */
  readonly onCase?: (index: number) => void;
}

export interface Target {
  readonly name: string;
  readonly share: number;
  run(options: RunOptions): Promise<TargetResult>;
  /** Checks one input. Rejects where it fails. */
  replay(input: CaseData): Promise<void>;
}

export function target<T>(options: TargetOptions<T>): Target {
  const { name, share, input } = options;
  return {
    name,
    share,
    async run({ cases, seed, path, onCase }) {
      let index = 0;
      let failedAt: number | undefined;
      const property = fc.asyncProperty(input, async (value) => {
        if (failedAt !== undefined && performance.now() - failedAt > SHRINK_MS) return;
        // What is garbage outside the heap is freed in a turn of the event loop, and most checks need none.
        if (index % CASES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
        onCase?.(index++);
        try {
          await guarded(options, value);
        } catch (error) {
          failedAt ??= performance.now();
          throw error;
        }
      });
      const details = await fc.check(property, {
        numRuns: cases,
        seed,
        ...(path !== undefined && { path }),
      });
      if (!details.failed) return { cases: details.numRuns };
      const [smallest] = details.counterexample ?? [];
      return {
        cases: details.numRuns,
        failure: {
          seed: details.seed,
          path: details.counterexamplePath ?? '',
          input: smallest as unknown as CaseData,
          message: messageOf(details.errorInstance),
        },
      };
    },
    replay: (value) => guarded(options, value as T),
  };
}

async function guarded<T>(options: TargetOptions<T>, input: T): Promise<void> {
  const { check, allowance } = options;
  const started = performance.now();
  const meter = AllocationMeter.begin();
  try {
    const running = check(input);
    if (running) await withinDeadline(running);
  } finally {
    meter.end();
  }
  const took = performance.now() - started;
  if (took > CASE_DEADLINE_MS) throw new Error(`took ${Math.round(took)} ms`);
  const most = allowance?.(input) ?? ALLOWANCE_BYTES + ALLOWANCE_FACTOR * sizeOf(input as CaseData);
  if (meter.bytes > most) throw new Error(`allocated ${meter.bytes} bytes, want at most ${most}`);
  checkPrototypes();
  const [stray] = strays.splice(0);
  if (stray !== undefined) throw new Error(`nobody caught ${messageOf(stray)}`, { cause: stray });
}

async function withinDeadline(running: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`hangs: no end within ${CASE_DEADLINE_MS} ms`)),
      CASE_DEADLINE_MS,
    );
  });
  try {
    await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Errors that no code awaited, since the last case: the one at hand is to blame. */
const strays: unknown[] = [];

/** In a process of our own: the runner of the tests listens by itself. */
export function watchStrays(): void {
  process.on('unhandledRejection', (error) => strays.push(error));
  process.on('uncaughtException', (error) => strays.push(error));
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, Buffer.prototype] as const;
const KEYS = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);

function checkPrototypes(): void {
  for (const [at, prototype] of PROTOTYPES.entries())
    if (Reflect.ownKeys(prototype).length !== KEYS[at]) throw new Error('a prototype was changed');
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${messageOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
