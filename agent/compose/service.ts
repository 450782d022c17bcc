/**
 * What one file says of its services, as far as it says which images they have, and what files say together.
 * Compose spec, 13-merge.md: texts of later files go before those of earlier ones, what is empty (null) says nothing,
 * `!reset` takes away and `!override` stands in place of all that was there. What else a service uses is in uses.ts; the
 * rest of it is not checked.
 */
import { SERVICES_MAX, USES_MAX } from '../choose/limits.ts';
import { interpolate, type Variables } from './interpolation.ts';
import { type Position, usageAt } from './position.ts';
import {
  appliedUses,
  NO_USES,
  readUses,
  togetherUses,
  type Uses,
  type UsesChange,
  usesAsChange,
  usesIn,
} from './uses.ts';
import type { MapNode, Mode, YamlNode } from './yaml.ts';

/** A text with its variables in place. */
export interface Text {
  readonly text: string;
  readonly at: Position;
}

/** Of the compose spec, 05-services.md, `extends`. */
interface Extends {
  readonly service: string;
  /** Relative to the project's directory; absent for the same file. */
  readonly file?: string | undefined;
  readonly at: Position;
}

/** What decides on the image of a service. */
interface Fields {
  readonly image: Text;
  readonly build: Position;
  /** A service that something else than docker provides: it has no image. */
  readonly provider: Position;
  readonly extends: Extends;
}

export type Service = { readonly at: Position; readonly uses: Uses } & {
  readonly [F in keyof Fields]?: Fields[F] | undefined;
};

export type Services = ReadonlyMap<string, Service>;

interface Change<T> {
  readonly mode: Mode;
  readonly value: T | undefined;
}

/** What a file says of a service, to be laid over what files before it say. */
export type ServiceChange = { readonly at: Position; readonly mode: Mode; readonly uses: UsesChange } & {
  readonly [F in keyof Fields]: Change<Fields[F]>;
};

export interface ServiceChanges {
  readonly mode: Mode;
  readonly services: ReadonlyMap<string, ServiceChange>;
}

const NAME = /^[a-zA-Z0-9._-]+$/;

/** Of one document. Throws usage with the line for what compose would not take. */
export function readServices(document: MapNode, variables: Variables): ServiceChanges {
  const node = document.entries.get('services');
  if (node === undefined || node.mode === 'reset' || node.kind === 'null')
    return { mode: node?.mode ?? 'merge', services: new Map() };
  if (node.kind !== 'map') throw usageAt(node.at, 'services has to be a mapping of names to services');
  if (node.entries.size > SERVICES_MAX) throw usageAt(node.at, `more than ${SERVICES_MAX} services`);
  const services = [...node.entries].map(
    ([name, service]) => [name, readService(name, service, variables)] as const,
  );
  // Aliases can give each of many services the same long list.
  if (services.reduce((sum, [, { uses }]) => sum + usesIn(uses), 0) > USES_MAX)
    throw usageAt(node.at, `services use more than ${USES_MAX} volumes, files, configs and secrets`);
  return { mode: node.mode, services: new Map(services) };
}

function readService(name: string, node: YamlNode, variables: Variables): ServiceChange {
  const what = `service ${JSON.stringify(name)}`;
  if (!NAME.test(name))
    throw usageAt(node.at, `${what}: a service name has only letters, digits, dots, dashes and underscores`);
  const { at, mode } = node;
  if (mode === 'reset' || node.kind === 'null') return { ...asChange({ at, uses: NO_USES }), mode };
  if (node.kind !== 'map') throw usageAt(at, `${what} has to be a mapping`);
  const field = <T>(key: string, read: (field: YamlNode) => T): Change<T> => {
    const field = node.entries.get(key);
    const says = field !== undefined && field.mode !== 'reset' && field.kind !== 'null';
    return { mode: field?.mode ?? 'merge', value: says ? read(field) : undefined };
  };
  const text = (key: string) => (field: YamlNode) => readText(field, `${what}: ${key}`, variables);
  return {
    at,
    mode,
    uses: readUses(node, variables),
    image: field('image', text('image')),
    build: field('build', (build) => {
      if (build.kind === 'text') readText(build, `${what}: build`, variables);
      else if (build.kind !== 'map') throw usageAt(build.at, `${what}: build has to be a text or a mapping`);
      return build.at;
    }),
    provider: field('provider', (provider) => provider.at),
    extends: field('extends', (extended) => readExtends(extended, what, variables)),
  };
}

function readExtends(node: YamlNode, what: string, variables: Variables): Extends {
  const { at } = node;
  if (node.kind !== 'map') return { service: readText(node, `${what}: extends`, variables).text, at };
  const service = node.entries.get('service');
  const file = node.entries.get('file');
  if (service === undefined) throw usageAt(at, `${what}: extends names no service`);
  return {
    service: readText(service, `${what}: extends.service`, variables).text,
    file: file && file.kind !== 'null' ? readText(file, `${what}: extends.file`, variables).text : undefined,
    at,
  };
}

/** `what` it is, for the error. Throws usage for a number, too: 1.10 as a number is 1.1. */
export function readText(node: YamlNode, what: string, variables: Variables): Text {
  if (node.kind === 'other')
    throw usageAt(node.at, `${what} has to be a text`, `write it in quotes: "${node.text}"`);
  if (node.kind !== 'text') throw usageAt(node.at, `${what} has to be a text`);
  return { text: interpolate(node.text, variables, node.at), at: node.at };
}

function over<T>(base: T | undefined, { mode, value }: Change<T>): T | undefined {
  return mode === 'merge' ? (value ?? base) : value;
}

/** `base` as `change` leaves it; undefined where it takes the service away. */
export function applied(base: Service | undefined, change: ServiceChange): Service | undefined {
  if (change.mode === 'reset') return undefined;
  const under = change.mode === 'override' ? undefined : base;
  return {
    at: change.at,
    uses: appliedUses(under?.uses ?? NO_USES, change.uses),
    image: over(under?.image, change.image),
    build: over(under?.build, change.build),
    provider: over(under?.provider, change.provider),
    extends: over(under?.extends, change.extends),
  };
}

/** What `change` says together with the service that it extends: still to be laid over files before it. */
export function extended(base: Service, change: ServiceChange): ServiceChange {
  return { ...together(base, change), extends: { mode: 'merge', value: undefined } };
}

/** The same for what goes under it otherwise, and may extend something itself. */
export function together(base: Service, change: ServiceChange): ServiceChange {
  const on = <T>(under: T | undefined, field: Change<T>): Change<T> => ({
    mode: field.mode,
    value: over(under, field),
  });
  return {
    at: change.at,
    mode: change.mode,
    uses: togetherUses(base.uses, change.uses),
    image: on(base.image, change.image),
    build: on(base.build, change.build),
    provider: on(base.provider, change.provider),
    extends: on(base.extends, change.extends),
  };
}

export function asChange(service: Service): ServiceChange {
  const field = <T>(value: T | undefined): Change<T> => ({ mode: 'merge', value });
  return {
    at: service.at,
    mode: 'merge',
    uses: usesAsChange(service.uses),
    image: field(service.image),
    build: field(service.build),
    provider: field(service.provider),
    extends: field(service.extends),
  };
}

/** Services of files before, as the next one leaves them; in the order in which they were first named. */
export function appliedAll(before: Services, { mode, services }: ServiceChanges): Services {
  const after = new Map(mode === 'merge' ? before : []);
  for (const [name, change] of services) {
    const service = applied(after.get(name), change);
    if (service) after.set(name, service);
    else after.delete(name);
  }
  return after;
}
