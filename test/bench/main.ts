/**
 * Measures imgmv against what people use today, between two throwaway engines on this machine. As root:
 *
 *     npm run bench -- [--rounds 3] [--scenarios cold,again,changed,three] [--images small,large]
 *                      [--links loopback,100mbit] [--hosts] [--only pipe,imgmv] [--before FILE]
 *
 * The images are those of `cold` and `again`; the others have their own. All but `cold` run over loopback alone.
 * --hosts adds a cable between two hosts that have a processor each, with their engines: what two machines would see.
 * With --before another build's imgmv.js runs before this one in every round, and the two are compared.
 * It asserts nothing. The tables go to standard output, every run to bench-results.json. The first run builds the
 * images, which takes minutes.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { run } from '../rig/command.ts';
import { type Engine, startEngine } from '../rig/engine.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { requireRoot } from '../rig/root.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { IMAGE_SIZES } from './images.ts';
import { before, PEERS } from './peers.ts';
import { report } from './report.ts';
import { LINKS, type Results } from './results.ts';
import { type Measured, measureSubject, type Rounds } from './rounds.ts';
import { SCENARIOS } from './scenarios.ts';
import { makeKeys } from './sshd.ts';

/** All that is to be measured, in order. */
type Plan = readonly Pick<Rounds, 'scenario' | 'subject' | 'links' | 'peers' | 'rounds'>[];

const ENGINE_BYTES = 12 * 2 ** 30;
const RESULTS = 'bench-results.json';
/** By Debian package. */
const NEEDED = {
  '/usr/bin/time': 'time',
  '/usr/sbin/sshd': 'openssh-server',
  ssh: 'openssh-client',
  zstd: 'zstd',
  openssl: 'openssl',
  debootstrap: 'debootstrap',
};

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    scenarios: { type: 'string', default: SCENARIOS.map(({ name }) => name).join() },
    images: { type: 'string', default: IMAGE_SIZES.join() },
    links: { type: 'string', default: 'loopback,100mbit' },
    hosts: { type: 'boolean', default: false },
    only: { type: 'string', default: PEERS.map(({ name }) => name).join() },
    before: { type: 'string' },
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

  const plan = await makePlan();
  await using directory = await scratchDirectory();
  await makeKeys(directory.path);
  await using source = await startEngine({ flavour: '20', tmpfsBytes: ENGINE_BYTES });
  await using target = await startEngine({ flavour: '20', tmpfsBytes: ENGINE_BYTES });

  const measured: Measured[] = [];
  for (const part of plan)
    measured.push(await measureSubject({ ...part, source, target, directory: directory.path, say }));
  const results: Results = {
    date: new Date().toISOString(),
    machine: machine(source),
    facts: measured.map(({ facts }) => facts),
    plainBytesPerSecond: measured.flatMap(({ plainBytesPerSecond }) => plainBytesPerSecond),
    runs: measured.flatMap(({ runs }) => runs),
  };
  await writeFile(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  process.stdout.write(report(results));
}

async function makePlan(): Promise<Plan> {
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds: got ${values.rounds}, want 1 or more`);
  const sizes = chosen('images', IMAGE_SIZES, (size) => size);
  const links = LINKS.filter((link) =>
    link === 'hosts' ? values.hosts : chosen('links', LINKS, (one) => one).includes(link),
  );
  let peers = chosen('only', PEERS, ({ name }) => name);
  if (!existsSync(IMGMV)) {
    say(`${IMGMV} is missing, so imgmv is left out: npm run build`);
    peers = peers.filter(({ name }) => name !== 'imgmv');
  }
  const plan: Plan[number][] = [];
  for (const scenario of chosen('scenarios', SCENARIOS, ({ name }) => name)) {
    const own = {
      scenario: scenario.name,
      links: links.filter((link) => scenario.links.includes(link)),
      peers: peers
        .filter(({ name }) => scenario.peers.includes(name))
        .flatMap((peer) => (peer.name === 'imgmv' && values.before ? [before(values.before), peer] : [peer])),
    };
    if (own.links.length === 0 || own.peers.length === 0) continue;
    say(`images of ${scenario.name}: looking in the cache, or building them`);
    for (const subject of await scenario.subjects(sizes)) plan.push({ ...own, subject, rounds });
  }
  return plan;
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
function chosen<T>(
  option: 'scenarios' | 'images' | 'links' | 'only',
  all: readonly T[],
  nameOf: (item: T) => string,
): T[] {
  const names = values[option].split(',');
  const known = all.map(nameOf);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`--${option}: got ${unknown.join()}, want some of ${known.join()}`);
  return all.filter((item) => names.includes(nameOf(item)));
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
