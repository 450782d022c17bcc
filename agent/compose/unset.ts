/** Which variables a document uses that are not set: all of it is looked at, as compose does. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Warn } from './files.ts';
import { interpolate, type Variables } from './interpolation.ts';
import type { MapNode, YamlNode } from './yaml.ts';

/**
 * Tells `variables` of each that is not set, and warns of what compose would refuse. What aliases share is looked at
 * once, and values are left out, so that the work follows the size of the file.
 */
export function lookForUnset(document: MapNode, variables: Variables, warn: Warn): void {
  const looked = new Set<YamlNode>();
  const short: Variables = {
    get: (name) => variables.get(name)?.slice(0, 1),
    unset: (name, at) => variables.unset(name, at),
  };
  const look = (node: YamlNode): void => {
    if (looked.has(node) || node.mode === 'reset') return;
    looked.add(node);
    if (node.kind === 'map') for (const value of node.entries.values()) look(value);
    else if (node.kind === 'list') for (const item of node.items) look(item);
    else if (node.kind === 'text' && node.text.includes('$')) lookAt(node.text, node);
  };
  const lookAt = (text: string, { at }: YamlNode) => {
    try {
      interpolate(text, short, at);
    } catch (error) {
      if (!(error instanceof ImgmvError)) throw error;
      warn(error.message);
    }
  };
  look(document);
}
