/**
 * What a service uses besides its image, as far as that stays behind when the image moves: a build, files of variables,
 * volumes and bind mounts, configs and secrets. Lists of later files are added to those before, by what they are for
 * (compose spec, 13-merge.md). What has another form than the spec gives it is passed over: compose tells of it.
 */
import { ImgmvError } from '../../proto/errors.ts';
import { USE_NAME_MAX_CHARS } from '../choose/limits.ts';
import { interpolate, type Variables } from './interpolation.ts';
import type { Position } from './position.ts';
import type { MapNode, Mode, YamlNode } from './yaml.ts';

export interface Use {
  readonly kind: 'build' | 'env-file' | 'volume' | 'bind-mount' | 'config' | 'secret';
  /** A path as it is written, or a name in the compose file; its variables are in place. */
  readonly name: string;
  readonly at: Position;
}

/** By what each is for, so that a later file can say otherwise. */
type ByPurpose = ReadonlyMap<string, Use>;

const FIELDS = ['build', 'env_file', 'volumes', 'configs', 'secrets'] as const;
type Field = (typeof FIELDS)[number];

export type Uses = Readonly<Record<Field, ByPurpose>>;
export type UsesChange = Readonly<Record<Field, { readonly mode: Mode; readonly value: ByPurpose }>>;

export const NO_USES: Uses = perField(() => new Map());

function perField<T>(make: (field: Field) => T): Readonly<Record<Field, T>> {
  return Object.fromEntries(FIELDS.map((field) => [field, make(field)])) as Record<Field, T>;
}

export function readUses(service: MapNode, variables: Variables): UsesChange {
  return perField((field) => {
    const node = service.entries.get(field);
    if (node === undefined || node.mode === 'reset')
      return { mode: node?.mode ?? 'merge', value: new Map<string, Use>() };
    return { mode: node.mode, value: new Map(READERS[field](node, variables)) };
  });
}

export function usesIn(change: UsesChange): number {
  return FIELDS.reduce((sum, field) => sum + change[field].value.size, 0);
}

export function usesAsChange(uses: Uses): UsesChange {
  return perField((field) => ({ mode: 'merge', value: uses[field] }));
}

export function appliedUses(base: Uses, change: UsesChange): Uses {
  return perField((field) => {
    const { mode, value } = change[field];
    return mode === 'merge' ? new Map([...base[field], ...value]) : value;
  });
}

/** What `change` says together with `base`, still to be laid over what is before. */
export function togetherUses(base: Uses, change: UsesChange): UsesChange {
  const uses = appliedUses(base, change);
  return perField((field) => ({ mode: change[field].mode, value: uses[field] }));
}

type Entry = readonly [purpose: string, use: Use];

const READERS: Readonly<Record<Field, (node: YamlNode, variables: Variables) => readonly Entry[]>> = {
  build: (node, variables) => {
    const context = node.kind === 'map' ? node.entries.get('context') : node;
    const name = textOf(context, variables) ?? '.';
    return node.kind === 'null' ? [] : [['build', { kind: 'build', name, at: node.at }]];
  },
  env_file: (node, variables) =>
    itemsOf(node).flatMap((item): readonly Entry[] => {
      const name = textOf(item.kind === 'map' ? item.entries.get('path') : item, variables);
      return name ? [[name, { kind: 'env-file', name, at: item.at }]] : [];
    }),
  volumes: (node, variables) => itemsOf(node).flatMap((item) => volumeOf(item, variables)),
  configs: (node, variables) => itemsOf(node).flatMap((item) => granted('config', item, variables)),
  secrets: (node, variables) => itemsOf(node).flatMap((item) => granted('secret', item, variables)),
};

function itemsOf(node: YamlNode): readonly YamlNode[] {
  if (node.kind === 'list') return node.items;
  return node.kind === 'text' || node.kind === 'map' ? [node] : [];
}

/** Compose spec, 05-services.md, `volumes`: SOURCE:TARGET:MODE, or a mapping. One without a source is anonymous. */
function volumeOf(item: YamlNode, variables: Variables): readonly Entry[] {
  if (item.kind === 'map') {
    const [type, name, target] = ['type', 'source', 'target'].map((key) =>
      textOf(item.entries.get(key), variables),
    );
    const kind = type === 'bind' ? 'bind-mount' : 'volume';
    if (!name || (type !== 'bind' && type !== 'volume')) return [];
    return [[target ?? name, { kind, name, at: item.at }]];
  }
  // A drive of Windows has a colon of its own.
  const [, name, target] = /^((?:[a-z]:[\\/])?[^:]+):([^:]+)/i.exec(textOf(item, variables) ?? '') ?? [];
  if (name === undefined || target === undefined) return [];
  const kind = /^(?:[./~\\]|[a-z]:[\\/])/i.test(name) ? 'bind-mount' : 'volume';
  return [[target, { kind, name, at: item.at }]];
}

function granted(kind: 'config' | 'secret', item: YamlNode, variables: Variables): readonly Entry[] {
  const name = textOf(item.kind === 'map' ? item.entries.get('source') : item, variables);
  return name ? [[name, { kind, name, at: item.at }]] : [];
}

/** With its variables, or as it is written where they cannot be put in, and cut; undefined for what is no text. */
export function textOf(node: YamlNode | undefined, variables: Variables): string | undefined {
  if (node?.kind === 'other') return node.text;
  if (node?.kind !== 'text') return undefined;
  try {
    // The whole document has been looked at for variables that are not set.
    const told = { get: (name: string) => variables.get(name), unset: () => {} };
    return interpolate(node.text, told, node.at).slice(0, USE_NAME_MAX_CHARS);
  } catch (error) {
    if (error instanceof ImgmvError) return node.text.slice(0, USE_NAME_MAX_CHARS);
    throw error;
  }
}
