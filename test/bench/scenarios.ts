/** What is moved where, and with what there already: each scenario has targets of its own, see targets.ts. */
import type { Engine } from '../rig/engine.ts';
import { type Archive, layer } from './archives.ts';
import { save } from './commands.ts';
import { type ImageSize, oneImage, threeImages, twoVersions } from './images.ts';
import { PEERS } from './peers.ts';
import { LINKS, type Link, type ScenarioName } from './results.ts';

export interface Scenario {
  readonly name: ScenarioName;
  readonly links: readonly Link[];
  /** The names of those that take part. */
  readonly peers: readonly string[];
  /** What is measured one after the other. Finds the images in the cache, or builds them. */
  subjects(sizes: readonly ImageSize[]): Promise<readonly Subject[]>;
}

/** Images that are moved in one go. */
export interface Subject {
  readonly name: string;
  readonly archive: Archive;
  /** Those that are moved; the source has no other. */
  readonly references: readonly string[];
  /** Those that the target has before each run; it has no other. */
  readonly held: readonly string[];
  /** What has to travel, where its size is a yardstick. */
  readonly payload?: {
    /** For people. */
    readonly what: string;
    /** The shell command that writes it. */
    command(source: Engine): Promise<string>;
  };
}

const IMGMV_ALONE = ['saved', 'imgmv'];

export const SCENARIOS: readonly Scenario[] = [
  /** The target has nothing. */
  {
    name: 'cold',
    links: LINKS,
    peers: PEERS.map(({ name }) => name),
    subjects: (sizes) => inTurn(sizes, cold),
  },
  /** The target has the image. */
  { name: 'again', links: ['loopback'], peers: IMGMV_ALONE, subjects: (sizes) => inTurn(sizes, again) },
  /** The target has a version of the image that differs in one layer. */
  {
    name: 'changed',
    links: ['loopback'],
    peers: ['floor', ...IMGMV_ALONE],
    subjects: async () => [await changed()],
  },
  /** The target has nothing and gets three images that have their base in common. */
  {
    name: 'three',
    links: ['loopback'],
    peers: ['pipe', ...IMGMV_ALONE],
    subjects: async () => [await three()],
  },
];

async function cold(size: ImageSize): Promise<Subject> {
  const archive = await oneImage(size);
  const { references } = archive;
  const payload = { what: 'docker save', command: async (source: Engine) => save(source, references) };
  return { name: size, archive, references, held: [], payload };
}

async function again(size: ImageSize): Promise<Subject> {
  const archive = await oneImage(size);
  return { name: size, archive, references: archive.references, held: archive.references };
}

async function changed(): Promise<Subject> {
  const archive = await twoVersions();
  const [older = '', newer = ''] = archive.references;
  const payload = { what: 'changed layer', command: () => layer(archive, newer, -1) };
  return { name: 'large', archive, references: [newer], held: [older], payload };
}

async function three(): Promise<Subject> {
  const archive = await threeImages();
  return { name: 'three sizes', archive, references: archive.references, held: [] };
}

/** One at a time: what is not in the cache takes all of the machine. */
async function inTurn<T, R>(items: readonly T[], make: (item: T) => Promise<R>): Promise<R[]> {
  const made: R[] = [];
  for (const item of items) made.push(await make(item));
  return made;
}
