import prettyBytes from 'pretty-bytes';

export function title(text: string): void {
  process.stdout.write(`\n${text}\n\n`);
}

export function say(text: string): void {
  process.stdout.write(`  ${text}\n`);
}

/** A fact that the demo has just checked; throws if it does not hold. */
export function proved(fact: string, holds: boolean): void {
  if (!holds) throw new Error(`this should hold and does not: ${fact}`);
  say(`proved: ${fact}`);
}

export function size(bytes: number): string {
  return `${prettyBytes(bytes)} (${bytes.toLocaleString('en')} bytes)`;
}
