/** What a run costs: processor time and memory by the kernel's accounts, bytes by those of the network devices. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { tied } from '../rig/command.ts';
import type { Host } from '../rig/hosts.ts';

/** Of one side of a transfer: all its processes but the engine. */
export interface Usage {
  /** User and system time of all processes together. */
  readonly cpuSeconds: number;
  /** The most memory that any single one of them held (maximum resident set). */
  readonly peakBytes: number;
}

/** At one moment. */
export interface Sample {
  readonly seconds: number;
  /** TCP payload in both directions since the namespace was made. */
  readonly payloadBytes: number;
}

/** Reads the counters of one network device, from outside its namespace. */
export interface Meter extends AsyncDisposable {
  sample(): Promise<Sample>;
  /** Samples every 50 ms until the work is done. */
  record<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly samples: readonly Sample[] }>;
}

const TIME = '/usr/bin/time';
const SAMPLE_INTERVAL_MS = 50;
/** Of one packet: Ethernet 14, IPv4 20, TCP with timestamps 32. A packet of many segments is counted with one. */
const HEADER_BYTES = 66;

/** The command line that runs `command` and writes its account, see {@link readUsage}, to a file. */
export function accounted(command: readonly string[], file: string): string[] {
  return [TIME, '--format=%U,%S,%M', `--output=${file}`, ...tied(command)];
}

/** The account of a command that has ended, with all processes that it waited for. */
export async function readUsage(file: string): Promise<Usage> {
  const line = (await readFile(file, 'utf8')).trim().split('\n').at(-1) ?? '';
  const [user = Number.NaN, system = Number.NaN, peakKib = Number.NaN] = line.split(',').map(Number);
  return { cpuSeconds: user + system, peakBytes: peakKib * 1024 };
}

/** A meter on a device of a host; `lo` counts every packet once. */
export async function meter(host: Host, device: string): Promise<Meter> {
  const [command = '', ...args] = tied(host.argv(['sleep', 'infinity']));
  // The counters of a namespace show under /proc of any process in it.
  const resident = spawn(command, args, { stdio: 'ignore' });
  const exited = once(resident, 'exit');
  const file = `/proc/${resident.pid}/net/dev`;
  while (!(await readFile(file, 'utf8')).includes(`${device}:`)) await sleep(5);

  const sample = async (): Promise<Sample> => {
    const seconds = performance.now() / 1000;
    return { seconds, payloadBytes: payload(await readFile(file, 'utf8'), device) };
  };
  return {
    sample,
    async record(work) {
      const samples = [await sample()];
      const finished = new AbortController();
      const working = work().finally(() => finished.abort());
      working.catch(() => {}); // thrown below, after the last sample
      while (!finished.signal.aborted) {
        await sleep(SAMPLE_INTERVAL_MS, undefined, { signal: finished.signal }).catch(() => {});
        samples.push(await sample());
      }
      return { value: await working, samples };
    },
    async [Symbol.asyncDispose]() {
      resident.kill('SIGKILL');
      await exited;
    },
  };
}

/** All payload between the first and the last sample. */
export function bytesMoved(samples: readonly Sample[]): number {
  return (samples.at(-1)?.payloadBytes ?? 0) - (samples[0]?.payloadBytes ?? 0);
}

/**
 * Payload per second while data flowed: from when the first hundredth of it had passed until all but the last
 * hundredth had. Set-up and farewell do not count; a pause in between does.
 */
export function goodput(samples: readonly Sample[]): number {
  const start = samples[0]?.payloadBytes ?? 0;
  const total = bytesMoved(samples);
  const from = samples.find(({ payloadBytes }) => payloadBytes - start >= total * 0.01);
  const to = samples.find(({ payloadBytes }) => payloadBytes - start >= total * 0.99);
  if (!from || !to || from === to) return Number.NaN;
  return (to.payloadBytes - from.payloadBytes) / (to.seconds - from.seconds);
}

/** /proc/net/dev: name, then bytes and packets received, six more, bytes and packets sent, six more. */
function payload(table: string, device: string): number {
  const line = table.split('\n').find((each) => each.trim().startsWith(`${device}:`));
  const fields =
    line
      ?.slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/)
      .map(Number) ?? [];
  const [rxBytes = 0, rxPackets = 0, , , , , , , txBytes = 0, txPackets = 0] = fields;
  const sent = txBytes - txPackets * HEADER_BYTES;
  return device === 'lo' ? sent : sent + rxBytes - rxPackets * HEADER_BYTES;
}
