/** How the layers of images are read at their source, where that can be done in two ways. */
import { sourceNameOf } from './names.ts';

interface Read {
  readonly id: string;
  readonly refs: readonly { readonly source: string; readonly target: string }[];
  readonly read?: 'store' | 'save' | null | undefined;
  readonly readReason?: string | null | undefined;
}

/** One sentence for each way of reading, with the names of its images unless there is only one way. Not escaped. */
export function readings(images: readonly Read[]): readonly string[] {
  const read = images.filter((image) => image.read);
  const ways = new Set(read.map(wayOf));
  return [...ways].map((way) => {
    const alike = read.filter((image) => wayOf(image) === way);
    const whose = alike.length === read.length ? '' : ` of ${alike.map(sourceNameOf).join(', ')}`;
    return `Layers${whose} are ${way}.`;
  });
}

function wayOf({ read, readReason }: Read): string {
  if (read === 'store') return 'read where the engine keeps them';
  return `read by docker save${readReason ? `: ${readReason}` : ''}`;
}
