/** The YAML package, read and run when there is a move file: other commands do not wait for it. */
export type { Alias, CST, Document, Node, ParsedNode, Scalar } from 'yaml';

export type Yaml = typeof import('yaml');

export function loadYaml(): Promise<Yaml> {
  return import('yaml');
}
