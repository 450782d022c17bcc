/** Counts the bytes that code asks of Buffer, so that a bound that is checked too late shows, whatever is collected. */

const TO_COUNT = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const;

let running: AllocationMeter | undefined;

/** One at a time. */
export class AllocationMeter {
  bytes = 0;

  static begin(): AllocationMeter {
    install();
    running = new AllocationMeter();
    return running;
  }

  end(): void {
    if (running === this) running = undefined;
  }
}

let installed = false;

/** `Buffer.concat` uses these; `Buffer.from` copies what is there already. */
function install(): void {
  if (installed) return;
  installed = true;
  for (const name of TO_COUNT) {
    const allocate = Buffer[name] as (size: number, ...rest: unknown[]) => Buffer<ArrayBuffer>;
    Object.assign(Buffer, {
      [name]: (size: number, ...rest: unknown[]) => {
        if (running) running.bytes += size;
        return allocate.call(Buffer, size, ...rest);
      },
    });
  }
}
