/** How images are called in what people read. */

/** For people: under which names an image goes, or its id. */
export function nameOf({
  refs,
  id,
}: {
  refs: readonly { source: string; target: string }[];
  id: string;
}): string {
  if (refs.length === 0) return short(id);
  return refs
    .map(({ source, target }) =>
      source === target ? target : `${source.startsWith('sha256:') ? short(source) : source} as ${target}`,
    )
    .join(', ');
}

/** As docker shows ids: 12 digits. */
export function short(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
