/** `include` of a compose file: other projects that are part of this one (compose spec, 14-include.md). */
import type { Variables } from './interpolation.ts';
import { type Position, usageAt } from './position.ts';
import { readText, type Text } from './service.ts';
import type { MapNode, YamlNode } from './yaml.ts';

/** All paths are as they are written: relative to the directory of the project that includes. */
interface Include {
  readonly at: Position;
  /** One file and those that override it. */
  readonly paths: readonly Text[];
  /** By itself the directory of the first file. */
  readonly directory: string | undefined;
  /** By itself the `.env` of its directory, if there is one. */
  readonly envFiles: readonly string[] | undefined;
}

/** Throws usage with the line. */
export function readIncludes(document: MapNode, variables: Variables): readonly Include[] {
  const node = document.entries.get('include');
  if (node === undefined || node.kind === 'null' || node.mode === 'reset') return [];
  if (node.kind !== 'list') throw usageAt(node.at, 'include has to be a list');
  return node.items.map((item) => readInclude(item, variables));
}

function readInclude(node: YamlNode, variables: Variables): Include {
  const { at } = node;
  if (node.kind !== 'map') {
    const paths = [readText(node, 'include', variables)];
    return { at, paths, directory: undefined, envFiles: undefined };
  }
  const texts = (key: string): readonly Text[] | undefined => {
    const field = node.entries.get(key);
    if (field === undefined || field.kind === 'null') return undefined;
    const items = field.kind === 'list' ? field.items : [field];
    return items.map((item) => readText(item, `include: ${key}`, variables));
  };
  const paths = texts('path') ?? [];
  const [directory] = texts('project_directory') ?? [];
  const envFiles = texts('env_file')?.map(({ text }) => text);
  if (paths.length === 0) throw usageAt(at, 'include names no path');
  return {
    at,
    paths,
    directory: directory?.text || undefined,
    envFiles: envFiles && envFiles.length > 0 ? envFiles : undefined,
  };
}
