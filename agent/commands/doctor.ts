/** The whole of `imgmv doctor`: what is found on this host and at another one, and what stands in the way. */
import { exitStatusOf } from '../../proto/errors.ts';
import type { Check } from '../checks/check.ts';
import { checkEngine, checkEngineThere } from '../checks/engine.ts';
import { checkHost } from '../checks/host.ts';
import { checkInstallation } from '../checks/installation.ts';
import { checkPort, type PortOptions } from '../checks/port.ts';
import type { EngineOptions } from '../docker/engine.ts';
import type { Emit } from '../model/events.ts';

export interface DoctorOptions {
  readonly engine: EngineOptions;
  /** Found before; emitted first. */
  readonly before: readonly Check[];
  readonly listen: PortOptions;
  /** Whether a port that cannot be had, or too little room for images, stands in the way: it does not for who only sends. */
  readonly listens: boolean;
  /** ws:// or wss://; undefined: no other host is looked at. */
  readonly url: string | undefined;
  /** An engine of another host, by ssh. */
  readonly engineThere: EngineOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

/** Tells each check as soon as it is made, and gives the exit status: that of the first fault. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const { connectTimeoutMs: timeoutMs, emit, engine, listen, listens, signal, url } = options;
  const checks: Check[] = [];
  const tell = (...found: readonly Check[]) => {
    signal.throwIfAborted();
    for (const check of found) emit({ event: 'check', ...check });
    checks.push(...found);
  };
  tell(checkInstallation(), ...options.before);
  tell(...(await checkEngine(engine, listens)));
  const port = await checkPort(listen);
  tell(listens || port.status === 'ok' ? port : { ...port, status: 'warning', code: null });
  if (options.engineThere) tell(await checkEngineThere(options.engineThere));
  if (url !== undefined) tell(await checkHost({ url, timeoutMs, signal }));
  const [first] = checks.flatMap(({ code }) => code ?? []);
  const exit = first === undefined ? 0 : exitStatusOf(first);
  const count = (status: Check['status']) => checks.filter((check) => check.status === status).length;
  emit({ event: 'checked', ok: count('ok'), warnings: count('warning'), faults: count('fault'), exit });
  return exit;
}
