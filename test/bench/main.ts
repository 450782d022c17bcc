/**
 * Measures imgmv against what people use today, between two throwaway engines on this machine. As root:
 *
 *     npm run bench -- [--rounds 3] [--images small,large] [--links loopback,100mbit] [--only pipe,imgmv]
 *
 * It asserts nothing. The table goes to standard output, every run to bench-results.json. The first run builds
 * the images, which takes minutes.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { run } from '../rig/command.ts';
import { type Engine, startEngine } from '../rig/engine.ts';
import { CABLE, type Hosts, twoHosts } from '../rig/hosts.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { requireRoot } from '../rig/support.ts';
import { type BenchImage, benchImage, IMAGE_SIZES } from './images.ts';
import { bytesMoved, goodput, type Meter, meter, type Sample } from './measure.ts';
import { type Outcome, PEERS, type Peer, type Route, zstdBytes } from './peers.ts';
import { type ImageFacts, LINKS, type Link, type Run, report } from './report.ts';
import { makeKeys } from './sshd.ts';
import { sendPlain } from './tcp.ts';

interface Plan {
  readonly rounds: number;
  readonly images: readonly BenchImage[];
  readonly peers: readonly Peer[];
}

/** What all runs share. */
interface Bench extends Plan {
  readonly source: Engine;
  readonly target: Engine;
  /** For accounts, keys and codes. */
  readonly directory: string;
}

const ENGINE_BYTES = 12 * 2 ** 30;
const LIMIT_MBIT = 100;
const PLAIN_BYTES = 60e6;
const RESULTS = 'bench-results.json';
/** By Debian package. */
const NEEDED = {
  '/usr/bin/time': 'time',
  '/usr/sbin/sshd': 'openssh-server',
  ssh: 'openssh-client',
  zstd: 'zstd',
  debootstrap: 'debootstrap',
};

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    images: { type: 'string', default: IMAGE_SIZES.join() },
    links: { type: 'string', default: LINKS.join() },
    only: { type: 'string', default: PEERS.map(({ name }) => name).join() },
  },
});
await main();

async function main(): Promise<void> {
  requireRoot();
  for (const [command, debianPackage] of Object.entries(NEEDED)) {
    await run(['sh', '-c', 'command -v "$1"', 'sh', command]).catch(() => {
      throw new Error(`${command} is missing: install ${debianPackage}`);
    });
  }
  // The peers' docker takes the engine that it is given, and nothing from the caller's settings.
  for (const name of Object.keys(process.env)) if (name.startsWith('DOCKER_')) delete process.env[name];

  const links = chosen('links', LINKS, (link) => link);
  const plan = await makePlan();
  await using directory = await scratchDirectory();
  await makeKeys(directory.path);
  await using source = await startEngine({ flavour: '20', tmpfsBytes: ENGINE_BYTES });
  await using target = await startEngine({ flavour: '20', tmpfsBytes: ENGINE_BYTES });
  for (const { archive } of plan.images) await source.docker(['load', '--input', archive]);
  const bench: Bench = { ...plan, source, target, directory: directory.path };

  const images = await Promise.all(plan.images.map((image) => facts(image, source)));
  const runs: Run[] = [];
  const plainBytesPerSecond: number[] = [];
  for (const link of links) {
    const measured = await measureLink(bench, link);
    runs.push(...measured.runs);
    plainBytesPerSecond.push(...measured.plain);
  }
  const results = {
    date: new Date().toISOString(),
    machine: machine(source),
    images,
    plainBytesPerSecond,
    runs,
  };
  await writeFile(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  process.stdout.write(report(results));
}

async function makePlan(): Promise<Plan> {
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds: got ${values.rounds}, want 1 or more`);
  let peers = chosen('only', PEERS, ({ name }) => name);
  if (!existsSync(IMGMV)) {
    say(`${IMGMV} is missing, so imgmv is left out: npm run build`);
    peers = peers.filter(({ name }) => name !== 'imgmv');
  }
  const images: BenchImage[] = [];
  for (const size of chosen('images', IMAGE_SIZES, (size) => size)) {
    say(`image ${size}: looking in the cache, or building it`);
    images.push(await benchImage(size));
  }
  return { rounds, images, peers };
}

/** All rounds of all images over one link. Everything runs in namespaces whose devices carry nothing else. */
async function measureLink(bench: Bench, link: Link): Promise<{ runs: Run[]; plain: number[] }> {
  const limited = link === '100mbit';
  await using hosts = await twoHosts(limited ? { rateMbit: LIMIT_MBIT } : {});
  await using counters = await meter(hosts.a, limited ? CABLE : 'lo');
  const ends = limited
    ? { from: hosts.a, to: hosts.b, address: hosts.b.address }
    : { from: hosts.a, to: hosts.a, address: '127.0.0.1' };
  const peers = bench.peers.filter(({ local }) => !(local && limited));

  const runs: Run[] = [];
  const plain: number[] = [];
  for (const { size: image, reference } of bench.images) {
    const route = { ...bench, ...ends, reference };
    for (let round = 1; round <= bench.rounds; round++) {
      if (limited) plain.push(await measurePlain(hosts, counters));
      let pipeSeconds: number | undefined;
      for (const peer of peers) {
        const where = { link, image, round, peer: peer.name, title: peer.title };
        const what = `${link} ${image} round ${round} ${peer.title}`;
        try {
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
  }
  return { runs, plain };
}

/** One run, from an emptied target to a verified image. */
async function measurePeer(
  peer: Peer,
  route: Route,
  counters: Meter,
): Promise<{ outcome: Outcome; samples: readonly Sample[] }> {
  await empty(route);
  const { value: outcome, samples } = await counters.record(() => peer.run(route));
  if (peer.loads) await verify(route);
  return { outcome, samples };
}

async function measurePlain({ a, b }: Hosts, counters: Meter): Promise<number> {
  const { samples } = await counters.record(() => sendPlain(a, b, PLAIN_BYTES));
  const bytesPerSecond = goodput(samples);
  say(`plain TCP: ${((bytesPerSecond * 8) / 1e6).toFixed(1)} Mbit/s`);
  return bytesPerSecond;
}

/** Takes from the target engine what the last run put there. */
async function empty({ target }: Route): Promise<void> {
  await target.docker(['image', 'prune', '--all', '--force']);
}

/** A way that is fast because it lost the image is not counted. */
async function verify({ source, target, reference }: Route): Promise<void> {
  const [want, got] = await Promise.all(
    [source, target].map((engine) => engine.docker(['image', 'inspect', '--format', '{{.Id}}', reference])),
  );
  if (want !== got) throw new Error(`${reference}: want ${want} on the target, got ${got}`);
}

async function facts({ size, reference }: BenchImage, source: Engine): Promise<ImageFacts> {
  const bytes = Number(await source.docker(['image', 'inspect', '--format', '{{.Size}}', reference]));
  return { image: size, reference, bytes, zstdBytes: await zstdBytes(source, reference) };
}

function machine(engine: Engine): Record<string, string | number> {
  return {
    processors: cpus().length,
    processor: cpus()[0]?.model ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    docker: engine.version,
  };
}

/** The members of a list that a comma-separated option names, in the list's order. */
function chosen<T>(option: 'images' | 'links' | 'only', all: readonly T[], nameOf: (item: T) => string): T[] {
  const names = values[option].split(',');
  const known = all.map(nameOf);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`--${option}: got ${unknown.join()}, want some of ${known.join()}`);
  return all.filter((item) => names.includes(nameOf(item)));
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
