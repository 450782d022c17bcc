/** The nodes of a YAML document as plain values of which each knows where it stands. */

import { type Place, type Problem, problemAt, shown } from './problems.ts';
import type { Alias, Node, Scalar, Yaml } from './yaml.ts';

/** Objects of JavaScript hide these, or worse. */
const RESERVED = ['__proto__', 'constructor', 'prototype'];

export const STAR_HINT = 'a pattern that begins with * stands in quotes';

/** A value of the file. That of an alias is its anchor's, shared and not copied: nothing grows by being repeated. */
export interface Located extends Place {
  /** Null, a boolean, a number, text, an array, or an object. */
  readonly value: unknown;
  /** As it is written, of what is no text and stands without quotes: `1.10` is the number 1.1. */
  readonly source?: string;
  /** Of a mapping by its keys, of a list by its indices. */
  readonly children: ReadonlyMap<string | number, Child>;
}

export interface Child {
  /** Where its key stands; of an item of a list, where that does. */
  readonly key: Place;
  readonly node: Located;
}

type Children = Map<string | number, Child>;

export class Locator {
  readonly problems: Problem[] = [];
  readonly #yaml: Yaml;
  readonly #placeOf: (offset: number) => Place;
  readonly #anchors = new Map<string, Located>();

  constructor(yaml: Yaml, placeOf: (offset: number) => Place) {
    this.#yaml = yaml;
    this.#placeOf = placeOf;
  }

  /** `offset` is where an empty value would stand. Undefined for an alias of nothing, which is a problem. */
  locate(node: Node | null, offset: number): Located | undefined {
    const place = this.#placeOf(node?.range?.[0] ?? offset);
    if (this.#yaml.isAlias(node)) return this.#aliased(node, place);
    const located = { ...place, ...this.#valueOf(node, offset) };
    // After what is in it, so that nothing holds itself.
    const anchor = (node as Scalar | null)?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, located);
    return located;
  }

  #aliased({ source }: Alias, place: Place): Located | undefined {
    const anchored = this.#anchors.get(source);
    if (anchored) return { ...anchored, ...place };
    const what = `${shown(`*${source}`)} is an alias, and nothing before it has that anchor`;
    this.problems.push(problemAt(place, `${what}; ${STAR_HINT}`));
    return undefined;
  }

  #valueOf(node: Node | null, offset: number): Pick<Located, 'value' | 'source' | 'children'> {
    const children: Children = new Map();
    if (this.#yaml.isMap(node)) {
      for (const { key, value } of node.items) this.#addPair(children, key as Scalar, value as Node | null);
      const entries = [...children].map(([key, child]) => [key, child.node.value] as const);
      return { value: Object.fromEntries(entries), children };
    }
    if (this.#yaml.isSeq(node)) {
      for (const item of node.items as (Node | null)[]) {
        const located = this.locate(item, offset);
        if (located) children.set(children.size, { key: located, node: located });
      }
      return { value: [...children.values()].map((child) => child.node.value), children };
    }
    const { value = null, source, type } = (node ?? {}) as Partial<Scalar>;
    const plain = typeof value !== 'string' && type === 'PLAIN' && source !== undefined;
    return { value, children, ...(plain && { source }) };
  }

  #addPair(children: Children, key: Scalar, value: Node | null): void {
    const name = String(key.value);
    const at = key.range?.[0] ?? 0;
    const before = children.get(name);
    const wrong = before
      ? `${shown(name)} stands in line ${before.key.line} already`
      : RESERVED.includes(name) && `${shown(name)} cannot be a key`;
    const node = this.locate(value, key.range?.[2] ?? at);
    if (wrong) this.problems.push(problemAt(this.#placeOf(at), wrong));
    else if (node) children.set(name, { key: this.#placeOf(at), node });
  }
}
