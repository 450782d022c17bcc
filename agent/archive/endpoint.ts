/** Where archives are. ends/endpoint.ts has it beside all other places. */
export const FILE_KINDS = ['docker-archive', 'oci-archive'] as const;
export const DIRECTORY_KINDS = ['oci', 'dir'] as const;

export interface ArchiveEndpoint {
  readonly kind: (typeof FILE_KINDS)[number] | (typeof DIRECTORY_KINDS)[number];
  /** `-` is standard input or output. */
  readonly path: string;
  /** Which of its images, or what the one that goes in is to be called. */
  readonly reference?: string;
}

/** As it was given: `docker-archive:web.tar:web:1.0`. */
export function archiveText({ kind, path, reference }: ArchiveEndpoint): string {
  return `${kind}:${path}${reference === undefined ? '' : `:${reference}`}`;
}
