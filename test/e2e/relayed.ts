/** The two commands with something between them that a test can cut, hold and swallow. */
import type { Imgmv } from '../rig/imgmv.ts';
import { type Relay, type RelayOptions, startRelay } from './relay.ts';
import type { Between, Receiver } from './scene.ts';

export interface RelayedOptions {
  readonly images?: readonly string[];
  /** Of `receive`, beside `--once`. */
  readonly receiveArgs?: readonly string[];
  /** In place of `--once`. */
  readonly receiveAs?: readonly string[];
  /** Of `send`; `--json` when left out. */
  readonly sendArgs?: readonly string[];
  readonly relay?: Partial<RelayOptions>;
}

/** Disposing of it kills both. */
export interface Relayed extends AsyncDisposable {
  readonly receiver: Receiver;
  readonly relay: Relay;
  readonly sender: Imgmv;
}

/** Sends `big:1` unless told otherwise. */
export async function startRelayed(scene: Between, options: RelayedOptions = {}): Promise<Relayed> {
  const { images = ['big:1'], receiveAs = ['--once'], receiveArgs = [], sendArgs = ['--json'] } = options;
  const receiver = await scene.receive({ args: [...receiveAs, ...receiveArgs] });
  const relay = await startRelay({ port: receiver.port, ...options.relay });
  const sender = scene.send(receiver, [...images, ...sendArgs], { to: `127.0.0.1:${relay.port}` });
  return {
    receiver,
    relay,
    sender,
    async [Symbol.asyncDispose]() {
      await Promise.all([sender, receiver].map((one) => one[Symbol.asyncDispose]()));
      await relay[Symbol.asyncDispose]();
    },
  };
}

/** The same, once the relay holds after this many bytes. */
export async function startMidway(
  scene: Between,
  holdAfterBytes: number,
  options: RelayedOptions = {},
): Promise<Relayed> {
  const run = await startRelayed(scene, { ...options, relay: { ...options.relay, holdAfterBytes } });
  const { relay, sender } = run;
  await Promise.race([
    relay.held,
    sender.exit.then(() => Promise.reject(new Error(sender.stdout + sender.stderr))),
  ]);
  return run;
}
