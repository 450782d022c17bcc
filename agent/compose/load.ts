/** Files of one project laid over one another, with what they include and extend. */
import { dirname, isAbsolute, resolve } from 'node:path';
import { EXTENDS_DEPTH_MAX, INCLUDE_DEPTH_MAX } from '../choose/limits.ts';
import type { ComposeFiles } from './files.ts';
import { readIncludes } from './include.ts';
import type { Variables } from './interpolation.ts';
import { type Position, usageAt } from './position.ts';
import type { Resources } from './resources.ts';
import {
  applied,
  appliedAll,
  asChange,
  extended,
  readServices,
  type ServiceChange,
  type ServiceChanges,
  type Services,
  together,
} from './service.ts';
import type { MapNode } from './yaml.ts';

interface Project {
  readonly files: ComposeFiles;
  /** What relative paths in its files are relative to, absolute. */
  readonly directory: string;
  readonly variables: Variables;
  /** Of all files that are its own or included. */
  readonly resources: Resources;
  /** Looks at a whole document for variables that are not set; more than once is as good as once. */
  readonly look: (document: MapNode, variables: Variables) => void;
  /** The variables of a project that is included, which has its own files of them. */
  included(directory: string, envFiles: readonly string[] | undefined): Promise<Variables>;
}

/** Where `extends` of a service looks for the other one. */
interface Scope {
  readonly file: string;
  readonly directory: string;
  readonly services: ReadonlyMap<string, ServiceChange>;
}

/** `paths` are absolute, later ones go before earlier ones. `including` are the files that include these. */
export async function loadServices(
  paths: readonly string[],
  project: Project,
  including: readonly string[],
): Promise<Services> {
  let services: Services = new Map();
  for (const path of paths) {
    for (const document of await project.files.documents(path)) {
      project.look(document, project.variables);
      project.resources.add(document, project.variables);
      const own = readServices(document, project.variables);
      // What a document says itself goes before what it includes.
      const all = under(await includedServices(document, project, [...including, path]), own.services);
      services = appliedAll(services, await withExtended({ ...own, services: all }, path, project));
    }
  }
  return services;
}

/** Of all files that a document includes (compose spec, 14-include.md); what an earlier one says goes before. */
async function includedServices(
  document: MapNode,
  project: Project,
  including: readonly string[],
): Promise<Services> {
  let services: Services = new Map();
  for (const include of readIncludes(document, project.variables)) {
    const paths = include.paths.map(({ text }) => resolve(project.directory, text));
    for (const [index, path] of paths.entries()) {
      const { at, text } = include.paths[index] ?? { at: include.at, text: path };
      refuseRemote(text, at);
      const way = [...including, path].map((one) => project.files.shown(one));
      if (including.includes(path))
        throw usageAt(at, `${project.files.shown(path)} includes itself: ${way.join(' includes ')}`);
      if (including.length >= INCLUDE_DEPTH_MAX)
        throw usageAt(at, `files include one another more than ${INCLUDE_DEPTH_MAX} deep`);
    }
    const directory = resolve(project.directory, include.directory ?? dirname(paths[0] ?? '.'));
    const envFiles = include.envFiles
      ?.filter((file) => file !== '/dev/null')
      .map((file) => resolve(project.directory, file));
    const variables = await project.included(directory, envFiles);
    const found = await loadServices(paths, { ...project, directory, variables }, including);
    services = appliedAll(found, changesOf(services));
  }
  return services;
}

/** `before` goes under what is said now, whose `!reset` and `!override` count on. */
function under(before: Services, now: ServiceChanges['services']): ServiceChanges['services'] {
  const services = new Map(changesOf(before).services);
  for (const [name, change] of now) {
    const base = before.get(name);
    services.set(name, base !== undefined && change.mode === 'merge' ? together(base, change) : change);
  }
  return services;
}

function changesOf(services: Services): ServiceChanges {
  return {
    mode: 'merge',
    services: new Map([...services].map(([name, service]) => [name, asChange(service)])),
  };
}

async function withExtended(
  { mode, services }: ServiceChanges,
  path: string,
  project: Project,
): Promise<ServiceChanges> {
  const scope: Scope = { file: path, directory: project.directory, services };
  const done = new Map<string, ServiceChange>();
  for (const [name, change] of services) done.set(name, await resolved(name, change, scope, project, []));
  return { mode, services: done };
}

/** The service with all that it extends (compose spec, 05-services.md, `extends`). `trail` is what extends it. */
async function resolved(
  name: string,
  change: ServiceChange,
  scope: Scope,
  project: Project,
  trail: readonly string[],
): Promise<ServiceChange> {
  const { value: reference } = change.extends;
  if (reference === undefined) return change;
  const { at, file, service } = reference;
  const what = `service ${JSON.stringify(name)}`;
  const step = `${name} in ${project.files.shown(scope.file)}`;
  if (trail.includes(step))
    throw usageAt(at, `${what} extends itself: ${[...trail, step].join(' extends ')}`);
  if (trail.length >= EXTENDS_DEPTH_MAX)
    throw usageAt(at, `${what}: services extend one another more than ${EXTENDS_DEPTH_MAX} deep`);
  const there = file === undefined ? scope : await otherScope(file, scope, at, project);
  const base = there.services.get(service);
  if (base === undefined || base.mode === 'reset')
    throw usageAt(
      at,
      `${what} extends ${JSON.stringify(service)}, which is not in ${project.files.shown(there.file)}`,
    );
  const whole = applied(undefined, await resolved(service, base, there, project, [...trail, step]));
  return whole ? extended(whole, change) : change;
}

/** Another file's services as they stand there: what they extend in turn is relative to that file. */
async function otherScope(file: string, from: Scope, at: Position, project: Project): Promise<Scope> {
  refuseRemote(file, at);
  const path = resolve(from.directory, file);
  let services: ServiceChanges['services'] = new Map();
  for (const document of await project.files.documents(path)) {
    project.look(document, project.variables);
    const own = readServices(document, project.variables);
    const before = own.mode === 'merge' ? services : new Map<string, ServiceChange>();
    services = under(appliedAll(new Map(), { mode: 'merge', services: before }), own.services);
  }
  return { file: path, directory: dirname(path), services };
}

/** Compose gets files from git and from registries, too; imgmv reads what is on this host. */
function refuseRemote(path: string, at: Position): void {
  if (isAbsolute(path) || !/^(?:[a-z+]+:\/\/|git@|github\.com\/)/.test(path)) return;
  throw usageAt(
    at,
    `${path} is not on this host`,
    '`docker compose config` merges all into one file: read that one instead',
  );
}
