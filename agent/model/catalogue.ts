/** Images that can be chosen, and what is chosen of them. */
import type { Digest, Name } from './image.ts';

/** What a place tells of an image at once. */
export interface Listed {
  readonly id: Digest;
  /** Familiar, with a tag. Private names of ours are not among them. */
  readonly names: readonly string[];
  /** It has neither a name nor a digest that it was pulled by. */
  readonly dangling: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly created: Date;
  /** As the place counts them. */
  readonly bytes: number;
}

/** An image that is meant, and the names by which it is. */
export interface Chosen {
  readonly id: Digest;
  readonly names: readonly string[];
}

export interface Catalogue {
  /** Each id once, in the order of the place. */
  list(): Promise<readonly Listed[]>;
  /** What the place tells of these images, by id. Images that are only parts of others are included. */
  facts(ids: readonly Digest[]): Promise<ReadonlyMap<Digest, Listed>>;
  /** What `reference` means: as docker takes it, without a name where it is an id; empty where nothing does. */
  find(reference: string): Promise<readonly Chosen[]>;
  /** The images of containers that run, by the name that each was started with. Absent where nothing runs. */
  running?(): Promise<readonly Chosen[]>;
  /** For errors, where it was looked: `on this host`, `in web.tar`. */
  readonly place: string;
  /** A hint for errors: what is there. Absent where there is a command that lists it. */
  readonly hint?: string;
}

/** An image that was chosen, with the names under which it is to travel. */
export interface Meant {
  readonly id: Digest;
  readonly names: readonly Name[];
}
