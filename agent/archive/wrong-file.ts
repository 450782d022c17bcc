/** What a file seems to be that is no archive of images, for whoever named it. Decides nothing: what is read is checked. */
import { peek } from '../streams/peek.ts';
import type { Contents } from './contents.ts';
import type { Input } from './input.ts';

const HEAD_BYTES = 512;
/** Directories at the top of a Linux file system. A `docker export` has most of them. */
const ROOT_DIRECTORY = /^(?:bin|dev|etc|lib|proc|sbin|sys|usr|var)\//;
const ROOT_NAMES_MIN = 2;
/** The name in the first header of a tar of a root file system. */
const ROOT_FIRST = /^(?:\.\/)?(?:\.dockerenv|(?:bin|dev|etc|lib|proc|sbin|sys|usr|var)\/?)\0/;
const EXPORTED =
  'it seems to be the file system of a container, as docker export writes it: use docker save, or run docker import first';

/** A hint for what holds no document of an archive; undefined where nothing is to be guessed. */
export function seemsToHold({ files, links }: Contents): string | undefined {
  const names = [...files.keys(), ...links.keys()];
  if (files.has('repositories') && names.some((name) => /^[0-9a-f]{64}\/layer\.tar$/.test(name)))
    return 'it seems to be from Docker 1.9 or older: load it into Docker 1.10 or newer, and save it there';
  const top = new Set(names.filter((name) => ROOT_DIRECTORY.test(name)).map((name) => name.split('/')[0]));
  if (files.has('.dockerenv') || top.size >= ROOT_NAMES_MIN) return EXPORTED;
  const inner = names.filter((name) => /\/(?:manifest\.json|oci-layout)$/.test(name))[0];
  if (inner !== undefined)
    return `the archive seems to be in the directory ${JSON.stringify(inner.replace(/\/[^/]*$/, '').slice(0, 100))}: pack the contents of that directory`;
  if (names.length === 1)
    return `it holds only ${JSON.stringify(names[0]?.slice(0, 100))}, which may be the archive: unpack it first`;
  return undefined;
}

/** A hint for what is no good tar, by how it begins. Throws what reading throws. */
export async function seemsToBegin(
  input: Pick<Input, 'read'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { head } = await peek(input.read(0, HEAD_BYTES, signal), HEAD_BYTES);
  if (ROOT_FIRST.test(head.toString('latin1'))) return EXPORTED;
  if (head[0] === 0xff && head[1] === 0xfe)
    return 'it seems to be UTF-16, as PowerShell writes with `>`: use docker save -o FILE';
  if (/^\s*<(?:!doctype|html|\?xml)/i.test(head.toString('latin1')))
    return 'it seems to be a web page, perhaps a login or an error: download the file again';
  return undefined;
}
