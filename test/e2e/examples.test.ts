/**
 * Every command line that README.md, docs/ and the help give as an example is run, with the built program, as it is
 * written, where it means something. EXAMPLES says for each where that is and what comes of it.
 */
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { engineSupport } from '../rig/engine.ts';
import { hostSupport } from '../rig/hosts.ts';
import { loadImage } from '../rig/images.ts';
import { registrySupport } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { type Scenery, type Stage, startStage } from './example-stage.ts';
import { findExamples } from './examples.ts';

/** How an example is played. */
interface Play {
  readonly on: 'a' | 'b';
  /** What runs on the other host: a receiver from before the example until after it, a sender once the example listens. */
  readonly beside?: string;
  /** Its status; 0 when left out. */
  readonly exit?: number;
  readonly says: RegExp;
  /** Files that are there before. */
  readonly files?: readonly string[];
  /** The same on /media/stick. */
  readonly stick?: readonly string[];
  /** A file that is there afterwards, and not empty. */
  readonly makes?: string;
  /** A repository and tag that the registry has afterwards, and its port. */
  readonly pushes?: readonly [repository: string, tag: string, port: number];
  /** With nothing else going on. */
  readonly alone?: true;
  /** Why it is not run as it is written, and what is run in its place. */
  readonly instead?: { readonly reason: string; readonly line: (written: string) => string };
  /** Why it can only get as far as `says` has it. */
  readonly onlyFails?: string;
}

const PAIRS = 2;
const TEST_TIMEOUT_MS = 180_000;
const RECEIVE = 'imgmv receive --once';
const SEND = 'imgmv send web:1.0 --to host-b';

const arrives = (name: string) => new RegExp(`^(?:loaded|written|present) ${name}.* verified$`, 'm');
const sent = (says: RegExp, more: Partial<Play> = {}): Play => ({ on: 'a', beside: RECEIVE, says, ...more });
const received = (more: Partial<Play> = {}): Play => ({
  on: 'b',
  beside: SEND,
  says: /web:1\.0.* verified/,
  ...more,
});
const here = (says: RegExp, more: Partial<Play> = {}): Play => ({ on: 'a', says, ...more });
/** The image of an example has an id that nobody can make one for. */
const byId = {
  reason: 'no image can be made that has this id',
  line: (written: string) => written.replace('4f5c8ab5e3b1', '$(docker image ls --quiet web:1.0)'),
};
/** Where it would go is of the host. */
const shown = {
  reason: 'it would be written to a folder of this host: test/e2e/completion.test.ts reads it in the shells',
  line: (written: string) => written.slice(0, written.indexOf(' >')),
};
/** The image is built by another test. */
const container = {
  reason: 'test/packaging/container.test.ts builds the image and runs it; here it is the program itself',
  line: (written: string) => written.slice(written.lastIndexOf(' imgmv ')),
};

const EXAMPLES: Readonly<Record<string, Play>> = {
  // One image, several, other names
  'imgmv send web:1.0 --to host-b': sent(arrives('web:1\\.0')),
  'imgmv send web:1.0 --to 10.101.139.2': sent(arrives('web:1\\.0')),
  'imgmv send web:1.0 db:16 cache --to host-b': sent(/3 images done and verified/),
  'imgmv send web:1.0 db:16 --to 10.0.0.2': sent(/2 images done and verified/),
  "imgmv send 'team/*' --to host-b --confirm": {
    on: 'a',
    exit: 2,
    says: /there is no terminal to ask on/,
    onlyFails: 'it asks at a terminal: test/e2e/confirm.test.ts does',
  },
  'imgmv send web:1.0 db:16 --to host-b --jobs 1': sent(/2 images done and verified/),
  'imgmv send web:1.0 --as team/web:2.0 --to host-b': sent(arrives('web:1\\.0 as team/web:2\\.0')),
  'imgmv send web --as registry.example/team/web:1.0 --to host-b:7400': sent(
    arrives('web:latest as registry\\.example/team/web:1\\.0'),
    { beside: 'imgmv receive --once --listen :7400' },
  ),
  'imgmv send 4f5c8ab5e3b1 --as web:old --to host-b': sent(/ as web:old .* verified/, { instead: byId }),
  'imgmv send 4f5c8ab5e3b1 --as web:old --to host-b --code-file /run/imgmv-code': sent(
    / as web:old .* verified/,
    { instead: byId },
  ),
  'imgmv send web:1.0 --to host-b:7400': sent(arrives('web:1\\.0'), {
    beside: 'imgmv receive --once --listen :7400',
  }),
  'imgmv send web:1.0 --context prod --to host-b': sent(/the context prod|context "?prod/, {
    instead: {
      reason: 'DOCKER_HOST is how this test names the engine of a host, and would be asked twice',
      line: (written) => `env -u DOCKER_HOST ${written}`,
    },
  }),
  'imgmv send web:1.0 --to host-b --report moved.html': sent(arrives('web:1\\.0'), { makes: 'moved.html' }),
  'imgmv send web:1.0 db:16 --to host-b --report moved.html': sent(/2 images done/, { makes: 'moved.html' }),
  "imgmv send --all --except 'test/*' --registry registry.example --project team --to host-b": sent(
    / as registry\.example\/team\/db:16 /,
  ),
  "imgmv send 'team/*' --since 7d --retag 'team/*=new/*' --to host-b": sent(/ as new\/app:1 /),
  'ssh host-b cat /run/imgmv-code | imgmv send web:1.0 --to host-b --code-file -': sent(arrives('web:1\\.0')),
  'imgmv send --move move.yaml': sent(/4 images done and verified, 5 names pushed/, {
    beside: "imgmv receive --once --allow-push 'localhost:5000/*'",
    files: ['move.yaml'],
    makes: 'move.html',
    pushes: ['prod/shop/web', '2.4', 5000],
  }),
  'imgmv send --compose compose.yaml --then-push --registry registry.example --to host-b': sent(
    /pushed registry\.example\/web:1\.0 sha256:/,
    {
      beside: "imgmv receive --once --allow-push 'registry.example/*'",
      files: ['compose.yaml'],
      pushes: ['web', '1.0', 80],
    },
  ),
  'imgmv send --compose compose.yaml --registry registry.example --project prod --then-push --to host-b':
    sent(/pushed registry\.example\/prod\/web:1\.0 sha256:/, {
      beside: "imgmv receive --once --allow-push 'registry.example/prod/*'",
      files: ['compose.yaml'],
      pushes: ['prod/web', '1.0', 80],
    }),
  'imgmv send --to host-b': here(/no image is named/, {
    exit: 2,
    onlyFails: 'it shows a list on a terminal, for somebody to pick from: test/e2e/picker.test.ts does',
  }),
  'imgmv send web:1.0 --to wss://images.example.com/host-b': sent(arrives('web:1\\.0'), {
    beside: 'tls-proxy > /dev/null 2>&1 & imgmv receive --once',
  }),

  // Plans
  'imgmv plan web:1.0 --to host-b': sent(/^web:1\.0 .*linux\/amd64 +(send|present)/m),
  'imgmv plan web:2 web:1.0 --to 10.101.139.2': sent(/^web:2 .*linux\/amd64 +(send|present)/m),
  'imgmv plan web:1.0 db:16 --to 10.0.0.2': sent(/^db:16 .*linux\/amd64 +(send|present)/m),
  'imgmv plan --move move.yaml': sent(/will be pushed: localhost:5000\/prod\/shop\/web:latest/, {
    beside: "imgmv receive --once --allow-push 'localhost:5000/*'",
    files: ['move.yaml'],
  }),
  'imgmv plan --compose compose.yaml --registry registry.example --project prod --then-push --to host-b':
    sent(/will be pushed: registry\.example\/prod\/web:1\.0/, {
      beside: "imgmv receive --once --allow-push 'registry.example/prod/*'",
      files: ['compose.yaml'],
    }),
  'imgmv plan --then-push': sent(/this receiver|--allow-push/, {
    exit: 16,
    instead: {
      reason: 'it stands for any plan with that option',
      line: (written) => `${written} web:1.0 --to host-b`,
    },
  }),
  "imgmv plan web:1.0 --to host-b --json | jq '.images[]? | {id, bytesMissing}'": sent(
    /"id": "sha256:[0-9a-f]{64}",\s+"bytesMissing": \d+/,
  ),

  // Receivers
  'imgmv receive --once': received(),
  'imgmv receive': received(),
  'imgmv receive --no-replace': received(),
  'imgmv receive --once --no-replace': received(),
  'imgmv receive --listen :7400': received({ beside: 'imgmv send web:1.0 --to host-b:7400' }),
  'imgmv receive --once --listen 10.0.0.2:7373 --ttl 2m': received({
    beside: 'imgmv send web:1.0 --to 10.0.0.2',
  }),
  'imgmv receive --once --listen 10.0.0.2:7400 --ttl 2m': received({
    beside: 'imgmv send web:1.0 --to 10.0.0.2:7400',
  }),
  'imgmv receive --once --json --code-file /run/imgmv-code': received({ says: /"event":"done".*"exit":0/ }),
  'imgmv receive --once --registry registry.example:5000 --project team': received({
    says: / as registry\.example:5000\/team\/web:1\.0 .* verified/,
  }),
  'imgmv receive --once --report received.html': received({ makes: 'received.html' }),
  'imgmv receive --once --report received.md': received({ makes: 'received.md' }),
  "imgmv receive --once --accept 'team/*' db:16": received({
    beside: 'imgmv send team/app:1 db:16 --to host-b',
    says: /2 images done and verified/,
  }),
  'imgmv receive --once --confirm': {
    on: 'b',
    exit: 2,
    says: /there is no terminal to ask on/,
    onlyFails: 'it asks at a terminal: test/e2e/accept.test.ts does',
  },
  "imgmv receive --once --push 'registry.example/team/*'": received({
    beside: 'imgmv send web:1.0 --as registry.example/team/pushed:1 --to host-b',
    says: /pushed registry\.example\/team\/pushed:1 sha256:/,
    pushes: ['team/pushed', '1', 80],
  }),
  'imgmv receive --once --push --registry registry.example': received({
    beside: 'imgmv send web:1.0 --as made/here:1 --to host-b',
    says: /pushed registry\.example\/made\/here:1 sha256:/,
    pushes: ['made/here', '1', 80],
  }),
  "imgmv receive --once --allow-push 'registry.example/team/*'": received({
    beside: 'imgmv send web:1.0 --as registry.example/team/allowed:1 --then-push --to host-b',
    says: /pushed registry\.example\/team\/allowed:1 sha256:/,
    pushes: ['team/allowed', '1', 80],
  }),
  "imgmv receive --once --allow-push 'registry.example/prod/*'": received({
    beside: 'imgmv send web:1.0 --as registry.example/prod/allowed:1 --then-push --to host-b',
    says: /pushed registry\.example\/prod\/allowed:1 sha256:/,
    pushes: ['prod/allowed', '1', 80],
  }),
  "imgmv receive --once --allow-push 'localhost:5000/*'": received({
    beside: 'imgmv send web:1.0 --as localhost:5000/team/local:1 --then-push --to host-b',
    says: /pushed localhost:5000\/team\/local:1 sha256:/,
    pushes: ['team/local', '1', 5000],
  }),
  'imgmv receive --once --into docker-archive:both.tar.zst': received({ makes: 'both.tar.zst' }),
  'imgmv receive --once --into docker-archive:images.tar.zst': received({ makes: 'images.tar.zst' }),
  'imgmv receive --each /srv/images': received({ makes: '../srv/images/web_1.0.tar.zst' }),

  // Archives
  'imgmv copy docker-daemon:web:1.0 docker-archive:web.tar.zst': here(arrives('web:1\\.0'), {
    makes: 'web.tar.zst',
  }),
  'imgmv copy docker-daemon:web:1.0 docker-daemon:db:16 docker-archive:both.tar.zst': here(/2 images done/, {
    makes: 'both.tar.zst',
  }),
  'imgmv copy docker-archive:both.tar.zst docker-daemon:': here(/2 images done/, {
    on: 'b',
    files: ['both.tar.zst'],
  }),
  'imgmv copy docker-archive:both.tar.zst:db:16 docker-daemon:db:test': here(/ as db:test .* verified/, {
    on: 'b',
    files: ['both.tar.zst'],
  }),
  'imgmv copy docker-archive:both.tar.zst:web:1.0 oci:layout': here(arrives('web:1\\.0'), {
    files: ['both.tar.zst'],
    makes: 'layout/index.json',
  }),
  'imgmv copy docker-archive:both.tar.zst docker-daemon: --report copied.json': here(/2 images done/, {
    on: 'b',
    files: ['both.tar.zst'],
    makes: 'copied.json',
  }),
  'imgmv copy docker-archive:both.tar.zst docker-daemon: --report copied.md': here(/2 images done/, {
    on: 'b',
    files: ['both.tar.zst'],
    makes: 'copied.md',
  }),
  'imgmv copy docker-daemon:web:1.0 docker-daemon:db:16 --each /media/stick': here(/2 images done/, {
    makes: '../media/stick/db_16.tar.zst',
  }),
  'imgmv copy --all --each /media/stick': here(/images done/, { makes: '../media/stick/db_16.tar.zst' }),
  'imgmv copy docker-archive:/media/stick docker-daemon:': here(/2 images done/, {
    on: 'b',
    stick: ['both.tar.zst'],
  }),
  'imgmv copy docker-archive:/media/stick docker-daemon: --registry registry.example --project team': here(
    / as registry\.example\/team\/web:1\.0 .* verified/,
    { on: 'b', stick: ['both.tar.zst'] },
  ),
  'imgmv copy docker-archive:web.tar docker-daemon:registry.example/team/web:1.0 --push': here(
    /pushed registry\.example\/team\/web:1\.0 sha256:/,
    { on: 'b', files: ['web.tar'], pushes: ['team/web', '1.0', 80] },
  ),
  'imgmv copy docker-daemon:web:1.0 docker-daemon: --dest-docker-host ssh://ops@host-b': here(
    arrives('web:1\\.0'),
    {
      instead: {
        reason:
          'test/e2e/ssh-engine.test.ts has engines that are reached by ssh; here the engine is reached by its socket',
        line: (written) => written.replace('ssh://ops@host-b', '"$ENGINE_B"'),
      },
    },
  ),
  'imgmv send web:1.0 --to ssh://ops@host-b': here(/--code-file does not work with ssh:/, {
    exit: 2,
    onlyFails:
      'test/e2e/send-by-ssh.test.ts has an sshd; here is none, and each `send` gets a file with a code',
  }),
  'imgmv clean --to ssh://ops@host-b': here(/no docker engine/, {
    exit: 14,
    onlyFails: 'test/e2e/send-by-ssh.test.ts has an sshd; here is none',
  }),
  'imgmv copy docker-daemon:web:1.0 docker-archive:- | ssh host-b docker load':
    here(/Loaded image: web:1\.0/),
  'docker save web:1.0 | imgmv send --from docker-archive:- --to host-b': sent(arrives('web:1\\.0')),
  'imgmv send --from docker-archive:both.tar.zst db:16 --to host-b': sent(arrives('db:16'), {
    files: ['both.tar.zst'],
  }),
  'imgmv send --from docker-archive:images.tar.zst --to host-b': sent(/2 images done/, {
    files: ['images.tar.zst'],
  }),

  // Lists, and what is left
  'imgmv ls': here(/^web:1\.0 /m),
  "imgmv ls 'team/*'": here(/^team\/app:1 /m),
  "imgmv ls 'team/*' --since 7d": here(/^team\/app:1 /m),
  "imgmv ls --running --json | jq -r '.images[]?.names[]'": here(/^$/),
  'imgmv ls --from docker-archive:images.tar.zst': here(/^db:16 /m, { files: ['images.tar.zst'] }),
  'imgmv clean': here(/Nothing is left of interrupted runs/, { on: 'b' }),
  "imgmv clean --json | jq '.removed[]?.name'": here(/^$/, { on: 'b' }),
  'imgmv doctor': here(/^No problems found/m, { on: 'b', alone: true }),
  'imgmv doctor --to host-b': here(/^FAULT +host +host-b:7373 refused/m, { exit: 11 }),
  'imgmv doctor --to host-b --json | jq \'select(.status == "fault")\'': here(/"code": "connection-refused"/),
  'IMGMV_TO=host-b imgmv send web:1.0': sent(arrives('web:1.0')),
  'imgmv send web:1.0 --to host-b --limit 10M': sent(arrives('web:1.0')),
  'imgmv clean --force': here(/Nothing is left of interrupted runs/, { on: 'b', alone: true }),

  // What shells want
  'imgmv completion bash > /usr/share/bash-completion/completions/imgmv': here(
    /^complete -F _imgmv imgmv$/m,
    {
      instead: shown,
    },
  ),
  'imgmv completion zsh > /usr/local/share/zsh/site-functions/_imgmv': here(/^#compdef imgmv$/m, {
    instead: shown,
  }),
  'imgmv completion fish > /usr/share/fish/vendor_completions.d/imgmv.fish': here(/^complete -c imgmv /m, {
    instead: shown,
  }),

  // The container image
  'docker run -it --rm --network host --log-driver none --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock imgmv receive --once':
    received({ instead: container }),
  'docker run --rm --network host --log-driver none --user "$(id -u)" --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock -v "$PWD/codes:/codes" imgmv receive --once --json --code-file /codes/code':
    {
      on: 'b',
      exit: 2,
      says: /cannot write the code file \/codes\/code/,
      instead: container,
      onlyFails: 'the directory is a mount of the container',
    },
  'docker run -i --rm --network host --log-driver none --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock imgmv send web:1.0 --to host-b --code-file - < code':
    sent(arrives('web:1\\.0'), { instead: container }),
};

const supports = [
  await engineSupport('20'),
  await hostSupport(),
  await registrySupport(),
  await supportOf(() => requirePrograms('jq', 'bash', 'docker', 'openssl')),
];
const examples = await findExamples();

describe('the examples of the documents', () => {
  it('are found', () => {
    expect(examples.length).toBeGreaterThan(50);
    const places = new Set(examples.flatMap(({ places }) => places));
    expect([...places]).toEqual(expect.arrayContaining(['README.md', 'docs/install.md', 'docs/push.md']));
    expect([...places]).toEqual(expect.arrayContaining(['imgmv --help', 'imgmv receive --help']));
  });

  it.each(examples)('$line is known here', ({ line, places }) => {
    expect(
      Object.hasOwn(EXAMPLES, line),
      `${places.join(' and ')}: the example \`${line}\` is new: say in EXAMPLES of this test how it is run and what ` +
        'comes of it, or mend the example',
    ).toBe(true);
  });

  it.each(Object.keys(EXAMPLES))('%s is still in a document', (line) => {
    expect(
      examples.some((example) => example.line === line),
      'no document has this example any more: take it out of EXAMPLES',
    ).toBe(true);
  });
});

describeOn(
  'an example',
  supports,
  () => {
    let stage: Stage;

    beforeAll(async () => {
      stage = await startStage(PAIRS);
      await loadImages(stage);
      await makeFiles(stage);
    });
    afterAll(() => stage?.[Symbol.asyncDispose]());

    const playable = (alone: boolean) =>
      examples.flatMap(({ line }): [string, Play][] => {
        const play = EXAMPLES[line];
        return play && (play.alone ?? false) === alone ? [[line, play]] : [];
      });

    describe('', { concurrent: true }, () => {
      it.each(playable(false))(
        '%s',
        (line, play) => stage.play((scenery) => act(line, play, scenery)),
        TEST_TIMEOUT_MS,
      );
    });
    it.each(playable(true))(
      '%s',
      (line, play) => stage.play((scenery) => act(line, play, scenery)),
      TEST_TIMEOUT_MS,
    );

    async function act(line: string, play: Play, scenery: Scenery): Promise<void> {
      const { on, beside, exit = 0, says, instead, makes, pushes } = play;
      for (const file of play.files ?? []) await scenery.put(file);
      for (const file of play.stick ?? []) await scenery.put(file, scenery.at('media/stick'));
      const command = instead?.line(line) ?? line;
      const listens = on === 'b' && beside !== undefined;
      const receiver = beside === undefined ? undefined : scenery.start('b', listens ? command : beside);
      try {
        if (receiver) await scenery.listening(receiver);
        if (/< code$/.test(line))
          await symlink(scenery.at('run/imgmv-code'), join(scenery.directory, 'code'));
        const other = scenery.start(listens ? 'a' : on, listens ? beside : command);
        const otherExit = await other.exit;
        // One that takes session after session.
        const stopped = listens && !/--once/.test(command);
        if (stopped) receiver?.stop();
        const receiverExit = await receiver?.exit;
        const said = `${other.text}${receiver?.text ?? ''}`;
        const [own, others] = listens ? [receiverExit, otherExit] : [otherExit, receiverExit];
        expect([own, said]).toEqual([stopped ? 130 : exit, expect.any(String)]);
        // Both sides end with the status that the session has earned.
        if (receiver) expect([others, said]).toEqual([exit, expect.any(String)]);
        expect((listens ? receiver : other)?.text).toMatch(says);
      } finally {
        receiver?.kill();
      }
      if (makes !== undefined) expect((await stat(join(scenery.directory, makes))).size).toBeGreaterThan(0);
      if (pushes) {
        const [repository, tag, port] = pushes;
        expect(await stage.registries.get(port)?.digestOf(repository, tag)).toMatch(/^sha256:[0-9a-f]{64}$/);
      }
    }
  },
  { required: true },
);

/** What the examples name, at the source. */
async function loadImages({ source }: Stage): Promise<void> {
  const names = [
    ...['web:1.0', 'web:2', 'db:16', 'cache:latest', 'postgres:16', 'test/scratch:1'],
    ...['shop/web:2.3', 'shop/web:2.4', 'shop/api:2.4', 'shop/worker:2.4'],
  ];
  for (const name of names)
    await loadImage(source, { name, layers: [{ 'etc/base': 'base\n' }, { 'etc/name': name }] });
  for (const [from, to] of [
    ['web:2', 'web:latest'],
    ['shop/web:2.4', 'shop/web:latest'],
  ] as const)
    await source.docker(['tag', from, to]);
  // Of now, as `--since` has it.
  await source.docker(['build', '--quiet', '--tag', 'team/app:1', '-'], {
    input: 'FROM web:1.0\nLABEL app=1\n',
  });
}

async function makeFiles(stage: Stage): Promise<void> {
  const { files } = stage;
  const document = fileURLToPath(new URL('../../docs/moving-a-server.md', import.meta.url));
  const [, move = ''] = /^```yaml\n(to: [\s\S]*?)^```/m.exec(await readFile(document, 'utf8')) ?? [];
  expect(move).toContain('then-push: true');
  await writeFile(join(files, 'move.yaml'), move);
  await writeFile(join(files, 'compose.yaml'), 'services:\n  web:\n    image: web:1.0\n');
  await writeFile(join(files, 'web.tar'), '');
  await stage.play(async (scenery) => {
    const made = scenery.start(
      'a',
      'set -e; docker save --output web.tar web:1.0; ' +
        'imgmv copy docker-daemon:web:1.0 docker-daemon:db:16 docker-archive:both.tar.zst; cp both.tar.zst images.tar.zst',
    );
    expect([await made.exit, made.text]).toEqual([0, expect.any(String)]);
    for (const file of ['web.tar', 'both.tar.zst', 'images.tar.zst'])
      await run(['mv', join(scenery.directory, file), files]);
  });
  expect((await readdir(files)).length).toBeGreaterThan(4);
}
