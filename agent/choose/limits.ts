/** Bounds of what is read to choose images: far above what people write, far below what hurts. */

export const COMPOSE_FILE_MAX_BYTES = 1024 * 1024;
export const ENV_FILE_MAX_BYTES = 1024 * 1024;
/** Mappings and lists in one another, in YAML. */
export const YAML_DEPTH_MAX = 64;
/** Words, signs, indents and line ends, of one file: ten thousand services, an image each, are 130,000. */
export const YAML_LEXEMES_MAX = 200_000;
/** Keys that merge keys (`<<`) bring along, in one file: each of n mappings may bring the keys of all before it. */
export const YAML_MERGED_KEYS_MAX = 100_000;
/** Of a text before interpolation and of what it becomes; variables that hold one another double at each step. */
export const INTERPOLATED_MAX_CHARS = 32_768;
/** `${A:-${B:-…}}` */
export const INTERPOLATION_DEPTH_MAX = 50;
export const EXTENDS_DEPTH_MAX = 50;
export const INCLUDE_DEPTH_MAX = 20;
/** Files read for one project, each as often as it is included or extended from. */
export const COMPOSE_FILES_MAX = 1_000;
export const SERVICES_MAX = 10_000;
/** What the services of one file use besides images; a name or path of it longer than this is cut. */
export const USES_MAX = 20_000;
export const USE_NAME_MAX_CHARS = 1_000;
/** Told of one project; how many more there are is the last. */
export const WARNINGS_MAX = 50;
export const PATTERN_MAX_CHARACTERS = 1_000;
export const LIST_MAX_BYTES = 1024 * 1024;
