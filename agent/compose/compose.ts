/**
 * The images of a docker compose project, by the compose spec (github.com/compose-spec/compose-spec) and, where that
 * leaves something open, as compose-go reads it. There is no library of it for JavaScript. It knows what names
 * images, and what they need besides: a file may hold things that compose would refuse, or variables that nobody has set.
 */
import { basename, dirname, resolve } from 'node:path';
import { SERVICES_MAX, WARNINGS_MAX } from '../choose/limits.ts';
import type { PlanNeed } from '../model/events.ts';
import { familiar, parseReference, withDefaultTag } from '../model/reference.ts';
import { usage } from '../streams/errors.ts';
import {
  defaultEnvFiles,
  type Environment,
  isTrue,
  projectEnvironment,
  variablesOf,
  withEnvFiles,
} from './environment.ts';
import { ComposeFiles, filesIn, kindOf, type Reading, type Warn } from './files.ts';
import type { Variables } from './interpolation.ts';
import { loadServices } from './load.ts';
import { needsOf } from './needs.ts';
import { usageAt } from './position.ts';
import { Resources } from './resources.ts';
import { readText, type Service } from './service.ts';
import { lookForUnset } from './unset.ts';
import type { MapNode } from './yaml.ts';

export interface ComposeImage {
  readonly service: string;
  /** Familiar, with its tag: what it is called at the engine. */
  readonly image: string;
  /** File and line (from 1) where its image or its build stands, for people. */
  readonly file: string;
  readonly line: number;
  /** It has a build and no image: its name is made as compose makes it, and it is there only once it was built. */
  readonly built: boolean;
}

interface ComposeImages {
  /** One for each service, whatever its profiles, in the order of the files; two may have the same image. */
  readonly images: readonly ComposeImage[];
  /** What is needed besides and does not move. */
  readonly needs: readonly PlanNeed[];
  /** What compose warns of: variables that are not set, files passed over. Each once. */
  readonly warnings: readonly string[];
}

interface ComposeOptions extends Reading {
  readonly env: Environment;
}

/**
 * What `docker compose -f` with these files names, later ones over earlier ones; a directory is what `docker compose`
 * finds there by itself. At least one is needed. Throws usage, with file and line where there is one.
 */
export async function composeImages(
  paths: readonly string[],
  { env, cwd, signal }: ComposeOptions,
): Promise<ComposeImages> {
  const warnings = new Map<string, string>();
  const warn: Warn = (warning, variable) => {
    const key = variable === undefined ? warning : `$${variable}`;
    if (!warnings.has(key)) warnings.set(key, warning);
  };
  const found = paths.map(async (given) => {
    const path = resolve(cwd, given);
    return (await kindOf(path)) === 'directory' ? filesIn(path, cwd, warn) : [path];
  });
  const sources = (await Promise.all(found)).flat();
  const [first] = sources;
  if (first === undefined) throw usage('no compose file');
  const directory = dirname(first);
  const options = { cwd, signal, warn };
  const files = new ComposeFiles(options);
  const environment = await projectEnvironment(env, directory, options);
  const name = await projectName(sources, files, directory, environment, warn);
  const named = { ...environment, COMPOSE_PROJECT_NAME: name };
  const included = async (where: string, envFiles: readonly string[] | undefined) =>
    variablesOf(await withEnvFiles(named, envFiles ?? (await defaultEnvFiles(where)), options), warn);
  const resources = new Resources();
  const variables = variablesOf(named, warn);
  const looked = new Set<MapNode>();
  const look = (document: MapNode, set: Variables) => {
    if (!looked.has(document)) lookForUnset(document, set, warn);
    looked.add(document);
  };
  const project = { files, directory, variables, resources, look, included };
  const services = await loadServices(sources, project, []);
  if (services.size === 0) throw usage(`${files.shown(first)}: not a compose file: it has no services`);
  if (services.size > SERVICES_MAX) throw usage(`${files.shown(first)}: more than ${SERVICES_MAX} services`);
  // As of its first version, which some still have their images from.
  const separator = isTrue(environment, 'COMPOSE_COMPATIBILITY') ? '_' : '-';
  const images = [...services].flatMap(
    ([service, what]) => imageOf(service, what, `${name}${separator}${service}`) ?? [],
  );
  return { images, needs: needsOf(services, resources, name), warnings: bounded([...warnings.values()]) };
}

function bounded(warnings: readonly string[]): readonly string[] {
  const more = warnings.length - WARNINGS_MAX;
  return more <= 0
    ? warnings
    : [...warnings.slice(0, WARNINGS_MAX), `… and ${more} more warnings like these`];
}

/** Compose spec, 04-version-and-name.md: the environment, then `name:` of the last file that has one, then the directory. */
async function projectName(
  paths: readonly string[],
  files: ComposeFiles,
  directory: string,
  environment: Environment,
  warn: Warn,
): Promise<string> {
  const fromEnvironment = environment.COMPOSE_PROJECT_NAME;
  if (fromEnvironment) {
    if (normalized(fromEnvironment) === fromEnvironment) return fromEnvironment;
    throw usage(`COMPOSE_PROJECT_NAME=${fromEnvironment} is not a project name`, { hint: NAME_HINT });
  }
  const documents = (await Promise.all(paths.map((path) => files.documents(path)))).flat();
  const names = documents.flatMap(({ entries }) => entries.get('name') ?? []);
  const last = names.findLast((node) => node.kind !== 'null' && !(node.kind === 'text' && node.text === ''));
  const stated = last && readText(last, 'name', variablesOf(environment, warn));
  const name = normalized(stated?.text ?? basename(directory));
  if (name !== '') return name;
  if (stated) throw usageAt(stated.at, `${JSON.stringify(stated.text)} is not a project name`, NAME_HINT);
  throw usage(`no project name can be made from the directory ${directory}`, {
    hint: 'give it one with name: in the file, or with COMPOSE_PROJECT_NAME',
  });
}

const NAME_HINT =
  'it has lower case letters, digits, dashes and underscores, and begins with a letter or a digit';

function normalized(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}

/** Undefined for a service that has none. */
function imageOf(name: string, service: Service, built: string): ComposeImage | undefined {
  const { image, build, provider, at } = service;
  const what = `service ${JSON.stringify(name)}`;
  const own = image?.text ? image : undefined;
  const where = own?.at ?? build;
  if (where) {
    const text = own?.text ?? built;
    const reference = parseReference(text);
    const how = own ? '' : ', as compose names it,';
    if (!reference) throw usageAt(where, `${what}: ${JSON.stringify(text)}${how} is not an image name`);
    return { service: name, image: familiar(withDefaultTag(reference)), ...where, built: !own };
  }
  if (provider) return undefined;
  if (image) throw usageAt(image.at, `${what}: its image is empty`);
  throw usageAt(at, `${what} has neither an image nor a build`);
}
