/** The two commands, each on its host. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../rig/engine.ts';
import { type Imgmv, runImgmv } from '../rig/imgmv.ts';
import type { End, Side } from './kinds.ts';
import type { Stage } from './stage.ts';

export interface PairOptions {
  readonly stage: Stage;
  readonly engines: Readonly<Record<Side, Engine>>;
  readonly images: readonly string[];
  /** How long a lost connection may take to come back, as `--reconnect` takes it. */
  readonly patience: string;
  readonly env?: Readonly<Partial<Record<Side, Readonly<Record<string, string>>>>>;
}

export interface Receiving {
  readonly receiver: Imgmv;
  readonly codeFile: string;
  /** Starts the sender. */
  send(): Imgmv;
}

/** Starts the receiver, and waits until it listens. */
export async function receive(options: PairOptions): Promise<Receiving> {
  const { stage, engines, images, patience, env } = options;
  const { a, b } = stage.hosts;
  const codeFile = join(stage.directory, 'code');
  const common = (side: Side) => [
    ...['--json', '--reconnect', patience, '--docker-host', engines[side].dockerHost],
    ...['--code-file', side === 'sender' ? '-' : codeFile],
  ];
  const place = (side: Side) => ({
    host: side === 'sender' ? a : b,
    ...(env?.[side] && { env: env[side] }),
  });
  const listen = ['--listen', `${b.address}:0`];
  const receiver = runImgmv(['receive', '--once', ...listen, ...common('receiver')], place('receiver'));
  const { port } = await receiver.waitFor('listening');
  // By hand, as people do: the file may be gone when the sender starts.
  const input = await readFile(codeFile, 'utf8');
  return {
    receiver,
    codeFile,
    send: () =>
      runImgmv(['send', ...images, '--to', `${b.address}:${port}`, ...common('sender')], {
        ...place('sender'),
        input,
      }),
  };
}

/** How it ended. */
export async function endOf(imgmv: Imgmv): Promise<End> {
  const { code, signal } = await imgmv.exit;
  return code ?? signal ?? Number.NaN;
}
