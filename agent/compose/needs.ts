/** What a project needs besides its images, and what does not move with them. */
import type { PlanNeed } from '../model/events.ts';
import type { Resource, Resources } from './resources.ts';
import type { Services } from './service.ts';
import type { Use } from './uses.ts';

/** In the order of the services, each once with all services that use it. `project` is what compose calls it. */
export function needsOf(services: Services, resources: Resources, project: string): readonly PlanNeed[] {
  const needs = new Map<string, PlanNeed>();
  for (const [service, { uses }] of services)
    for (const use of Object.values(uses).flatMap((field) => [...field.values()])) {
      const need = needOf(use, resources, project);
      // A build is of one service, whatever else is built from there.
      const key = JSON.stringify([need.kind, need.name, need.kind === 'build' && service]);
      const before = needs.get(key);
      if (!before) needs.set(key, { ...need, services: [service] });
      else if (!before.services.includes(service))
        needs.set(key, { ...before, services: [...before.services, service] });
    }
  const networks = resources.all('networks').filter(({ external }) => external);
  return [
    ...needs.values(),
    ...networks.map((network) => ({ ...declared('network', network, undefined), services: [] })),
  ];
}

function needOf(use: Use, resources: Resources, project: string): Omit<PlanNeed, 'services'> {
  const { kind, name, at } = use;
  switch (kind) {
    case 'volume':
      return declared(kind, resources.get('volumes', name) ?? undeclared(use), `${project}_${name}`);
    case 'config':
      return declared(kind, resources.get('configs', name) ?? undeclared(use), undefined);
    case 'secret':
      return declared(kind, resources.get('secrets', name) ?? undeclared(use), undefined);
    default:
      return { kind, name, external: false, from: null, ...at };
  }
}

/** Compose refuses it; what there is to say of it is its name. */
function undeclared({ name, at }: Use): Resource {
  return { name, external: false, engineName: undefined, file: undefined, environment: undefined, at };
}

/** `made`: what the engine calls one that compose makes, if the file does not say. */
function declared(
  kind: PlanNeed['kind'],
  { name, external, engineName, file, environment, at }: Resource,
  made: string | undefined,
): Omit<PlanNeed, 'services'> {
  const variable = environment === undefined ? undefined : `$${environment}`;
  const own = engineName ?? (external ? name : made);
  return { kind, name, external, from: file ?? variable ?? own ?? null, ...at };
}
