/** Move files that are good and that are not, for what reads them and for what editors know of them. */

export interface Example {
  readonly yaml: string;
  /** What the reader says of it; it takes the file where this is absent. */
  readonly says?: string;
  /** A JSON schema cannot see it: it is about YAML, about text within text, or about keys that have to fit. */
  readonly beyondSchema?: true;
}

export const GOOD: readonly Example[] = [
  { yaml: '{}' },
  { yaml: 'to: host-b' },
  { yaml: 'to: wss://images.example/host-b' },
  { yaml: 'images: web:1.0' },
  { yaml: 'images: [web:1.0, team/*, "web:/^v1\\\\./", "web:1.0,1.1", 4f5c8ab5e3b1]' },
  { yaml: 'images: []' },
  { yaml: 'from: docker-archive:x.tar.zst\nimages:\n  - web' },
  { yaml: 'from: [docker-archive:a.tar, oci:dir]' },
  { yaml: 'all: true\ndangling: false\nrunning: true' },
  { yaml: 'label: [k=v, k, a.b/c=d=e]' },
  { yaml: 'since: 7d' },
  { yaml: 'since: 2026-11-01' },
  { yaml: 'since: 2024-02-29' },
  { yaml: 'except: "*:dev"' },
  { yaml: 'file: list.txt\ncompose: [compose.yaml]\nreport: report.html\ncode-file: code' },
  { yaml: 'retag: old.reg/*=new.reg/project/*' },
  { yaml: 'retag: ["a=b", c=d]' },
  { yaml: 'retag:\n  "old.reg/*": new.reg/*\n  "1": one' },
  { yaml: 'registry: registry.example:5000\nproject: team/web\nkeep-names: true' },
  { yaml: 'registry: localhost' },
  { yaml: 'as: team/web:1.0\nimages: [web]' },
  { yaml: 'then-push: true\nignore-space: true' },
  { yaml: 'from: oci:x\nmax-bytes: 500MB' },
  { yaml: 'docker-host: ssh://admin@host-a' },
  { yaml: 'context: prod' },
  { yaml: 'connect-timeout: 15s\nreconnect: 5m' },
  { yaml: 'jobs: 2\nretries: 0\nlevel: 19' },
  { yaml: 'limit: 1.5MB/s' },
  { yaml: 'limit: "800000"' },
  { yaml: '{"to": "host-b", "images": ["web"]}' },
  { yaml: 'images: &names [web]\nexcept: *names' },
  { yaml: '# yaml-language-server: $schema=./move.schema.json\nto: host-b\n...\n' },
];

export const BAD: readonly Example[] = [
  {
    yaml: 'to: host-b\nimags: [web]',
    says: 'move.yaml:2:1: "imags" is not a key of a move file: did you mean images?',
  },
  {
    yaml: 'keepNames: true',
    says: 'move.yaml:1:1: "keepNames" is not a key of a move file: did you mean keep-names?',
  },
  { yaml: 'zzzzzzzz: 1', says: 'move.yaml:1:1: "zzzzzzzz" is not a key of a move file' },
  { yaml: 'toString: 1', says: 'move.yaml:1:1: "toString" is not a key of a move file' },
  {
    yaml: 'code: abandon-ability',
    says: 'move.yaml:1:1: "code" is no key: the pairing code never stands in a move file; code-file names the file that it is read from',
  },
  {
    yaml: 'registry: r.example\nproject: 1.10',
    says: 'move.yaml:2:10: project is the number 1.10, expected a path in a registry, such as team/web; in quotes it is text: "1.10"',
  },
  {
    yaml: 'images:\n  - web\n  - 16',
    says: 'move.yaml:3:5: images[2] is the number 16, expected an image; in quotes it is text: "16"',
  },
  {
    yaml: 'images:\n- web: 1.0',
    says: 'move.yaml:2:3: images[1] is a mapping (a colon with a space behind it makes one), expected an image',
  },
  { yaml: 'images: [a, [b]]', says: 'move.yaml:1:13: images[2] is a list, expected an image' },
  { yaml: 'images: ["a", ""]', says: 'move.yaml:1:15: images[2] "": expected an image' },
  { yaml: 'images:', says: 'move.yaml:1:8: images is empty, expected text, or a list of it' },
  { yaml: 'all: yes', says: 'move.yaml:1:6: all is the text "yes", expected true or false' },
  { yaml: '%YAML 1.1\n---\nall: on', says: 'move.yaml:3:6: all is the text "on", expected true or false' },
  {
    yaml: 'to: true',
    says: 'move.yaml:1:5: to is the truth value true, expected a host such as host-b, host-b:7400 or wss://images.example/host-b; in quotes it is text: "true"',
  },
  {
    yaml: 'limit: 10Mbit',
    says: 'move.yaml:1:8: limit "10Mbit": expected a rate such as 800k, 10M or 1.5MB/s',
  },
  {
    yaml: 'limit: 1k\njobs: 0',
    says: 'move.yaml:2:7: jobs 0: expected a whole number from 1 to 16',
  },
  {
    yaml: 'limit: 500G',
    says: 'move.yaml:1:8: limit "500G": expected a rate from 1k to 100G, or 0 for no limit',
    beyondSchema: true,
  },
  {
    yaml: 'reconnect: 5',
    says: 'move.yaml:1:12: reconnect is the number 5, expected a duration such as 90s, 10m, 2h or 7d',
  },
  {
    yaml: 'connect-timeout: 15x',
    says: 'move.yaml:1:18: connect-timeout "15x": expected a duration such as 90s, 10m, 2h or 7d',
  },
  {
    yaml: 'reconnect: 0s',
    says: 'move.yaml:1:12: reconnect "0s": expected a duration such as 90s, 10m, 2h or 7d',
  },
  {
    yaml: 'max-bytes: 0GB',
    says: 'move.yaml:1:12: max-bytes "0GB": expected a size such as 500MB or 2GiB',
  },
  {
    yaml: 'max-bytes: 500',
    says: 'move.yaml:1:12: max-bytes is the number 500, expected a size such as 500MB or 2GiB',
  },
  {
    yaml: 'max-bytes: 1001TiB',
    says: 'move.yaml:1:12: max-bytes "1001TiB": expected a size such as 500MB or 2GiB, up to 1000TiB',
    beyondSchema: true,
  },
  {
    yaml: 'since: yesterday',
    says: 'move.yaml:1:8: since "yesterday": expected a duration such as 7d, or a date such as 2026-11-01',
  },
  { yaml: 'jobs: 99', says: 'move.yaml:1:7: jobs 99: expected a whole number from 1 to 16' },
  { yaml: 'level: 1.5', says: 'move.yaml:1:8: level 1.5: expected a whole number from 1 to 19' },
  {
    yaml: 'retries: "3"',
    says: 'move.yaml:1:10: retries is the text "3", expected a whole number from 0 to 20',
  },
  { yaml: 'label: ["=x"]', says: 'move.yaml:1:9: label[1] "=x": expected KEY or KEY=VALUE' },
  { yaml: 'retag: [a]', says: 'move.yaml:1:9: retag[1] "a": expected OLD=NEW' },
  {
    yaml: 'retag: [{a: b}]',
    says: 'move.yaml:1:9: retag[1] is a mapping (a colon with a space behind it makes one), expected a rule such as old.example/*=new.example/team/*',
  },
  {
    yaml: 'retag:\n  a: b\n  c=d: e',
    says: 'move.yaml:3:3: retag "c=d": expected a name or a pattern of names, without =',
  },
  {
    yaml: 'retag: {a: 1}',
    says: 'move.yaml:1:12: retag "a" is the number 1, expected a name or a pattern of names; in quotes it is text: "1"',
  },
  {
    yaml: 'registry: r.example\nproject: a\ndocker-host: unix:///x\ncontext: prod',
    says: 'move.yaml:4:1: docker-host and context exclude each other',
  },
  { yaml: 'project: team', says: 'move.yaml:1:1: project needs registry beside it' },
  { yaml: '- a', says: 'move.yaml:1:1: the file is a list, expected keys and values such as to: host-b' },
  {
    yaml: 'web',
    says: 'move.yaml:1:1: the file is the text "web", expected keys and values such as to: host-b',
  },
  // What an editor that knows the schema alone lets through.
  {
    yaml: 'to: me@host',
    says: 'move.yaml:1:5: to "me@host": a host takes no user, password or fragment. Did you mean host, where `imgmv receive` waits, or ssh://me@host, the engine there?',
    beyondSchema: true,
  },
  {
    yaml: 'since: 2026-02-30',
    says: 'move.yaml:1:8: since "2026-02-30": expected a day that the calendar has',
    beyondSchema: true,
  },
  {
    yaml: 'from:\n  - foo',
    says: 'move.yaml:2:5: from[1]: "foo" is not a place for images; docker-daemon:foo is an image of the engine; others are docker-archive:FILE, oci-archive:FILE, oci:DIR, dir:DIR',
    beyondSchema: true,
  },
  {
    yaml: 'as: web@sha256:00',
    says: 'move.yaml:1:5: as: the name "web@sha256:00" is not NAME or NAME:TAG; for example registry.example/team/web:1.0',
    beyondSchema: true,
  },
  {
    yaml: 'registry: reg',
    says: 'move.yaml:1:11: registry "reg": expected the host of a registry, such as registry.example:5000',
    beyondSchema: true,
  },
  {
    yaml: 'registry: r.example\nproject: UP',
    says: 'move.yaml:2:10: project "UP": expected a path in a registry, such as team/web',
    beyondSchema: true,
  },
  {
    yaml: 'file: "a\\0b"',
    says: 'move.yaml:1:7: file "a\\u0000b": expected text without control characters',
    beyondSchema: true,
  },
  {
    yaml: 'as: a:1\nimages: [a, b]',
    says: 'move.yaml:1:1: as gives one name, and there are 2 images',
    beyondSchema: true,
  },
  {
    yaml: 'from: docker-archive:-\ncode-file: "-"',
    says: 'move.yaml:2:12: code-file is standard input, which is from already',
    beyondSchema: true,
  },
  { yaml: 'to: a\nto: b', says: 'move.yaml:2:1: "to" stands in line 1 already', beyondSchema: true },
  { yaml: '__proto__: {to: a}', says: 'move.yaml:1:1: "__proto__" cannot be a key', beyondSchema: true },
  {
    yaml: '',
    says: 'move.yaml:1:1: nothing is in it, expected keys and values such as to: host-b',
    beyondSchema: true,
  },
  {
    yaml: '# soon\n',
    says: 'move.yaml:1:1: nothing is in it, expected keys and values such as to: host-b',
    beyondSchema: true,
  },
  {
    yaml: 'to: a\n---\nto: b',
    says: 'move.yaml:2:1: a second document begins: a move file is one',
    beyondSchema: true,
  },
  {
    yaml: 'images:\n\t- web',
    says: 'move.yaml:2:1: not valid YAML: tabs are not allowed as indentation',
    beyondSchema: true,
  },
  { yaml: 'to: !host b', says: 'move.yaml:1:5: not valid YAML: unresolved tag: !host', beyondSchema: true },
  {
    yaml: 'images: [*web]',
    says: 'move.yaml:1:10: "*web" is an alias, and nothing before it has that anchor; a pattern that begins with * stands in quotes',
    beyondSchema: true,
  },
  {
    yaml: 'except: *',
    says: 'move.yaml:1:9: not valid YAML: alias cannot be an empty string; a pattern that begins with * stands in quotes',
    beyondSchema: true,
  },
];
