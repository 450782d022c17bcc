/** What a shell completes: names of images and docker contexts, fetched quickly or not at all. */
import { contextNames } from '../docker/endpoint.ts';
import { Engine, type EngineOptions } from '../docker/engine.ts';

/** Names of the images in the engine. Throws as `Engine.connect` does. */
export async function imageNames(options: EngineOptions): Promise<readonly string[]> {
  using engine = await Engine.connect(options);
  const images = await engine.list();
  return images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => !name.includes('<none>'));
}

/** With docker's own, which needs no file. */
export async function namesOfContexts(env: EngineOptions['env']): Promise<readonly string[]> {
  return ['default', ...(await contextNames(env))];
}
