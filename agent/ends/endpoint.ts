/** All places of images: what people call them, by skopeo's names of transports, and what is behind that. */

import type { ImgmvError } from '../../proto/errors.ts';
import type { Format } from '../archive/each-sink.ts';
import { type ArchiveEndpoint, archiveText, DIRECTORY_KINDS, FILE_KINDS } from '../archive/endpoint.ts';
import type { EngineOptions } from '../docker/engine.ts';
import { usage } from '../streams/errors.ts';

/** An image of an engine, or all that is to go into it; not which engine. */
export interface EngineReference {
  readonly kind: 'docker-daemon';
  /** '' for none. */
  readonly reference: string;
}

export interface EngineEndpoint extends EngineReference {
  /** How the engine is found: endpoints with the same object are of one engine. */
  readonly engine: EngineOptions;
}

export interface EachEndpoint {
  readonly kind: 'each';
  readonly path: string;
  readonly format: Format;
}

/** What can be written on a command line. */
export type NamedEndpoint = EngineReference | ArchiveEndpoint;
export type SourceEndpoint = EngineEndpoint | ArchiveEndpoint;
export type SinkEndpoint = SourceEndpoint | EachEndpoint;

export const KINDS = ['docker-daemon', ...FILE_KINDS, ...DIRECTORY_KINDS];

export function endpointText(endpoint: NamedEndpoint | EachEndpoint): string {
  if (endpoint.kind === 'docker-daemon') return `docker-daemon:${endpoint.reference}`;
  return endpoint.kind === 'each' ? endpoint.path : archiveText(endpoint);
}

/** With the engine that it means, where it means one. */
export function located(endpoint: NamedEndpoint, engine: EngineOptions): SourceEndpoint {
  return endpoint.kind === 'docker-daemon' ? { ...endpoint, engine } : endpoint;
}

/** Whether a text says which kind of place it is. */
export function namesKind(text: string): boolean {
  return KINDS.includes(/^([a-z-]+):/.exec(text)?.[1] ?? '');
}

/** Throws usage. A path ends at its first colon, as with skopeo. */
export function parseEndpoint(text: string): NamedEndpoint {
  const [, kind = '', rest = ''] = /^([a-z-]+):(.*)$/s.exec(text) ?? [];
  if (!KINDS.includes(kind)) throw unknown(text);
  if (kind === 'docker-daemon') return { kind, reference: rest };
  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const reference = colon < 0 ? undefined : rest.slice(colon + 1);
  const isFile = (FILE_KINDS as readonly string[]).includes(kind);
  if (path === '' || reference === '')
    throw usage(`${JSON.stringify(text)} names no ${isFile ? 'file' : 'directory'}`, {
      hint: isFile ? `for example ${kind}:images.tar, or ${kind}:-` : `for example ${kind}:images`,
    });
  if (path === '-' && !isFile)
    throw usage(`${kind}: is a directory, but - is a stream`, {
      hint: 'docker-archive:- and oci-archive:- are streams',
    });
  if (kind === 'dir' && reference !== undefined)
    throw usage(`${JSON.stringify(text)}: a dir: holds one image, without a name`);
  return { kind: kind as ArchiveEndpoint['kind'], path, ...(reference !== undefined && { reference }) };
}

function unknown(text: string): ImgmvError {
  const isFile = text === '-' || /^[./~]|\.(tar|tgz)(\.|$)/.test(text);
  const meant = isFile ? `did you mean docker-archive:${text}? ` : '';
  const name = isFile || text.includes(':') || text.includes('/') ? 'NAME' : text;
  return usage(`${JSON.stringify(text)} is not a place for images`, {
    hint: `${meant}docker-daemon:${name} is an image of the engine; others are docker-archive:FILE, oci-archive:FILE, oci:DIR, dir:DIR`,
  });
}
