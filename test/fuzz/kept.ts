/** The inputs of targets as JSON, and those that failed once: cases.json, which every run plays first. */
import { readFileSync, writeFileSync } from 'node:fs';

/** What an input may be made of. */
export type CaseData =
  | null
  | boolean
  | number
  | string
  | Buffer
  | readonly CaseData[]
  | { readonly [key: string]: CaseData | undefined };

export interface KeptCase {
  readonly target: string;
  /** What went wrong, for people. */
  readonly was: string;
  readonly input: CaseData;
}

const FILE = new URL('cases.json', import.meta.url);
const BYTES = '$hex';

export function keptCases(): readonly KeptCase[] {
  const kept = JSON.parse(readFileSync(FILE, 'utf8')) as readonly (KeptCase & { input: unknown })[];
  return kept.map((one) => ({ ...one, input: fromJson(one.input) }));
}

/** Adds a case behind the others, unless it is there. */
export function keep(added: KeptCase): void {
  const all = keptCases();
  const text = (one: KeptCase) => JSON.stringify(toJson(one.input));
  if (all.some((one) => one.target === added.target && text(one) === text(added))) return;
  const json = [...all, added].map((one) => ({ ...one, input: toJson(one.input) }));
  writeFileSync(FILE, `${JSON.stringify(json, null, 2)}\n`);
}

/** About the bytes that an input has. */
export function sizeOf(data: CaseData | undefined): number {
  if (typeof data === 'string' || data instanceof Buffer) return data.length;
  if (typeof data !== 'object' || data === null) return 8;
  return Object.values(data).reduce((sum: number, one) => sum + sizeOf(one), 8);
}

function toJson(data: CaseData | undefined): unknown {
  if (data instanceof Buffer) return { [BYTES]: data.toString('hex') };
  if (typeof data !== 'object' || data === null) return data;
  if (Array.isArray(data)) return data.map(toJson);
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, toJson(value)]));
}

function fromJson(json: unknown): CaseData {
  if (typeof json !== 'object' || json === null) return json as CaseData;
  if (Array.isArray(json)) return json.map(fromJson);
  const hex = (json as Record<string, unknown>)[BYTES];
  if (typeof hex === 'string') return Buffer.from(hex, 'hex');
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fromJson(value)]));
}
