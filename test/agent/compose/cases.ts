// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what compose files have
/**
 * Compose projects and what compose makes of them. compose.test.ts holds imgmv to this, real-compose.test.ts the
 * table itself to docker compose.
 */

interface Case {
  readonly title: string;
  /** Of `shop/compose.yaml`, where that is the only file. */
  readonly yaml?: string;
  readonly files?: Readonly<Record<string, string>>;
  /** What is given with -f; `shop/compose.yaml` when left out. */
  readonly paths?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Why docker compose 2.40 does otherwise. */
  readonly unlike?: string;
}

export interface GoodCase extends Case {
  /** By service. */
  readonly images: Readonly<Record<string, string>>;
  readonly built?: readonly string[];
  readonly warnings?: readonly string[];
}

export interface BadCase extends Case {
  readonly error: string;
}

export const PATH = 'shop/compose.yaml';

export function filesOf({ yaml, files }: Case): Readonly<Record<string, string>> {
  return { ...(yaml !== undefined && { [PATH]: yaml }), ...files };
}

/** Each becomes an image of one service; `EMPTY` is set and empty, `SET` is `set`, `UNSET` is not set. */
const interpolations: Readonly<Record<string, string>> = {
  $SET: 'set:latest',
  '${SET}': 'set:latest',
  'a-$SET-b': 'a-set-b:latest',
  'a${SET}b': 'asetb:latest',
  'a:${SET}.$SET': 'a:set.set',
  '${SET:-d}': 'set:latest',
  '${EMPTY:-d}': 'd:latest',
  '${UNSET:-d}': 'd:latest',
  '${SET-d}': 'set:latest',
  'a${EMPTY-d}': 'a:latest',
  '${UNSET-d}': 'd:latest',
  '${SET:?e}': 'set:latest',
  '${SET?e}': 'set:latest',
  'a${EMPTY?e}': 'a:latest',
  '${SET:+other}': 'other:latest',
  'a${EMPTY:+other}': 'a:latest',
  'a${UNSET:+other}': 'a:latest',
  '${SET+other}': 'other:latest',
  '${EMPTY+other}': 'other:latest',
  'a${UNSET+other}': 'a:latest',
  '${UNSET:-${EMPTY:-deep}}': 'deep:latest',
  '${UNSET:-${SET}-x}': 'set-x:latest',
  '${SET:+${EMPTY:-b}}c': 'bc:latest',
  '${UNSET:-a}-${UNSET:-b}': 'a-b:latest',
  '${SET:-a}${UNSET-b}${SET:+c}': 'setbc:latest',
  '${UNSET:-registry.example:5000/web:1}': 'registry.example:5000/web:1',
  'web:${UNSET:-1}-${SET?no}': 'web:1-set',
  'web:${UNSET-a-b}': 'web:a-b',
  '${UNSET:-$SET}': 'set:latest',
  '${lower:-x}': 'x:latest',
  '${_A1:-x}': 'x:latest',
  '${UNSET:-}web': 'web:latest',
  '${SET?${UNSET?never}}': 'set:latest',
  '${SET:-${UNSET?never}}': 'set:latest',
};

const interpolated = Object.entries(interpolations).map(
  ([text, image]): GoodCase => ({
    title: `image: ${text}`,
    ...(text.includes('never') && { unlike: 'later versions do so; it asks for what is not used' }),
    yaml: `services:\n  web:\n    image: '${text}'\n`,
    env: { SET: 'set', EMPTY: '' },
    images: { web: image },
  }),
);

/** Values of `A` in a .env, and what they are. */
const dotenvs: Readonly<Record<string, string>> = {
  'A=x': 'x',
  'A = x': 'x',
  'export A=x': 'x',
  'A: x': 'x',
  'A=x # comment': 'x',
  'A=x#1': 'x#1',
  "A='x' # comment": 'x',
  'A="x y"': 'x y',
  'A="x#y"': 'x#y',
  'A=  x  ': 'x',
  'A=\nB=1': '',
  '# c\n\nA=x\n': 'x',
  'A="a\nb"': 'a\nb',
  'A="a\\nb\\tc\\"d\\\\e"': 'a\nb\tc"d\\e',
  "A='a\\nb'": 'a\\nb',
  "A='a\\'b'": "a'b",
  'A="\\z\\0101"': '\\zA',
  'B=1\nA=$B': '1',
  'B=1\nA="$B${C:-2}"': '12',
  "B=1\nA='$B'": '$B',
  'A=$$B': '$B',
  'A="\\$B"': '$B',
  'A=$OUTER': 'outer',
  'OUTER=inner\nA=$OUTER': 'outer',
  'A=x\r\nB=y\r': 'x',
  '\ufeffA=x': 'x',
  'A=x\nA=y': 'y',
  'A="x"B=1': 'x',
  'B\nA=x': 'x',
  'A.B-C=1\nA=x': 'x',
  'A="it\'s"': "it's",
  'A=a=b:c': 'a=b:c',
  'A=é': 'é',
};

export const variableFiles = Object.entries(dotenvs);

const good: readonly GoodCase[] = [
  {
    title: 'images and builds, whatever the profiles',
    yaml: `
services:
  web: {image: "registry.example:5000/team/web:1.0"}
  db: {image: postgres}
  app: {build: .}
  both: {image: both:2, build: {context: both}}
  tool: {build: {context: .}, profiles: [tools]}
  "a.b_c-d": {build: .}
`,
    images: {
      web: 'registry.example:5000/team/web:1.0',
      db: 'postgres:latest',
      app: 'shop-app:latest',
      both: 'both:2',
      tool: 'shop-tool:latest',
      'a.b_c-d': 'shop-a.b_c-d:latest',
    },
    built: ['app', 'tool', 'a.b_c-d'],
  },
  {
    title: 'digests and ids',
    yaml: `services:\n  a: {image: "web:1@sha256:${'a'.repeat(64)}"}\n  b: {image: "sha256:${'b'.repeat(64)}"}\n`,
    images: { a: `web:1@sha256:${'a'.repeat(64)}`, b: `sha256:${'b'.repeat(64)}` },
  },
  {
    title: 'anchors, aliases and merge keys',
    yaml: `
x-base: &base
  image: base:1
  restart: always
x-more: &more {image: "more:1"}
services:
  a: {<<: *base}
  b: {<<: *base, image: "own:1"}
  c:
    <<: [*more, *base]
  d: &d {<<: *base}
  e: *d
  f:
    image: first:1
    <<: *base
`,
    images: { a: 'base:1', b: 'own:1', c: 'more:1', d: 'base:1', e: 'base:1', f: 'first:1' },
  },
  {
    title: 'later files over earlier ones',
    files: {
      [PATH]:
        'services:\n  web: {image: "web:1"}\n  db: {image: "db:1"}\n  app: {build: .}\n  old: {build: .}\n',
      'shop/b.yaml':
        'services:\n  web: {image: "web:2"}\n  db: {build: db}\n  app: {image: "app:2"}\n  new: {image: "new:2"}\n  old: {environment: {A: b}}\n',
      'other/c.yaml': 'services:\n  web: {image: }\n  new: {image: "new:3"}\n',
    },
    paths: [PATH, 'shop/b.yaml', 'other/c.yaml'],
    images: { web: 'web:2', db: 'db:1', app: 'app:2', old: 'shop-old:latest', new: 'new:3' },
    built: ['old'],
  },
  {
    title: '!reset and !override',
    files: {
      [PATH]: `
services:
  a: {image: "a:1", build: .}
  b: {image: "b:1", build: .}
  c: {image: "c:1"}
  d: {image: "d:1"}
  e: {image: "e:1", build: .}
`,
      'shop/b.yaml': `
services:
  a: {image: !reset null}
  b: {build: !reset null}
  c: !reset null
  d: !override {build: .}
  e: {image: !override "e:2"}
`,
    },
    paths: [PATH, 'shop/b.yaml'],
    images: { a: 'shop-a:latest', b: 'b:1', d: 'shop-d:latest', e: 'e:2' },
    built: ['a', 'd'],
  },
  {
    title: '!override of all services',
    files: {
      [PATH]: 'services:\n  a: {image: "a:1"}\n',
      'shop/b.yaml': 'services: !override\n  b: {image: "b:1"}\n',
    },
    paths: [PATH, 'shop/b.yaml'],
    images: { b: 'b:1' },
  },
  {
    title: 'several documents in one file',
    yaml: 'services:\n  a: {image: "a:1"}\n  b: {image: "b:1"}\n---\nservices:\n  a: {image: "a:2"}\n',
    images: { a: 'a:2', b: 'b:1' },
  },
  {
    title: 'extends in the same file',
    yaml: `
services:
  base: {image: "base:1", build: .}
  a: {extends: base}
  b: {extends: {service: a}, image: "b:1"}
  c: {extends: base, image: !reset null}
  d: {extends: {service: b, file: }}
`,
    images: { base: 'base:1', a: 'base:1', b: 'b:1', c: 'shop-c:latest', d: 'b:1' },
    built: ['c'],
  },
  {
    title: 'extends from another file, and on from there',
    files: {
      [PATH]:
        'services:\n  web: {extends: {file: parts/web.yaml, service: web}}\n  app: {extends: {file: parts/web.yaml, service: app}}\n',
      'shop/parts/web.yaml':
        'services:\n  web: {extends: {file: more/base.yaml, service: base}}\n  app: {extends: here}\n  here: {build: ctx}\n',
      'shop/parts/more/base.yaml': 'services:\n  base: {image: "base:${TAG:-7}"}\n',
      'shop/parts/more/.env': 'TAG=not-read\n',
    },
    images: { web: 'base:7', app: 'shop-app:latest' },
    built: ['app'],
  },
  {
    title: 'extends of a later file is relative to the first one',
    files: {
      [PATH]: 'services:\n  web: {image: "web:1"}\n',
      'other/b.yaml': 'services:\n  web: {extends: {file: base.yaml, service: base}}\n',
      'shop/base.yaml': 'services:\n  base: {image: "base:1"}\n',
    },
    paths: [PATH, 'other/b.yaml'],
    images: { web: 'base:1' },
  },
  {
    title: 'what a service extends is settled before files are laid over one another',
    files: {
      [PATH]: 'services:\n  base: {image: "base:1"}\n  web: {extends: base}\n',
      'shop/b.yaml': 'services:\n  base: {image: "base:2"}\n',
    },
    paths: [PATH, 'shop/b.yaml'],
    images: { base: 'base:2', web: 'base:1' },
  },
  {
    title: 'extends with a file that several documents make',
    files: {
      [PATH]: 'services:\n  web: {extends: {file: base.yaml, service: base}}\n',
      'shop/base.yaml': 'services:\n  base: {image: "base:1"}\n---\nservices:\n  base: {image: "base:2"}\n',
    },
    images: { web: 'base:2' },
  },
  {
    title: '!reset and !override in files that are extended from',
    files: {
      [PATH]:
        'services:\n  a: {extends: {file: b.yaml, service: a}}\n  b: {extends: {file: b.yaml, service: b}}\n  c: {image: "c:1"}\n',
      'shop/o.yaml': 'services:\n  c: {extends: {file: b.yaml, service: a}}\n',
      'shop/b.yaml': `
services:
  a: {image: !reset null, build: ., extends: base}
  b: {image: !override "b:2", extends: base}
  base: {image: "base:1"}
`,
    },
    paths: [PATH, 'shop/o.yaml'],
    images: { a: 'shop-a:latest', b: 'b:2', c: 'c:1' },
    built: ['a'],
  },
  {
    title: 'include, with variables and a directory of its own',
    files: {
      [PATH]:
        'include:\n  - db/compose.yaml\n  - path: [lib/a.yaml, lib/b.yaml]\n    project_directory: elsewhere\n    env_file: lib.env\nservices:\n  web: {image: "web:${TAG}"}\n',
      'shop/.env': 'TAG=1\nBOTH=outer\n',
      'shop/db/compose.yaml':
        'name: not-read\nservices:\n  db: {image: "db:${TAG}-${DB_TAG}-${BOTH}"}\n  dbtool: {build: .}\n',
      'shop/db/.env': 'DB_TAG=2\nBOTH=inner\n',
      'shop/lib/a.yaml':
        'services:\n  lib: {image: "lib:1"}\n  ext: {extends: {file: base.yaml, service: base}}\n',
      'shop/lib/b.yaml': 'services:\n  lib: {image: "lib:${LIB_TAG}"}\n',
      'shop/lib.env': 'LIB_TAG=3\n',
      'shop/elsewhere/base.yaml': 'services:\n  base: {image: "base:1"}\n',
    },
    images: {
      db: 'db:1-2-outer',
      dbtool: 'shop-dbtool:latest',
      lib: 'lib:3',
      ext: 'base:1',
      web: 'web:1',
    },
    built: ['dbtool'],
  },
  {
    title: 'include in what is included, and the same file twice',
    files: {
      [PATH]: 'include: [a/compose.yaml, b/compose.yaml]\n',
      'shop/a/compose.yaml': 'include: [../c/compose.yaml]\nservices:\n  a: {image: "a:1"}\n',
      'shop/b/compose.yaml': 'include: [{path: ../c/compose.yaml}]\nservices:\n  b: {image: "b:1"}\n',
      'shop/c/compose.yaml': 'services:\n  c: {image: "c:1"}\n',
    },
    images: { c: 'c:1', a: 'a:1', b: 'b:1' },
  },
  {
    title: 'a service that is included is changed by what includes it, and extended by it',
    files: {
      [PATH]: 'include: [lib.yaml]\nservices:\n  lib: {image: "lib:2"}\n  more: {extends: base}\n',
      'shop/lib.yaml': 'services:\n  lib: {image: "lib:1", build: .}\n  base: {image: "base:1"}\n',
    },
    unlike: 'later versions do so; it takes that for a conflict, and extends before it includes',
    images: { lib: 'lib:2', base: 'base:1', more: 'base:1' },
  },
  {
    title: 'a later file over what an earlier one includes',
    files: {
      [PATH]: 'include: [lib.yaml]\n',
      'shop/lib.yaml': 'services:\n  lib: {image: "lib:1"}\n',
      'shop/b.yaml': 'services:\n  lib: {image: "lib:2"}\n',
    },
    paths: [PATH, 'shop/b.yaml'],
    images: { lib: 'lib:2' },
  },
  {
    title: 'the environment before .env, which is that of the first file',
    files: {
      [PATH]: 'services:\n  a: {image: "a:${A}"}\n  b: {image: "b:${B}"}\n',
      'shop/.env': 'A=file\nB=file\n',
      'other/b.yaml': 'services:\n  c: {image: "c:$B"}\n',
      'other/.env': 'B=other\n',
      '.env': 'B=here\n',
    },
    paths: [PATH, 'other/b.yaml'],
    env: { A: 'environment' },
    images: { a: 'a:environment', b: 'b:file', c: 'c:file' },
  },
  {
    title: 'other files of variables by COMPOSE_ENV_FILES',
    files: {
      [PATH]: 'services:\n  a: {image: "a:${A}-${B}"}\n',
      'shop/.env': 'A=not-read\n',
      'x.env': 'A=1\nB=1\n',
      'y.env': 'B=2\n',
    },
    env: { COMPOSE_ENV_FILES: 'x.env,y.env' },
    images: { a: 'a:1-2' },
  },
  {
    title: 'no .env by COMPOSE_DISABLE_ENV_FILE',
    files: { [PATH]: 'services:\n  a: {image: "a:${A:-none}"}\n', 'shop/.env': 'A=not-read\n' },
    env: { COMPOSE_DISABLE_ENV_FILE: 'true' },
    images: { a: 'a:none' },
  },
  {
    title: 'a variable that is not set is empty, and told of',
    yaml: 'services:\n  a: {image: "a${TAG}"}\n  b:\n    image: b$TAG\n    environment: [X=$NOT_OURS]\n',
    images: { a: 'a:latest', b: 'b:latest' },
    warnings: [
      'shop/compose.yaml:2: the variable TAG is not set and taken as empty',
      'shop/compose.yaml:5: the variable NOT_OURS is not set and taken as empty',
    ],
  },
  {
    title: 'an empty image beside a build is none',
    yaml: 'services:\n  a: {image: "", build: .}\n  b: {image: "$EMPTY", build: .}\n',
    env: { EMPTY: '' },
    images: { a: 'shop-a:latest', b: 'shop-b:latest' },
    built: ['a', 'b'],
  },
  {
    title: 'a build of an empty text',
    yaml: 'services:\n  a: {build: ""}\n',
    images: { a: 'shop-a:latest' },
    built: ['a'],
  },
  {
    title: 'the project by name:, in lower case',
    yaml: 'name: My App_${N:-1}\nservices:\n  a: {build: .}\n  b: {image: "${COMPOSE_PROJECT_NAME}-x"}\n',
    images: { a: 'myapp_1-a:latest', b: 'myapp_1-x:latest' },
    built: ['a'],
  },
  {
    title: 'the last name: of several files',
    files: {
      [PATH]: 'name: one\nservices:\n  a: {build: .}\n',
      'shop/b.yaml': 'name: two\n',
      'shop/c.yaml': 'x-y: z\n',
    },
    paths: [PATH, 'shop/b.yaml', 'shop/c.yaml'],
    images: { a: 'two-a:latest' },
    built: ['a'],
  },
  {
    title: 'the project by COMPOSE_PROJECT_NAME of .env, before name:',
    files: {
      [PATH]: 'name: one\nservices:\n  a: {build: .}\n',
      'shop/.env': 'COMPOSE_PROJECT_NAME=two\n',
    },
    images: { a: 'two-a:latest' },
    built: ['a'],
  },
  {
    title: 'the project by COMPOSE_PROJECT_NAME of the environment',
    files: { [PATH]: 'services:\n  a: {build: .}\n', 'shop/.env': 'COMPOSE_PROJECT_NAME=two\n' },
    env: { COMPOSE_PROJECT_NAME: 'three' },
    images: { a: 'three-a:latest' },
    built: ['a'],
  },
  {
    title: 'the project by its directory, as far as that is a name',
    files: { '_My Shop.v2/compose.yaml': 'services:\n  a: {build: .}\n' },
    paths: ['_My Shop.v2/compose.yaml'],
    images: { a: 'myshopv2-a:latest' },
    built: ['a'],
  },
  {
    title: 'names with an underscore by COMPOSE_COMPATIBILITY',
    yaml: 'services:\n  a: {build: .}\n',
    env: { COMPOSE_COMPATIBILITY: 'true' },
    images: { a: 'shop_a:latest' },
    built: ['a'],
  },
  {
    title: 'a service that something else provides has no image',
    yaml: 'services:\n  a: {image: "a:1"}\n  db: {provider: {type: cloud}}\n',
    unlike: 'it lists an image for it that nothing makes',
    images: { a: 'a:1' },
  },
  {
    title: 'texts that look like something else',
    yaml: 'services:\n  yes: {image: yes}\n  a: {image: !!str 1.10}\n  b: {image: 1.10-x}\n',
    images: { yes: 'yes:latest', a: '1.10:latest', b: '1.10-x:latest' },
  },
  {
    title: 'names of JavaScript',
    yaml: 'services:\n  constructor: {image: "a${toString}"}\n  __proto__: {image: "b:1"}\n',
    images: { constructor: 'a:latest', ['__proto__']: 'b:1' },
    warnings: ['shop/compose.yaml:2: the variable toString is not set and taken as empty'],
  },
];

export const goodCases: readonly GoodCase[] = [...good, ...interpolated];

/** `image:` of one service, and what is wrong with it. */
const badImages: Readonly<Record<string, string>> = {
  '${': 'invalid interpolation in "${"',
  '${}': 'invalid interpolation in "${}"',
  '${A': 'invalid interpolation in "${A"',
  '${1A}': 'invalid interpolation in "${1A}"',
  '${A!b}': 'invalid interpolation in "${A!b}"',
  '${ A }': 'invalid interpolation in "${ A }"',
  'a${A:-${}}': 'invalid interpolation in "${}"',
  '${A:?}': 'the variable A is required, but has no value',
  '${A:?say $$ why}': 'the variable A is required, but has no value: say $ why',
  '${EMPTY:?empty}': 'the variable EMPTY is required, but has no value: empty',
  '${A?not set, ${EMPTY:-why}}': 'the variable A is required, but has no value: not set, why',
};

export const badCases: readonly BadCase[] = [
  {
    title: 'neither an image nor a build',
    yaml: 'services:\n  ok: {image: a}\n  web:\n    restart: always\n',
    error: 'shop/compose.yaml:4: service "web" has neither an image nor a build',
  },
  {
    title: 'an image that !reset took away',
    files: {
      [PATH]: 'services:\n  web: {image: a}\n',
      'shop/b.yaml': 'services:\n  web: {image: !reset null}\n',
    },
    paths: [PATH, 'shop/b.yaml'],
    error: 'shop/b.yaml:2: service "web" has neither an image nor a build',
  },
  {
    title: 'an empty image',
    yaml: 'services:\n  web:\n    image: ""\n',
    error: 'shop/compose.yaml:3: service "web": its image is empty',
  },
  {
    title: 'an image that is a number',
    yaml: 'services:\n  web:\n    image: 1.10\n',
    error: 'shop/compose.yaml:3: service "web": image has to be a text',
  },
  {
    title: 'an image that is a list',
    yaml: 'services:\n  web: {image: [a]}\n',
    error: 'shop/compose.yaml:2: service "web": image has to be a text',
  },
  {
    title: 'an image that is no reference',
    yaml: 'services:\n  web: {image: "Web:1"}\n',
    unlike: 'it learns of that later',
    error: 'shop/compose.yaml:2: service "web": "Web:1" is not an image name',
  },
  {
    title: 'a service whose image cannot have its name',
    yaml: 'services:\n  Web: {build: .}\n',
    unlike: 'it learns of that later',
    error: 'shop/compose.yaml:2: service "Web": "shop-Web", as compose names it, is not an image name',
  },
  {
    title: 'a service that is no mapping',
    yaml: 'services:\n  web: nginx\n',
    error: 'shop/compose.yaml:2: service "web" has to be a mapping',
  },
  {
    title: 'a name of a service with a space',
    yaml: 'services:\n  "a b": {image: a}\n',
    error:
      'shop/compose.yaml:2: service "a b": a service name has only letters, digits, dots, dashes and underscores',
  },
  {
    title: 'services that are a list',
    yaml: 'services:\n- web\n',
    error: 'shop/compose.yaml:2: services has to be a mapping of names to services',
  },
  {
    title: 'a file that is no mapping',
    yaml: '- a\n',
    error: 'shop/compose.yaml:1: not a compose file: it has to be a mapping',
  },
  {
    title: 'a file of something else',
    yaml: 'apiVersion: v1\nkind: Pod\n',
    error: 'shop/compose.yaml: not a compose file: it has no services',
  },
  {
    title: 'an empty file',
    yaml: '# nothing\n',
    error: 'shop/compose.yaml: not a compose file: it has no services',
  },
  {
    title: 'no YAML',
    yaml: 'services:\n  web: {image: a\n',
    error:
      'shop/compose.yaml:3: no YAML: Flow map in block collection must be sufficiently indented and end with a }',
  },
  {
    title: 'a key that appears twice',
    yaml: 'services:\n  web: {image: a}\n  web: {image: b}\n',
    error: 'shop/compose.yaml:3: the key "web" appears twice',
  },
  {
    title: 'an alias of nothing',
    yaml: 'services:\n  web: *base\n',
    error: 'shop/compose.yaml:2: no value before it has the anchor &base',
  },
  {
    title: 'an alias inside of what it names',
    yaml: 'services: &all\n  web: {image: a, x-all: *all}\n',
    error: 'shop/compose.yaml:2: *all is inside the value that it names',
  },
  {
    title: 'a merge of something else than a mapping',
    yaml: 'x: &x text\nservices:\n  web: {<<: *x, image: a}\n',
    error: 'shop/compose.yaml:1: a merge key (<<) takes mappings',
  },
  {
    title: 'a missing file',
    files: { 'shop/other.yaml': '' },
    error: 'cannot read shop/compose.yaml: there is no such file',
  },
  {
    title: 'a second file that is missing',
    yaml: 'services:\n  web: {image: a}\n',
    paths: [PATH, 'shop/b.yaml'],
    error: 'cannot read shop/b.yaml: there is no such file',
  },
  {
    title: 'a service that extends itself',
    yaml: 'services:\n  a: {extends: b}\n  b: {extends: {service: a}, image: a}\n',
    error:
      'shop/compose.yaml:2: service "a" extends itself: a in shop/compose.yaml extends b in shop/compose.yaml extends a in shop/compose.yaml',
  },
  {
    title: 'services in two files that extend one another',
    files: {
      [PATH]: 'services:\n  a: {extends: {file: b.yaml, service: b}}\n',
      'shop/b.yaml': 'services:\n  b: {extends: {file: compose.yaml, service: a}}\n',
    },
    error:
      'shop/compose.yaml:2: service "a" extends itself: a in shop/compose.yaml extends b in shop/b.yaml extends a in shop/compose.yaml',
  },
  {
    title: 'extends of a service that is not there',
    yaml: 'services:\n  a: {extends: b}\n',
    error: 'shop/compose.yaml:2: service "a" extends "b", which is not in shop/compose.yaml',
  },
  {
    title: 'extends of a service of another file with -f',
    files: {
      [PATH]: 'services:\n  a: {image: a}\n',
      'shop/b.yaml': 'services:\n  b: {extends: a}\n',
    },
    paths: [PATH, 'shop/b.yaml'],
    error: 'shop/b.yaml:2: service "b" extends "a", which is not in shop/b.yaml',
  },
  {
    title: 'extends of a service that !reset took away',
    yaml: 'services:\n  a: {extends: b}\n  b: !reset null\n',
    error: 'shop/compose.yaml:2: service "a" extends "b", which is not in shop/compose.yaml',
  },
  {
    title: 'extends without a service',
    yaml: 'services:\n  a: {extends: {file: b.yaml}}\n',
    error: 'shop/compose.yaml:2: service "a": extends names no service',
  },
  {
    title: 'extends from a file that is not there',
    yaml: 'services:\n  a: {extends: {file: b.yaml, service: b}}\n',
    error: 'cannot read shop/b.yaml: there is no such file',
  },
  {
    title: 'files that include one another',
    files: { [PATH]: 'include: [b.yaml]\n', 'shop/b.yaml': 'include:\n- compose.yaml\n' },
    error:
      'shop/b.yaml:2: shop/compose.yaml includes itself: shop/compose.yaml includes shop/b.yaml includes shop/compose.yaml',
  },
  {
    title: 'include of what is on another host',
    yaml: 'include:\n- oci://registry.example/team/app\n',
    error: 'shop/compose.yaml:2: oci://registry.example/team/app is not on this host',
  },
  {
    title: 'include that is no list',
    yaml: 'include: b.yaml\n',
    error: 'shop/compose.yaml:1: include has to be a list',
  },
  {
    title: 'include with a file of variables that is not there',
    files: {
      [PATH]: 'include: [{path: b.yaml, env_file: b.env}]\n',
      'shop/b.yaml': 'services:\n  web: {image: a}\n',
    },
    error: 'cannot read shop/b.env: there is no such file',
  },
  {
    title: 'a name: of which nothing is left',
    yaml: 'name: "!!"\nservices:\n  a: {image: a}\n',
    error: 'shop/compose.yaml:1: "!!" is not a project name',
  },
  {
    title: 'a COMPOSE_PROJECT_NAME with upper case',
    yaml: 'services:\n  a: {image: a}\n',
    env: { COMPOSE_PROJECT_NAME: 'Shop' },
    error: 'COMPOSE_PROJECT_NAME=Shop is not a project name',
  },
  {
    title: 'a .env with a name that is none',
    files: { [PATH]: 'services:\n  a: {image: a}\n', 'shop/.env': 'A=1\nB?=2\n' },
    error: 'shop/.env:2: unexpected "?" in the name of a variable',
  },
  {
    title: 'a .env with a space in a name',
    files: { [PATH]: 'services:\n  a: {image: a}\n', 'shop/.env': '\nA B=1\n' },
    error: 'shop/.env:2: the name of a variable cannot hold a space: "A B"',
  },
  {
    title: 'a .env with a quote that has no end',
    files: { [PATH]: 'services:\n  a: {image: a}\n', 'shop/.env': 'B=1\nA="x\n' },
    error: 'shop/.env:2: a value that begins with " has no end',
  },
  {
    title: 'a .env with a variable that is required',
    files: { [PATH]: 'services:\n  a: {image: a}\n', 'shop/.env': 'A=${B:?why}\n' },
    error: 'shop/.env:1: the variable B is required, but has no value: why',
  },
  ...Object.entries(badImages).map(
    ([text, error]): BadCase => ({
      title: `image: ${text}`,
      yaml: `services:\n  web:\n    image: '${text}'\n`,
      env: { EMPTY: '' },
      error: `shop/compose.yaml:3: ${error}`,
    }),
  ),
];
