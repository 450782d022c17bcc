/** The rounds of one subject: each peer in turn, from a target in its first state to verified images. */
import { rm, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import { CABLE, type Hosts, twoHosts } from '../rig/hosts.ts';
import { bash } from './commands.ts';
import { accounted, bytesMoved, goodput, type Meter, meter, readUsage, type Sample } from './measure.ts';
import type { Outcome, Peer, Route } from './peers.ts';
import { pinEngine, pinned } from './processors.ts';
import type { Facts, Link, Run, ScenarioName } from './results.ts';
import type { Subject } from './scenarios.ts';
import { sendPlain } from './tcp.ts';

export interface Rounds {
  readonly scenario: ScenarioName;
  readonly subject: Subject;
  readonly links: readonly Link[];
  readonly peers: readonly Peer[];
  readonly rounds: number;
  /** Whatever they hold is removed. */
  readonly source: Engine;
  readonly target: Engine;
  /** For accounts, keys and codes. */
  readonly directory: string;
  say(line: string): void;
}

export interface Measured {
  readonly facts: Facts;
  readonly runs: readonly Run[];
  readonly plainBytesPerSecond: readonly number[];
}

const LIMIT_MBIT = 100;
const PLAIN_BYTES = 60e6;

export async function measureSubject(bench: Rounds): Promise<Measured> {
  const { source, target, subject } = bench;
  await fill(source, subject, subject.references);
  await fill(target, subject, subject.held);
  const facts = await factsOf(bench);
  const runs: Run[] = [];
  const plainBytesPerSecond: number[] = [];
  for (const link of bench.links) {
    const measured = await measureLink(bench, link);
    runs.push(...measured.runs);
    plainBytesPerSecond.push(...measured.plain);
  }
  return { facts, runs, plainBytesPerSecond };
}

/** All rounds over one link. Everything runs in namespaces whose devices carry nothing else. */
async function measureLink(bench: Rounds, link: Link): Promise<{ runs: Run[]; plain: number[] }> {
  const limited = link === '100mbit';
  await using hosts = await twoHosts(limited ? { rateMbit: LIMIT_MBIT } : {});
  await using counters = await meter(hosts.a, link === 'loopback' ? 'lo' : CABLE);
  const apart = link === 'hosts';
  await using _ = apart ? await enginesApart(bench) : undefined;
  const [a, b] = apart ? [pinned(hosts.a, 0), pinned(hosts.b, 1)] : [hosts.a, hosts.b];
  const ends =
    limited || apart ? { from: a, to: b, address: b.address } : { from: a, to: a, address: '127.0.0.1' };
  const { scenario, subject, say } = bench;
  const route: Route = { ...bench, ...ends, references: subject.references };
  const peers = bench.peers.filter(({ local }) => !(local && limited));

  const runs: Run[] = [];
  const plain: number[] = [];
  for (let round = 1; round <= bench.rounds; round++) {
    if (limited) plain.push(await measurePlain(hosts, counters, say));
    let pipeSeconds: number | undefined;
    for (const peer of peers) {
      const where = { scenario, link, subject: subject.name, round, peer: peer.name, title: peer.title };
      const what = `${scenario}: ${subject.name} over ${link}, round ${round}, ${peer.title}`;
      try {
        await keepOnly(bench.target, subject.held);
        const { outcome, samples } = await measurePeer(peer, route, counters);
        if (peer.name === 'pipe') pipeSeconds = outcome.seconds;
        runs.push({
          ...where,
          ...outcome,
          wireBytes: bytesMoved(samples),
          ...(pipeSeconds !== undefined && { ratio: outcome.seconds / pipeSeconds }),
          ...(limited && { bytesPerSecond: goodput(samples) }),
        });
        say(`${what}: ${outcome.seconds.toFixed(2)} s`);
      } catch (error) {
        // The other runs are worth having all the same.
        say(`${what}: failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return { runs, plain };
}

/** Until it is disposed of. */
async function enginesApart({ source, target }: Rounds): Promise<AsyncDisposable> {
  const count = cpus().length;
  if (count < 2) throw new Error('--hosts: each host needs a processor of its own, and this machine has one');
  await pinEngine(source, 0, count);
  await pinEngine(target, 1, count);
  return {
    async [Symbol.asyncDispose]() {
      for (const engine of [source, target]) await pinEngine(engine, 'all', count);
    },
  };
}

/** One run, to verified images. */
async function measurePeer(
  peer: Peer,
  route: Route,
  counters: Meter,
): Promise<{ outcome: Outcome; samples: readonly Sample[] }> {
  const { value: outcome, samples } = await counters.record(() => peer.run(route));
  if (peer.loads) await verify(route);
  return { outcome, samples };
}

async function measurePlain({ a, b }: Hosts, counters: Meter, say: Rounds['say']): Promise<number> {
  const { samples } = await counters.record(() => sendPlain(a, b, PLAIN_BYTES));
  const bytesPerSecond = goodput(samples);
  say(`plain TCP: ${((bytesPerSecond * 8) / 1e6).toFixed(1)} Mbit/s`);
  return bytesPerSecond;
}

/** Makes an engine hold these images of the subject's archive, and no others. */
async function fill(engine: Engine, { archive }: Subject, references: readonly string[]): Promise<void> {
  await keepOnly(engine, []);
  if (references.length > 0) await engine.docker(['load', '--input', archive.path]);
  await keepOnly(engine, references);
}

/** Removes all other images from an engine. Throws if one of these is not there. */
async function keepOnly(engine: Engine, references: readonly string[]): Promise<void> {
  const named = ['--filter', 'dangling=false', '--format', '{{.Repository}}:{{.Tag}}'];
  const held = (await engine.docker(['image', 'ls', ...named])).split('\n').filter((line) => line !== '');
  const others = held.filter((reference) => !references.includes(reference));
  if (others.length > 0) await engine.docker(['image', 'rm', ...others]);
  await engine.docker(['image', 'prune', '--force']);
  const absent = references.filter((reference) => !held.includes(reference));
  if (absent.length > 0) throw new Error(`${absent.join(' ')}: no longer on the engine`);
}

/** A way that is fast because it lost an image is not counted. */
async function verify({ source, target, references }: Route): Promise<void> {
  const [want, got] = await Promise.all(
    [source, target].map((engine) => inspect(engine, references, '{{.Id}}')),
  );
  if (String(want) !== String(got)) throw new Error(`${references}: want ${want} on the target, got ${got}`);
}

async function factsOf({ scenario, subject, source, directory }: Rounds): Promise<Facts> {
  const { name, references, payload } = subject;
  const sizes = await inspect(source, references, '{{.Size}}');
  const images = references.map((reference, index) => ({ reference, bytes: Number(sizes[index]) }));
  if (!payload) return { scenario, subject: name, images };
  const command = await payload.command(source);
  const file = join(directory, 'payload');
  await bash(`${command} > ${file}`);
  const { size: bytes } = await stat(file);
  const zstdBytes = Number(await bash(`zstd -3 -T1 --quiet --stdout ${file} | wc -c`));
  const bareSeconds = await bareSecondsOf(file, join(directory, 'bare.account'));
  await rm(file);
  return { scenario, subject: name, images, payload: { what: payload.what, bytes, zstdBytes, bareSeconds } };
}

/** Hashing twice, compressing and decompressing by themselves, one after the other. */
async function bareSecondsOf(file: string, account: string): Promise<number> {
  const packed = `${file}.zst`;
  const hash = ['openssl', 'dgst', '-sha256', file];
  const pack = ['zstd', '-1', '-T1', '--quiet', '--force', '-o', packed, file];
  const unpack = ['zstd', '--decompress', '--quiet', '--force', '-o', '/dev/null', packed];
  let seconds = 0;
  for (const command of [hash, pack, unpack, hash]) {
    await run(accounted(command, account));
    seconds += (await readUsage(account)).cpuSeconds;
  }
  await rm(packed);
  return seconds;
}

/** One line for each image. */
async function inspect(engine: Engine, references: readonly string[], format: string): Promise<string[]> {
  return (await engine.docker(['image', 'inspect', '--format', format, ...references])).trim().split('\n');
}
