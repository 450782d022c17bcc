/** The networks, volumes, configs and secrets that a project declares beside its services. */
import type { Variables } from './interpolation.ts';
import type { Position } from './position.ts';
import { textOf } from './uses.ts';
import type { MapNode, YamlNode } from './yaml.ts';

const SECTIONS = ['networks', 'volumes', 'configs', 'secrets'] as const;
type Section = (typeof SECTIONS)[number];

export interface Resource {
  /** As it is called in the file. */
  readonly name: string;
  /** Compose does not make it: it has to exist. */
  readonly external: boolean;
  /** What the engine calls it, if the file says so. */
  readonly engineName: string | undefined;
  /** Of a config or secret, where its content comes from. */
  readonly file: string | undefined;
  readonly environment: string | undefined;
  readonly at: Position;
}

export class Resources {
  readonly #found = new Map<Section, Map<string, Resource>>(SECTIONS.map((section) => [section, new Map()]));

  /** Later documents go before earlier ones. */
  add(document: MapNode, variables: Variables): void {
    for (const section of SECTIONS) {
      const node = document.entries.get(section);
      if (node?.mode === 'override' || node?.mode === 'reset') this.#of(section).clear();
      if (node?.kind !== 'map' || node.mode === 'reset') continue;
      for (const [name, resource] of node.entries)
        this.#of(section).set(name, readResource(name, resource, variables));
    }
  }

  get(section: Section, name: string): Resource | undefined {
    return this.#of(section).get(name);
  }

  all(section: Section): readonly Resource[] {
    return [...this.#of(section).values()];
  }

  #of(section: Section): Map<string, Resource> {
    return this.#found.get(section) as Map<string, Resource>;
  }
}

function readResource(name: string, node: YamlNode, variables: Variables): Resource {
  const entries = node.kind === 'map' ? node.entries : new Map<string, YamlNode>();
  const text = (key: string) => textOf(entries.get(key), variables);
  const external = entries.get('external');
  // Version 2 and 3 of the file format have `external: {name: X}`.
  const old = external?.kind === 'map' ? textOf(external.entries.get('name'), variables) : undefined;
  return {
    name,
    external: external?.kind === 'map' || textOf(external, variables)?.toLowerCase() === 'true',
    engineName: text('name') ?? old,
    file: text('file'),
    environment: text('environment'),
    at: node.at,
  };
}
