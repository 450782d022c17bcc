/** Which names of images that have arrived are pushed. The sender has chosen the names, so the receiver says which it means. */
import { isIP } from 'node:net';
import type { Renaming } from '../choose/rename.ts';
import { matchesTarget, type TargetPattern } from '../choose/target-pattern.ts';
import type { Name } from '../model/image.ts';
import { parseTarget } from '../model/reference.ts';

export interface PushPolicy {
  /** The other side, or the command line, wants each image pushed: a name that is not pushed is a failure. */
  readonly asked: boolean;
  /** Whoever runs this has chosen the images as well, so they are pushed even if their layers cannot be looked at. */
  readonly trusts: boolean;
  allows(name: Name): boolean;
}

/** For names that whoever runs this has chosen. */
export const EVERY_NAME: PushPolicy = { asked: true, trusts: true, allows: () => true };

/** Of a receiver: what its patterns allow, or without any, the names that its own rules make. */
export function pushRules(
  patterns: readonly TargetPattern[],
  renaming: Renaming,
  asked: boolean,
): PushPolicy {
  const allows = ({ offered, target }: Name): boolean => {
    const reference = parseTarget(target, 'the name to push');
    if (reference.domain === '') return false;
    if (patterns.length > 0) return patterns.some((pattern) => matchesTarget(pattern, target));
    const made = offered === undefined ? undefined : renaming.made(offered);
    return made?.name === target && made.registry === reference.domain && !isNear(reference.domain);
  };
  return { asked, trusts: false, allows };
}

/**
 * Whether a registry is an address, this host, or a name without a dot: what is behind it depends on where one stands, and
 * may be a service that takes whatever comes from this host. Only a pattern that names it allows it.
 */
export function isNear(domain: string): boolean {
  const host = domain.replace(/:[0-9]+$/, '').toLowerCase();
  if (host.startsWith('[') || !host.includes('.') || host.endsWith('.localhost')) return true;
  // The C library's resolver takes 127.1 and 0x7f.0.0.1 for addresses, as URLs do.
  return URL.canParse(`http://${host}`) ? isIP(new URL(`http://${host}`).hostname) !== 0 : true;
}
