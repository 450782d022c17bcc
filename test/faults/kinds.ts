/** What can go wrong from outside, how it is done, and how both sides may then end beside well. */
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import type { Hosts } from '../rig/hosts.ts';
import type { Imgmv } from '../rig/imgmv.ts';

export type Side = 'sender' | 'receiver';
/** An exit status, or the signal that ended the process. */
export type End = number | NodeJS.Signals;

/** A round under way, as a fault sees it. */
export interface Live {
  readonly hosts: Hosts;
  /** The sender is not there before the receiver listens. */
  readonly processes: Readonly<Partial<Record<Side, Imgmv>>>;
  readonly engines: Readonly<Record<Side, Engine>>;
  /** Where libfaketime looks for the offset of each side's clock. */
  readonly clocks: Readonly<Record<Side, string>>;
  /** Aborted once both processes have ended: no fault need last longer. */
  readonly ended: AbortSignal;
}

export interface FaultKind {
  readonly name: string;
  /** Kinds of one group are as likely together as another group. */
  readonly group: string;
  /** The shortest and the longest that it lasts; left out where it is a moment. */
  readonly seconds?: readonly [number, number];
  /** How each side may end beside 0; not at all where it has to go on as if nothing had been. */
  readonly ends?: Readonly<Record<Side, readonly End[]>>;
  /** A process of imgmv ends by it, so the other side is not to wait for long. */
  readonly deadly?: true;
  /** Struck before the sender is started. */
  readonly early?: true;
  /** The clock of this side is libfaketime's. */
  readonly clockOf?: Side;
  /** Does it and undoes it. */
  strike(live: Live, seconds: number): Promise<void>;
}

const LOST = 11;
const ENGINE = 14;
const NO_ROOM = 16;
const NOT_PAIRED = 12;
const LOSS = 0.02;
const SIDES = ['sender', 'receiver'] as const satisfies readonly Side[];
const FILLING = 'fault-fill';
/** The engine takes room meanwhile. */
const FILL_SLOWLY_BYTES = 64 * 2 ** 20;

export const KINDS: readonly FaultKind[] = [
  { name: 'sockets killed', group: 'sockets', strike: ({ hosts }) => hosts.kill() },
  {
    name: 'black hole',
    group: 'black hole',
    seconds: [1, 25],
    async strike({ hosts, ended }, seconds) {
      await hosts.blackHole(true);
      await pause(seconds, ended);
      await hosts.blackHole(false);
    },
  },
  {
    name: '2 % loss',
    group: 'loss',
    seconds: [600, 600],
    async strike({ hosts, ended }, seconds) {
      await hosts.lose(LOSS);
      await pause(seconds, ended);
      await hosts.lose(undefined);
    },
  },
  ...SIDES.map(
    (side): FaultKind => ({
      name: `${side} stopped`,
      group: 'stopped',
      seconds: [1, 20],
      async strike({ processes, ended }, seconds) {
        processes[side]?.kill('SIGSTOP');
        await pause(seconds, ended);
        processes[side]?.kill('SIGCONT');
      },
    }),
  ),
  ...SIDES.flatMap((side) => [
    signal(side, 'SIGKILL', 'SIGKILL', 'killed'),
    signal(side, 'SIGINT', 130, 'ended'),
    signal(side, 'SIGTERM', 143, 'ended'),
  ]),
  ...SIDES.map(
    (side): FaultKind => ({
      name: `dockerd of ${side} killed`,
      group: 'dockerd',
      seconds: [0.1, 2],
      ends: { sender: [ENGINE], receiver: [ENGINE] },
      async strike({ engines, ended }, seconds) {
        engines[side].kill('SIGKILL');
        await pause(seconds, ended);
        await engines[side].restart();
      },
    }),
  ),
  {
    name: 'disk of receiver full',
    group: 'disk',
    seconds: [1, 8],
    ends: { sender: [ENGINE, NO_ROOM], receiver: [ENGINE, NO_ROOM] },
    async strike({ engines, ended }, seconds) {
      const file = join(engines.receiver.dataRoot, FILLING);
      try {
        await fill(file, engines.receiver.dataRoot);
        await pause(seconds, ended);
      } finally {
        await rm(file, { force: true });
      }
    },
  },
  ...SIDES.flatMap((side) => [clock(side, '+1d'), clock(side, '-1d')]),
  {
    ...clock('receiver', '+1d'),
    name: 'clock of receiver +1d, code unused',
    early: true,
    ends: { sender: [NOT_PAIRED, LOST], receiver: [NOT_PAIRED] },
  },
  { ...clock('receiver', '-1d'), name: 'clock of receiver -1d, code unused', early: true },
];

export function kindOf(name: string): FaultKind {
  const kind = KINDS.find((one) => one.name === name);
  if (!kind) throw new Error(`no such fault: ${name}`);
  return kind;
}

function signal(side: Side, name: NodeJS.Signals, end: End, group: string): FaultKind {
  return {
    name: `${name} of ${side}`,
    group,
    deadly: true,
    ends: { sender: [LOST], receiver: [LOST], [side]: [end] },
    async strike({ processes }) {
      processes[side]?.kill(name);
    },
  };
}

function clock(side: Side, offset: string): FaultKind {
  return {
    name: `clock of ${side} ${offset}`,
    group: 'clock',
    clockOf: side,
    strike: ({ clocks }) => writeFile(clocks[side], offset),
  };
}

/** Takes all room at once; what frees up after is free again, as on a disk that others fill as well. */
async function fill(file: string, directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  await run(['sh', '-uc', FILL, 'fill', file, String(Math.max(1, bavail * bsize - FILL_SLOWLY_BYTES))]);
}

/** $1 the file, $2 how much can be had at once; the rest is taken until there is no more, which dd tells as a failure. */
const FILL = `
  fallocate --length "$2" "$1"
  dd if=/dev/zero bs=64k oflag=append conv=notrunc of="$1" 2>/dev/null && exit 1
  exit 0
`;

async function pause(seconds: number, ended: AbortSignal): Promise<void> {
  await sleep(seconds * 1_000, undefined, { signal: ended }).catch(() => {});
}
