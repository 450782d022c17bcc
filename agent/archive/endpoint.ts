/** What people call images to copy: skopeo's names of transports, and what is behind them. */
import { ImgmvError } from '../../proto/errors.ts';

export const FILE_KINDS = ['docker-archive', 'oci-archive'] as const;
export const DIRECTORY_KINDS = ['oci', 'dir'] as const;

/** An engine's image, or all that is to go into the engine. */
export interface EngineEndpoint {
  readonly kind: 'docker-daemon';
  /** '' for none. */
  readonly reference: string;
}

export interface ArchiveEndpoint {
  readonly kind: (typeof FILE_KINDS)[number] | (typeof DIRECTORY_KINDS)[number];
  /** `-` is standard input or output. */
  readonly path: string;
  /** Which of its images, or what the one that goes in is to be called. */
  readonly reference?: string;
}

export type ImageEndpoint = EngineEndpoint | ArchiveEndpoint;

const KINDS = ['docker-daemon', ...FILE_KINDS, ...DIRECTORY_KINDS];

/** As it was given: `docker-archive:web.tar:web:1.0`. */
export function endpointText(endpoint: ImageEndpoint): string {
  if (endpoint.kind === 'docker-daemon') return `docker-daemon:${endpoint.reference}`;
  const { kind, path, reference } = endpoint;
  return `${kind}:${path}${reference === undefined ? '' : `:${reference}`}`;
}

/** Throws usage. A path ends at its first colon, as with skopeo. */
export function parseEndpoint(text: string): ImageEndpoint {
  const [, kind = '', rest = ''] = /^([a-z-]+):(.*)$/s.exec(text) ?? [];
  if (!KINDS.includes(kind)) throw unknown(text);
  if (kind === 'docker-daemon') return { kind, reference: rest };
  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const reference = colon < 0 ? undefined : rest.slice(colon + 1);
  const isFile = (FILE_KINDS as readonly string[]).includes(kind);
  if (path === '' || reference === '')
    throw new ImgmvError('usage', `${JSON.stringify(text)} names no ${isFile ? 'file' : 'directory'}`, {
      hint: isFile ? `for example ${kind}:images.tar, or ${kind}:-` : `for example ${kind}:images`,
    });
  if (path === '-' && !isFile)
    throw new ImgmvError('usage', `${kind}: is a directory, and - a stream`, {
      hint: 'docker-archive:- and oci-archive:- are streams',
    });
  if (kind === 'dir' && reference !== undefined)
    throw new ImgmvError('usage', `${JSON.stringify(text)}: a dir: holds one image, without a name`);
  return { kind: kind as ArchiveEndpoint['kind'], path, ...(reference !== undefined && { reference }) };
}

function unknown(text: string): ImgmvError {
  return new ImgmvError('usage', `${JSON.stringify(text)} is no place for images`, {
    hint: `docker-daemon:${text.includes(':') || text.includes('/') ? 'NAME' : text} is an image of the engine; others are docker-archive:FILE, oci-archive:FILE, oci:DIR, dir:DIR`,
  });
}
