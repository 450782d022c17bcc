/**
 * Throws unless this process is root: the rig mounts, and makes namespaces. In a file of its own, so that a test that
 * asks for root is not sorted among the unit tests (see projects.ts).
 */
export function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error('not root');
}
