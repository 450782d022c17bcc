import { setTimeout as sleep } from 'node:timers/promises';
import type { Imgmv, JsonEvent } from '../rig/imgmv.ts';
import type { Side } from './kinds.ts';
import type { Point } from './plan.ts';

/** Waits for the point of the transfer; false if one side has ended for good before. */
export async function reached(
  point: Point,
  { sender, receiver }: Readonly<Record<Side, Imgmv>>,
  ended: AbortSignal,
): Promise<boolean> {
  const travelled = new Map<unknown, number>();
  let total = Number.POSITIVE_INFINITY;
  const isThere = (event: JsonEvent): boolean => {
    if (event.event === 'plan') total = bytesOf(event.images);
    if (event.event === 'progress' && event.phase === 'transfer')
      travelled.set(event.id, Number(event.bytes));
    switch (point.at) {
      case 'share':
        return sum(travelled.values()) >= point.share * total;
      case 'load':
        return event.event === 'progress' && event.phase === 'load';
      default:
        return event.event === point.at;
    }
  };
  const { events } = point.at === 'image' ? receiver : sender;
  for await (const event of events) {
    if (!isThere(event)) continue;
    if (point.at === 'share') return !ended.aborted;
    return sleep(point.seconds * 1_000, undefined, { signal: ended }).then(
      () => true,
      () => false,
    );
  }
  return false;
}

function bytesOf(images: unknown): number {
  return sum((images as readonly { bytesMissing: number }[]).map(({ bytesMissing }) => bytesMissing));
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((all, one) => all + one, 0);
}
