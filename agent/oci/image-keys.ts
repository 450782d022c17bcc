/**
 * The keys of the documents that describe images, as readers of Go know them: OCI image spec 1.1 (descriptor.md,
 * manifest.md, image-index.md, config.md, image-layout.md) and moby's image, container and tarexport packages.
 */
import type { KnownKeys } from './strict-json.ts';

/** These keys, apart by white space, with nothing below them that readers know. */
function known(keys: string): KnownKeys {
  return Object.fromEntries((keys.match(/\S+/g) ?? []).map((key) => [key, null]));
}

const DESCRIPTOR: KnownKeys = {
  ...known('mediaType digest size urls annotations data artifactType'),
  platform: known('architecture os os.version os.features variant features'),
};

/** Of both: what is one of them with a key of the other is neither (CVE-2021-41190). */
export const MANIFEST_KEYS: KnownKeys = {
  ...known('schemaVersion mediaType artifactType annotations fsLayers'),
  config: DESCRIPTOR,
  layers: DESCRIPTOR,
  manifests: DESCRIPTOR,
  subject: DESCRIPTOR,
};

/** moby api/types/container/config.go */
const RUN: KnownKeys = {
  ...known(`
    Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce
    Env Cmd ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels
    StopSignal StopTimeout Shell Memory MemorySwap CpuShares
  `),
  Healthcheck: known('Test Interval Timeout StartPeriod StartInterval Retries'),
};

export const CONFIG_KEYS: KnownKeys = {
  ...known(`
    id parent created author comment architecture os os.version os.features variant docker_version
    container
  `),
  config: RUN,
  container_config: RUN,
  rootfs: known('type diff_ids'),
  history: known('created created_by author comment empty_layer'),
};

/** `oci-layout` */
export const LAYOUT_KEYS: KnownKeys = known('imageLayoutVersion');

/** `manifest.json` of docker archives */
export const ARCHIVE_KEYS: KnownKeys = known('Config RepoTags Layers Parent LayerSources');
