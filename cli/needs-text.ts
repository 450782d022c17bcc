/** What a compose project needs besides its images, below the plan. */
import type { PlanNeed } from '../agent/model/events.ts';
import { escapeText } from './escape.ts';

const LINES_MAX = 20;
const TEXT_MAX_CHARACTERS = 100;
const SERVICES_SHOWN = 3;

const WORDS: Readonly<Record<PlanNeed['kind'], string>> = {
  build: 'build from',
  'env-file': 'env file',
  volume: 'volume',
  'bind-mount': 'bind mount',
  config: 'config',
  secret: 'secret',
  network: 'network',
};

/** Ends with a newline; empty for none. */
export function needsText(needs: readonly PlanNeed[] = []): string {
  if (needs.length === 0) return '';
  const lines = needs.slice(0, LINES_MAX).map((need) => `  ${lineOf(need)}`);
  const more = needs.length - LINES_MAX;
  if (more > 0) lines.push(`  … and ${more} more, which --json lists`);
  return `Compose also needs these, which are not moved:\n${lines.join('\n')}\n`;
}

function lineOf({ kind, name, external, from, services }: PlanNeed): string {
  const what = `${external ? 'external ' : ''}${WORDS[kind]} ${shown(name)}`;
  const origin = from === null || from === name ? '' : `, ${shown(from)}`;
  const users = services.slice(0, SERVICES_SHOWN).map(shown).join(', ');
  const more = services.length > SERVICES_SHOWN ? ` and ${services.length - SERVICES_SHOWN} more` : '';
  return `${what}${origin}${users === '' ? '' : ` (${users}${more})`}`;
}

/** Names and paths come from a file that anybody may have written. */
function shown(text: string): string {
  return escapeText(text.length > TEXT_MAX_CHARACTERS ? `${text.slice(0, TEXT_MAX_CHARACTERS)}…` : text);
}
