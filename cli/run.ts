/** What every command does around its agent call: signals, rendering, and errors to an exit status. */
import type { Command } from 'commander';
import type { EngineOptions } from '../agent/docker/engine.ts';
import { type Emit, errorEvent } from '../agent/model/events.ts';
import { type ImgmvError, toImgmvError } from '../proto/errors.ts';
import type { Configured } from './config.ts';
import { endProcess } from './end-process.ts';
import { escapeText } from './escape.ts';
import { withHints } from './hints.ts';
import type { MoveFile } from './move-file.ts';
import type { Renderer } from './renderer.ts';
import { JsonRenderer } from './renderer-json.ts';
import { TextRenderer } from './renderer-text.ts';
import { openReport, type ReportFlags, type ReportRun } from './report/report-run.ts';
import { commandLine } from './shell-word.ts';
import { openSteps, type Steps } from './steps.ts';
import { stopSignal } from './stop.ts';

export interface CommonOptions extends Configured, Pick<MoveFile, 'dockerHost' | 'context' | 'report'> {
  readonly json?: true;
  readonly quiet?: true;
  readonly verbose?: true;
  readonly log?: string;
}

/** Without a `command` there is no report. */
export interface RunOptions extends CommonOptions, Omit<Partial<ReportFlags>, 'report'> {
  /** A configuration that cannot be used is for the command to tell. */
  readonly toleratesConfig?: true;
}

export interface Run {
  readonly signal: AbortSignal;
  readonly emit: Emit;
  readonly renderer: Renderer;
  readonly engine: EngineOptions;
}

/** `shown`: what is shown with `--quiet` all the same. */
export function addCommonOptions(command: Command, shown = 'errors'): Command {
  return command
    .option('--docker-host <address>', 'the engine: unix:///path, tcp://host:port or ssh://user@host')
    .option('--context <name>', 'the engine of this docker context')
    .option('--json', 'print one JSON object per line on standard output')
    .option('-q, --quiet', `print only ${shown}`)
    .option('-v, --verbose', 'tell each step on standard error')
    .option('--log <file>', 'append each step, with its time, to this file (0600)');
}

/** A stop that takes less is over before it is read of. */
const STOP_SAID_AFTER_MS = 500;
/** How long what was written last may take to go out, after a stop. */
const LAST_OUTPUT_MS = 1_000;

/** Sets the exit status and ends the process once its output, and the report, are written. */
export async function run(options: RunOptions, command: (run: Run) => Promise<number>): Promise<void> {
  const { json, quiet = false } = options;
  const color = process.stderr.isTTY && !process.env.NO_COLOR;
  const renderer: Renderer = json
    ? new JsonRenderer(process.stdout)
    : new TextRenderer({ stream: process.stderr, result: process.stdout, quiet, color });
  let report: ReportRun | undefined;
  let steps: Steps | undefined;
  const emit: Emit = (told) => {
    const event = withHints(told, options.command);
    renderer.render(event);
    report?.add(event);
    steps?.add(event);
  };
  let stopping: NodeJS.Timeout | undefined;
  const signal = stopSignal(() => {
    stopping = setTimeout(
      () => renderer.say('Stopping: what is under way is being undone. Again: stop at once.'),
      STOP_SAID_AFTER_MS,
    );
  });
  const { context, dockerHost } = options;
  const givenBy = engineOrigin(options);
  const engine = { env: process.env, signal, dockerHost, context, givenBy };
  let exit: number;
  try {
    steps = openSteps(
      options,
      (text) => renderer.step(text),
      ({ message }) => emit({ event: 'warning', message }),
    );
    if (options.configured?.failure && !options.toleratesConfig) throw options.configured.failure;
    report = openReport({ ...options, commandLine: commandLine(process.argv.slice(2)) });
    exit = await command({ signal, emit, renderer, engine });
  } catch (error) {
    // Whatever a stop breaks off, the stop is why.
    exit = tell(toImgmvError(signal.aborted ? signal.reason : error), emit, options.target);
  }
  clearTimeout(stopping);
  const stopped = signal.aborted && exit !== 0 ? toImgmvError(signal.reason) : undefined;
  const unwritten = report?.write(exit, stopped);
  if (unwritten) {
    renderer.render(unwritten);
    // What became of the images stays the status, unless that says that all is well.
    if (exit === 0) exit = unwritten.exit;
  }
  steps?.end(exit);
  renderer.end();
  process.exitCode = exit;
  // A reader that has stopped to read does not hold up whoever was told to stop.
  if (signal.aborted) setTimeout(() => endProcess(exit), LAST_OUTPUT_MS);
  // Idle keep-alive sockets to the engine would hold the process for seconds more.
  process.stdout.write('', () => process.stderr.write('', () => endProcess(exit)));
}

/** What names the engine where no option does. */
function engineOrigin({ configured, context, dockerHost }: CommonOptions): string | undefined {
  const { values = {}, origins = {} } = configured ?? {};
  if (dockerHost !== undefined && values.dockerHost === dockerHost) return origins.dockerHost;
  return context !== undefined && values.context === context ? origins.context : undefined;
}

function tell(error: ImgmvError, emit: Emit, target: string | undefined): number {
  if (error.code === 'internal' && process.env.IMGMV_DEBUG) {
    const { stack = '' } = error.cause instanceof Error ? error.cause : error;
    process.stderr.write(`${stack.split('\n').map(escapeText).join('\n')}\n`);
  }
  const event = errorEvent(error);
  const hint = error.code === 'internal' ? 'this is a fault of imgmv; IMGMV_DEBUG=1 shows where' : null;
  emit({ ...event, hint: event.hint ?? hint, ...(target !== undefined && { target }) });
  return error.exit;
}
