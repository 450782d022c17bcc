/** Two engines, the two commands between them, and the proof that a run leaves nothing behind. */
import { access, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { isAlive } from '../rig/cleanup.ts';
import { run } from '../rig/command.ts';
import { type Engine, type Flavour, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, type ImgmvOptions, type JsonEvent, runImgmv } from '../rig/imgmv.ts';
import { scratchDirectory } from '../rig/scratch.ts';

export interface SceneOptions {
  readonly source: Flavour;
  readonly target: Flavour;
  /** Room for an engine's data; plenty when left out. */
  readonly sourceBytes?: number;
  readonly targetBytes?: number;
}

export interface ReceiveOptions extends ImgmvOptions {
  /** Beside `--json` and where to listen; `--once` when left out. */
  readonly args?: readonly string[];
  /** To listen on; 127.0.0.1 when left out. */
  readonly address?: string;
}

/** `imgmv receive` from the moment it listens. Disposing of it kills it. */
export interface Receiver extends AsyncDisposable {
  readonly imgmv: Imgmv;
  readonly address: string;
  readonly port: number;
  readonly codeFile: string;
}

export interface Between {
  readonly source: Engine;
  readonly target: Engine;
  /** A directory for the test's own files. */
  readonly directory: string;
  /** Starts `receive --json` on the target, and waits until it listens. */
  receive(options?: ReceiveOptions): Promise<Receiver>;
  /** Runs `send` or `plan` on the source with the address and the code of `receiver`. */
  send(receiver: Receiver, args: readonly string[], options?: SendOptions): Imgmv;
  /** What both engines hold now. */
  look(): Promise<Look>;
  /** Fails unless both engines come to hold what they held at `before`, and nothing is left of the receiver. */
  expectUnchanged(before: Look, receiver?: Receiver): Promise<void>;
}

/** With engines and a directory of its own, which end with it. */
export interface Scene extends Between, AsyncDisposable {}

export interface SendOptions extends ImgmvOptions {
  /** `send` when left out. */
  readonly command?: 'send' | 'plan';
  /** In place of the receiver's address and port. */
  readonly to?: string;
  /** In place of the receiver's. */
  readonly codeFile?: string;
}

export interface Look {
  readonly source: Held;
  readonly target: Held;
}

export interface Held {
  /** What `holdings` gives. */
  readonly shown: readonly string[];
  /** Blobs of a containerd store, whole and begun, be they of an image or not. It drops some that it does not need at any time. */
  readonly content: readonly string[];
}

/** A classic engine drops its spool up to 1.5 s after the connection broke, more on a busy machine. */
const SETTLE_MS = 60_000;
const POLL_MS = 100;
const CONTENT = 'containerd/daemon/io.containerd.content.v1.content';

export async function startScene({ sourceBytes, targetBytes, ...flavours }: SceneOptions): Promise<Scene> {
  const directory = await scratchDirectory();
  const [source, target] = await Promise.all([
    startEngine({
      flavour: flavours.source,
      ...(sourceBytes !== undefined && { tmpfsBytes: sourceBytes }),
    }),
    startEngine({
      flavour: flavours.target,
      ...(targetBytes !== undefined && { tmpfsBytes: targetBytes }),
    }),
  ]);
  const scene = sceneOf(source, target, directory.path);
  return {
    ...scene,
    async [Symbol.asyncDispose]() {
      await Promise.all([source, target].map((engine) => engine[Symbol.asyncDispose]()));
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** One between engines that others may use, too. `directory`: for its files, and its own. */
export function sceneOf(source: Engine, target: Engine, directory: string): Between {
  let codeFiles = 0;
  const look = async (): Promise<Look> => ({
    source: await heldBy(source),
    target: await heldBy(target),
  });
  return {
    source,
    target,
    directory,
    look,
    async receive({ args = ['--once'], address = '127.0.0.1', ...options } = {}) {
      const codeFile = join(directory, `code-${++codeFiles}`);
      const where = ['--listen', `${address}:0`, '--code-file', codeFile, '--docker-host', target.dockerHost];
      // From a classic engine it pushes only what it can look at.
      const pushes = args.some((arg) => /^--(allow-)?push/.test(arg));
      const host = pushes ? target.place : undefined;
      const imgmv = runImgmv(['receive', '--json', ...where, ...args], { ...(host && { host }), ...options });
      const { port } = await imgmv.waitFor('listening');
      return {
        imgmv,
        address,
        port: Number(port),
        codeFile,
        [Symbol.asyncDispose]: () => imgmv[Symbol.asyncDispose](),
      };
    },
    send(receiver, args, options = {}) {
      const { command = 'send', codeFile = receiver.codeFile, ...others } = options;
      const { to = `${receiver.address}:${receiver.port}`, ...rest } = others;
      return runImgmv(
        [command, ...args, '--to', to, '--code-file', codeFile, '--docker-host', source.dockerHost],
        rest,
      );
    },
    async expectUnchanged(before, receiver) {
      await expectHeld(source, before.source);
      await expectHeld(target, before.target);
      if (receiver) await expectGone(receiver);
    },
  };
}

/** Waits for the end. The status and what was written are compared together, so that a failure shows both. */
export async function expectEnd(imgmv: Imgmv, exit: number, says: RegExp): Promise<void> {
  const { code, signal } = await imgmv.exit;
  const text = imgmv.stderr + imgmv.stdout;
  expect({ code, signal, text }).toEqual({ code: exit, signal: null, text: expect.stringMatching(says) });
}

/** Fails if the receiver lives, listens, or has left the code behind. */
export async function expectGone({ imgmv, port, codeFile }: Receiver): Promise<void> {
  await imgmv.exit;
  expect(isAlive(imgmv.pid)).toBe(false);
  expect(await run(['ss', '-ltnH', `sport = :${port}`])).toBe('');
  await expect(access(codeFile)).rejects.toThrow('ENOENT');
}

/** The names and ids that an engine shows, helpers included, and the files of an unfinished save or load. */
export async function holdings(engine: Engine): Promise<readonly string[]> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}';
  const images = await engine.docker(['image', 'ls', '--all', '--no-trunc', '--format', format]);
  const spool = await files(engine, 'tmp');
  return [...images.trim().split('\n'), ...spool.map((file) => `spooled ${file}`)].sort();
}

async function heldBy(engine: Engine): Promise<Held> {
  const begun = await files(engine, `${CONTENT}/ingest`);
  const whole = await files(engine, `${CONTENT}/blobs/sha256`);
  return { shown: await holdings(engine), content: [...begun, ...whole] };
}

/**
 * Fails unless the engine comes to show what it did at `before`, and to keep nothing beyond it. A layer that came whole,
 * and whose load was given up, is nobody's: containerd removes it when it next cleans up, which is when something else
 * is removed.
 */
export async function expectHeld(engine: Engine, before: Held): Promise<void> {
  if ((await heldBy(engine)).content.some((blob) => !before.content.includes(blob))) {
    const { name } = await loadImage(engine, { name: 'to-be-removed:1', layers: [{ x: 'x' }] });
    await engine.docker(['image', 'rm', name]);
  }
  const now = async () => {
    const { shown, content } = await heldBy(engine);
    return { shown, added: content.filter((blob) => !before.content.includes(blob)) };
  };
  await expectSettled(now, { shown: before.shown, added: [] });
}

/** The event of this name that has `index` before it. */
export async function nth(imgmv: Imgmv, name: string, index: number): Promise<JsonEvent> {
  let seen = 0;
  for await (const event of imgmv.events) if (event.event === name && seen++ === index) return event;
  throw new Error(`it ended before ${name} number ${index}: ${imgmv.stdout}${imgmv.stderr}`);
}

/** None where there is no such directory. */
function files(engine: Engine, path: string): Promise<readonly string[]> {
  return readdir(join(engine.dataRoot, path)).catch(() => []);
}

/** Resolves once the process has opened the file. */
export async function expectOpen({ pid }: Imgmv, path: string): Promise<void> {
  const folder = `/proc/${pid}/fd`;
  const opened = async () => {
    const links = (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => ''));
    return Promise.all(links);
  };
  await expect.poll(opened).toContain(path);
}

/** Fails unless what `look` gives comes to be `want`. */
export async function expectSettled<T>(look: () => Promise<T>, want: T): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  let now = await look();
  while (JSON.stringify(now) !== JSON.stringify(want) && performance.now() < deadline) {
    await sleep(POLL_MS);
    now = await look();
  }
  expect(now).toEqual(want);
}
