/**
 * YAML as compose means it: with lines, aliases, merge keys (YAML 1.1's `<<`) and the two tags of compose (spec,
 * 13-merge.md). What comes out shares what aliases name and never copies it, so that aliases of aliases cost nothing.
 */
import {
  type Alias,
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Pair,
  type ParsedNode,
  Parser,
  Scalar,
  type YAMLMap,
} from 'yaml';
import type { ImgmvError } from '../../proto/errors.ts';
import { YAML_DEPTH_MAX, YAML_LEXEMES_MAX, YAML_MERGED_KEYS_MAX } from '../choose/limits.ts';
import { type Position, usageAt } from './position.ts';

/** `reset`: `!reset`, which takes away what files before have; `override`: `!override`, which stands in its place. */
export type Mode = 'merge' | 'reset' | 'override';

interface Common {
  readonly at: Position;
  readonly mode: Mode;
}
export interface MapNode extends Common {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, YamlNode>;
}
export type YamlNode =
  | MapNode
  | (Common & { readonly kind: 'list'; readonly items: readonly YamlNode[] })
  | (Common & { readonly kind: 'null' })
  /** `other` are numbers and truth values: `text` is how one is written. */
  | (Common & { readonly kind: 'text' | 'other'; readonly text: string });

/** The documents of a file, empty ones left out. Throws usage with the line for what is no YAML. */
export function parseYaml(source: string, file: string): readonly YamlNode[] {
  const lines = new LineCounter();
  const lineAt = (offset: number): Position => ({ file, line: Math.max(1, lines.linePos(offset).line) });
  // The package's own check for keys that are there twice takes time by the square of their number; Reader has one.
  const composer = new Composer({ uniqueKeys: false });
  // It would collect them all, and of a file that is nothing else there may be a million. What it catches it tells here.
  let first: ImgmvError | undefined;
  Object.assign(composer, {
    onError(at: ErrorAt, _code: string, message: string, warning?: boolean) {
      if (warning) return;
      first ??= noYaml(lineAt(offsetOf(at)), message);
      throw first;
    },
  });
  return [...composer.compose(tokens(source, lines, lineAt))].flatMap((document) => {
    const [error] = document.errors;
    if (error) throw noYaml(lineAt(error.pos[0]), error.message);
    return document.contents === null ? [] : [new Reader(file, lines).read(document.contents, 0)];
  });
}

type ErrorAt = number | readonly number[] | { readonly offset: number };

function offsetOf(at: ErrorAt): number {
  if (typeof at === 'number') return at;
  return 'offset' in at ? at.offset : (at[0] ?? 0);
}

/**
 * As far as they are good and not too many, and nested no deeper than Reader goes: what is composed of them is
 * composed by recursion.
 */
function* tokens(source: string, lines: LineCounter, lineAt: (offset: number) => Position) {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(source)) {
    if (++lexemes > YAML_LEXEMES_MAX)
      throw usageAt(
        lineAt(parser.offset),
        `the file has more than ${YAML_LEXEMES_MAX} words and signs of YAML`,
      );
    for (const token of parser.next(lexeme)) {
      if (token.type === 'error') throw noYaml(lineAt(token.offset), messageOf(token));
      yield token;
    }
    if (parser.stack.length > YAML_DEPTH_MAX + TOKENS_AROUND) throw tooDeep(lineAt(parser.offset));
  }
  yield* parser.end();
}

/** Besides mappings and lists the parser has a document and a scalar open. */
const TOKENS_AROUND = 4;

/** As the composer has it. */
function messageOf({ message, source }: CST.ErrorToken): string {
  return source ? `${message}: ${JSON.stringify(source)}` : message;
}

class Reader {
  readonly #file: string;
  readonly #lines: LineCounter;
  /** Null while it is being read: what names it then is inside of it. */
  readonly #anchors = new Map<string, YamlNode | null>();
  #mergedKeys = 0;

  constructor(file: string, lines: LineCounter) {
    this.#file = file;
    this.#lines = lines;
  }

  /** `depth` is that of the mappings and lists around it. */
  read(node: ParsedNode, depth: number): YamlNode {
    if (isAlias(node)) return this.#named(node);
    const at = this.#position(node);
    if (depth > YAML_DEPTH_MAX) throw tooDeep(at);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, null);
    const result = this.#read(node, at, depth);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, result);
    return result;
  }

  #read(node: Exclude<ParsedNode, Alias.Parsed>, at: Position, depth: number): YamlNode {
    const common = { at, mode: modeOf(node.tag) };
    if (isMap(node)) return { ...common, kind: 'map', entries: this.#entries(node, depth) };
    if (isSeq(node)) {
      const items = node.items.map((item) => this.read(item as ParsedNode, depth + 1));
      return { ...common, kind: 'list', items };
    }
    const { value } = node;
    if (value === null || (node.type === Scalar.PLAIN && /^(?:~|null)?$/i.test(node.source)))
      return { ...common, kind: 'null' };
    if (typeof value === 'string') return { ...common, kind: 'text', text: value };
    return { ...common, kind: 'other', text: node.source };
  }

  /** Keys of the mapping itself go before merged ones, and of those the earlier before the later. */
  #entries(map: YAMLMap.Parsed, depth: number): ReadonlyMap<string, YamlNode> {
    const own = new Map<string, YamlNode>();
    const merged: YamlNode[] = [];
    for (const { key, value } of map.items as Pair<ParsedNode, ParsedNode | null>[]) {
      const at = this.#position(key);
      const node = value ? this.read(value, depth + 1) : ({ kind: 'null', at, mode: 'merge' } as const);
      if (!isScalar(key)) throw usageAt(at, 'a key has to be a text');
      const name = String(key.value);
      if (name === '<<' && key.type === Scalar.PLAIN) merged.push(node);
      else if (own.has(name)) throw usageAt(at, `the key ${JSON.stringify(name)} appears twice`);
      else own.set(name, node);
    }
    for (const source of merged.flatMap((node) => (node.kind === 'list' ? node.items : [node]))) {
      if (source.kind !== 'map') throw usageAt(source.at, 'a merge key (<<) takes mappings');
      this.#mergedKeys += source.entries.size;
      if (this.#mergedKeys > YAML_MERGED_KEYS_MAX)
        throw usageAt(source.at, `merge keys (<<) bring more than ${YAML_MERGED_KEYS_MAX} keys`);
      for (const [name, node] of source.entries) if (!own.has(name)) own.set(name, node);
    }
    return own;
  }

  #named(alias: Alias): YamlNode {
    const at = this.#position(alias);
    const node = this.#anchors.get(alias.source);
    if (node) return node;
    throw usageAt(
      at,
      node === null
        ? `*${alias.source} is inside the value that it names`
        : `no value before it has the anchor &${alias.source}`,
    );
  }

  #position(node: { readonly range?: readonly number[] | null | undefined }): Position {
    return { file: this.#file, line: this.#lines.linePos(node.range?.[0] ?? 0).line };
  }
}

function modeOf(tag: string | undefined): Mode {
  if (tag === '!reset') return 'reset';
  return tag === '!override' ? 'override' : 'merge';
}

function noYaml(at: Position, message: string) {
  return usageAt(at, `no YAML: ${message}`);
}

function tooDeep(at: Position) {
  return usageAt(at, `mappings and lists are nested more than ${YAML_DEPTH_MAX} deep`);
}
