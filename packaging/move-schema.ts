/** The JSON Schema of move files, for editors: made from the one that imgmv reads them by. */
import { toJsonSchema } from '@valibot/to-json-schema';
import { EXCLUDE, NEEDS } from '../cli/move-file/rules.ts';
import { moveSchema } from '../cli/move-file/schema.ts';

/**
 * Draft 07, which all editors take. What only imgmv can judge is left to it: whether a host, a name, a place or a day
 * is one, and control characters.
 */
export function moveJsonSchema(): object {
  const { $schema, type, additionalProperties, properties } = toJsonSchema(moveSchema, {
    target: 'draft-07',
    typeMode: 'input',
    ignoreActions: ['check'],
  });
  return {
    $schema,
    title: 'imgmv move',
    description: 'a move of Docker images: what `imgmv send --move FILE` and `imgmv plan --move FILE` read',
    type,
    additionalProperties,
    properties: Object.fromEntries(
      Object.entries(properties ?? {}).map(([key, property]) => [
        key,
        { title: `--${key}`, ...(property as object) },
      ]),
    ),
    dependencies: Object.fromEntries(Object.entries(NEEDS).map(([key, needed]) => [key, [needed]])),
    not: { anyOf: EXCLUDE.map((pair) => ({ required: pair })) },
  };
}
