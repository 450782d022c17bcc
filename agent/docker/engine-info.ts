/** What an engine is, as it says itself; and why one cannot be reached. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Platform, Store } from '../model/image.ts';
import type { Endpoint, EndpointOptions } from './endpoint.ts';

export interface EngineInfo {
  readonly kind: 'docker' | 'podman';
  readonly version: string;
  readonly store: Store;
  readonly platform: Platform;
  /** Whether it can push one platform out of an index. */
  readonly pushesPlatforms: boolean;
  /** Where the engine keeps its data, in its own view of the file system. */
  readonly dataRoot: string | undefined;
  /** What keeps the files of its layers: `overlay2`. */
  readonly driver: string | undefined;
}

/** What of `GET /version` and `GET /info` we use. */
export interface ToldVersion {
  readonly Version: string;
  readonly ApiVersion?: string;
  readonly Os: string;
  readonly Arch: string;
  readonly Components?: readonly { readonly Name: string }[];
}

export function describeEngine(version: ToldVersion, info: Record<string, unknown>): EngineInfo {
  const podman = (version.Components ?? []).some(({ Name }) => /podman/i.test(Name));
  const status = (info.DriverStatus ?? []) as readonly (readonly [string, string])[];
  const containerd = status.some(
    ([key, value]) => key === 'driver-type' && value.startsWith('io.containerd.snapshotter'),
  );
  return {
    kind: podman ? 'podman' : 'docker',
    version: version.Version,
    store: containerd ? 'containerd' : 'classic',
    platform: { os: version.Os, architecture: version.Arch },
    pushesPlatforms: containerd && isAtLeast(version.ApiVersion ?? '', PUSHES_PLATFORMS),
    dataRoot: typeof info.DockerRootDir === 'string' ? info.DockerRootDir : undefined,
    driver: typeof info.Driver === 'string' ? info.Driver : undefined,
  };
}

/** API version 1.46 added `platform` to the push of an image. */
const PUSHES_PLATFORMS = '1.46';

function isAtLeast(version: string, wanted: string): boolean {
  const [major = Number.NaN, minor = Number.NaN] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

const OTHER_ENGINE = '--docker-host or --context names another engine';
/** By the error of the system: what is wrong with the engine at a place, and what to do. */
const UNREACHABLE: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  EACCES: [
    'no permission on the docker socket',
    'run as root, or as a member of the group that owns the socket (often "docker")',
  ],
  ENOENT: ['no docker engine: there is no socket', `is docker installed and running? ${OTHER_ENGINE}`],
  ECONNREFUSED: [
    'no docker engine answers at',
    'is dockerd running? `systemctl status docker` shows it on most systems',
  ],
};

export function unavailable(endpoint: Endpoint, error: unknown, env: EndpointOptions['env']): ImgmvError {
  if (error instanceof ImgmvError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const known = UNREACHABLE[code === 'EPERM' ? 'EACCES' : code];
  const [message, hint] = known ?? [
    'no docker engine answers at',
    'check with `docker info` that docker itself works there',
  ];
  const where = `${endpoint.address} (${endpoint.foundBy})`;
  const sudo = env.SUDO_USER
    ? `; under sudo this is root's engine; for ${env.SUDO_USER}'s own, pass --docker-host or --context`
    : '';
  const why = known ? '' : `: ${messageOf(error)}`;
  const words = { cause: error, hint: hint + sudo };
  return new ImgmvError('engine-unavailable', `${message} ${where}${why}`, words);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
