/** Images that are pushed on once they are loaded, by real engines to a real registry. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NOBODY } from '../nobody.ts';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { hostSupport, twoHosts } from '../rig/hosts.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { PASSWORD, type Registry, registrySupport, startRegistry, USER } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { startRelay } from './relay.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

/** With all the pauses of a push that is tried again and again: 2, 6 and 18 s. */
const RETRIES_TIMEOUT_MS = 300_000;
const TEST_TIMEOUT_MS = 300_000;
const WRONG = 'wrong-horse-battery';
const DIGEST = /^sha256:[0-9a-f]{64}$/;

interface Pushed {
  readonly ref: string;
  readonly digest: string | null;
  readonly warning: string | null;
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
}

const AUTH = (password: string) => Buffer.from(`${USER}:${password}`).toString('base64');

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  const supports = [await engineSupport('20'), await engineSupport(flavour), await registrySupport()];
  describeOn(`pushing on from ${flavour}`, supports, () => {
    let scene: Scene;
    let open: Registry;
    let closed: Registry;
    let made = 0;

    beforeAll(async () => {
      [scene, open, closed] = await Promise.all([
        startScene({ source: '20', target: flavour }),
        startRegistry(),
        startRegistry({ htpasswd: true }),
      ]);
    });
    afterAll(async () => {
      await scene?.[Symbol.asyncDispose]();
      await open?.[Symbol.asyncDispose]();
      await closed?.[Symbol.asyncDispose]();
    });

    /** An image of the source that nobody else has. */
    const image = (name: string, bytes = 1_000): Promise<LoadedImage> =>
      loadImage(scene.source, { name, layers: [{ data: { bytes, seed: ++made } }, { name }] });
    const idAtTarget = async (name: string) =>
      (await scene.target.docker(['image', 'ls', '--quiet', '--no-trunc', name])).trim();
    /** A directory that DOCKER_CONFIG may name. */
    const dockerConfig = async (config: unknown): Promise<string> => {
      const directory = join(scene.directory, `docker-${++made}`);
      await mkdir(directory);
      const text = typeof config === 'string' ? config : JSON.stringify(config);
      await writeFile(join(directory, 'config.json'), text);
      return directory;
    };
    /** Moves `name` with `--push` for its registry, or as `args` have it, and gives what both sides told. */
    const moved = async (
      name: string,
      exit: number,
      { env = {}, receive = ['--push', everythingAt(name)], send = [] as readonly string[] } = {},
    ) => {
      await using receiver = await scene.receive({ args: ['--once', ...receive], env });
      await using sender = scene.send(receiver, [name, '--json', ...send]);
      const [sent, received] = await Promise.all([toldBy(sender), toldBy(receiver.imgmv)]);
      const ends = [await sender.exit, await receiver.imgmv.exit];
      expect({ ends, said: sender.stdout + receiver.imgmv.stdout }).toEqual({
        ends: [
          { code: exit, signal: null },
          { code: exit, signal: null },
        ],
        said: expect.any(String),
      });
      const output = [sender, receiver.imgmv].map(({ stdout, stderr }) => stdout + stderr).join('');
      return { sent, received, output, ...onlyImage(sent, received) };
    };

    // Each has an image and a repository of its own, and the longest of them mostly wait.
    it.concurrent(
      'without a password: the digest is what the registry has, and both sides tell it',
      async () => {
        const name = `${open.address}/team/web:1.0`;
        await image(name, 3_000_000);
        const { here, there } = await moved(name, 0);
        expect(there).toMatchObject({ status: 'loaded', error: null });
        const digest = await open.digestOf('team/web', '1.0');
        expect(digest).toMatch(DIGEST);
        for (const { pushed } of [here, there])
          expect(pushed).toEqual([{ ref: name, digest, warning: null, error: null }]);
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'with --then-push, as text on both sides, and an image that is there is pushed, too',
      async () => {
        const name = `${open.address}/team/then:1.0`;
        await image(name);
        const text = async (says: RegExp) => {
          await using receiver = await scene.receive({
            args: ['--once', '--allow-push', everythingAt(name)],
          });
          await using sender = scene.send(receiver, [name, '--then-push']);
          await expectEnd(sender, 0, says);
          await expectEnd(receiver.imgmv, 0, /"pushed":\[/);
          return sender.stderr;
        };
        await text(/^loaded 127/m);
        const digest = await open.digestOf('team/then', '1.0');
        const again = await text(/^present 127/m);
        expect(again).toContain(`pushed ${name} ${digest}\n`);
        // Not without being asked.
        const other = `${open.address}/team/unasked:1.0`;
        await image(other);
        const { here } = await moved(other, 0, { receive: ['--allow-push', everythingAt(other)] });
        expect(here).not.toHaveProperty('pushed');
        expect(await open.digestOf('team/unasked', '1.0')).toBeUndefined();
      },
      TEST_TIMEOUT_MS,
    );

    const logins: readonly (readonly [string, (host: string) => Promise<Record<string, string>>])[] = [
      [
        'an entry of auths',
        async (host) => ({
          DOCKER_CONFIG: await dockerConfig({ auths: { [`https://${host}/v1/`]: { auth: AUTH(PASSWORD) } } }),
        }),
      ],
      [
        'a helper for the host',
        async (host) => ({
          DOCKER_CONFIG: await dockerConfig({ credHelpers: { [host]: 'test' }, credsStore: 'missing' }),
          PATH: await helperPath(scene, host, PASSWORD),
        }),
      ],
      [
        'a helper for all hosts',
        async (host) => ({
          DOCKER_CONFIG: await dockerConfig({ auths: { [host]: {} }, credsStore: 'test' }),
          PATH: await helperPath(scene, host, PASSWORD),
        }),
      ],
    ];
    it.concurrent.each(logins)(
      'with the password in %s',
      async (_, login) => {
        const name = `${closed.address}/team/login:${++made}`;
        await image(name);
        const { here, output } = await moved(name, 0, { env: await login(closed.address) });
        const digest = await closed.digestOf('team/login', name.split(':').at(-1) ?? '');
        expect(here.pushed).toEqual([
          { ref: name, digest: expect.stringMatching(DIGEST), warning: null, error: null },
        ]);
        expect(here.pushed?.[0]?.digest).toBe(digest);
        for (const secret of [PASSWORD, AUTH(PASSWORD)]) expect(output).not.toContain(secret);
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'with a wrong password: loaded, tried once, and 17 on both sides with what to do',
      async () => {
        const name = `${closed.address}/team/wrong:1`;
        await image(name);
        const config = await dockerConfig({ auths: { [closed.address]: { auth: AUTH(WRONG) } } });
        const { here, there, sent, received, output } = await moved(name, 17, {
          env: { DOCKER_CONFIG: config },
        });
        expect(here).toMatchObject({ status: 'loaded', error: null });
        expect(await idAtTarget(name)).toBe(here.targetId);
        expect(received.filter(({ event }) => event === 'retrying')).toEqual([]);
        const failed = (error: object) => [{ ref: name, digest: null, warning: null, error }];
        expect(here.pushed).toEqual(
          failed({
            code: 'push-failed',
            message: expect.stringMatching(
              /the push of .*team\/wrong:1 failed: .*(unauthorized|401|no basic auth)/,
            ),
            hint: expect.stringContaining(`from ${config}/config.json; \`docker login ${closed.address}\``),
          }),
        );
        // What the registry and the files of that host say stays there.
        expect(there.pushed).toEqual(
          failed({
            code: 'push-failed',
            message: expect.stringMatching(/^on .*: no permission to push there, or no valid credentials$/),
            hint: expect.stringMatching(/^what the registry said is shown on /),
          }),
        );
        expect(JSON.stringify(sent)).not.toContain(config);
        for (const secret of [WRONG, AUTH(WRONG)]) expect(output).not.toContain(secret);
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'without credentials, and with a configuration or a helper that is not good',
      async () => {
        const name = `${closed.address}/team/none:1`;
        await image(name);
        const cases = [
          [{}, /^there are no credentials for .*.docker login /, /team\/none:1 failed: /],
          // Docker goes on without them, and warns.
          [
            '{"auths":',
            /^there are no credentials for /,
            /team\/none:1 failed: /,
            /config\.json is not JSON: /,
          ],
          [
            { credsStore: 'missing' },
            /^there are no credentials for /,
            /team\/none:1 failed: /,
            /docker-credential-missing \(.*config\.json\) does not exist: /,
          ],
          [
            { credsStore: '../sh' },
            /docker-credential-NAME/,
            /names the helper "\.\.\/sh", which is not a valid name$/,
          ],
        ] as const;
        for (const [config, hint, message, warning] of cases) {
          const DOCKER_CONFIG = await dockerConfig(config);
          // The engine is found without that file, or nothing could be received.
          const { here, received } = await moved(name, 17, { env: { DOCKER_CONFIG } });
          const warnings = received.filter(({ event }) => event === 'warning').map((told) => told.message);
          if (warning) expect(warnings).toContainEqual(expect.stringMatching(warning));
          expect(here.pushed).toEqual([
            expect.objectContaining({
              error: {
                code: 'push-failed',
                hint: expect.stringMatching(hint),
                message: expect.stringMatching(message),
              },
            }),
          ]);
          expect(await idAtTarget(name)).toBe(here.targetId);
        }
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'to a registry that is down: tried again, then 17',
      async () => {
        const name = `${NOBODY}/team/down:1`;
        await image(name);
        const { here, received } = await moved(name, 17);
        const retries = received.filter(({ event }) => event === 'retrying');
        expect(retries.map(({ attempt, waitSeconds, phase }) => [attempt, waitSeconds, phase])).toEqual([
          [1, 2, 'push'],
          [2, 6, 'push'],
          [3, 18, 'push'],
        ]);
        expect(here.pushed?.[0]?.error).toEqual({
          code: 'push-failed',
          message: expect.stringMatching(/failed, 4 times: .*connection refused$/),
          hint: expect.stringMatching(/^is 127\..* up, and can the engine reach it\?$/),
        });
        expect(await idAtTarget(name)).toBe(here.targetId);
      },
      RETRIES_TIMEOUT_MS,
    );

    it.concurrent(
      'through a connection that is cut midway: it gets there, and its progress is told',
      async () => {
        const bytes = 12_000_000;
        const port = Number(open.address.split(':')[1]);
        await using relay = await startRelay({ port, holdAfterBytes: bytes / 3 });
        const name = `127.0.0.1:${relay.port}/team/cut:1`;
        await image(name, bytes);
        const cut = relay.held.then(async () => {
          await new Promise((resolve) => setTimeout(resolve, 1_500));
          relay.release();
          relay.cut();
        });
        const { here, sent, received } = await moved(name, 0);
        await cut;
        expect(here.pushed).toEqual([
          { ref: name, digest: await open.digestOf('team/cut', '1'), warning: null, error: null },
        ]);
        for (const told of [sent, received])
          expect(told).toContainEqual(
            expect.objectContaining({ event: 'progress', phase: 'push', bytesTotal: expect.any(Number) }),
          );
        const totals = sent
          .filter(({ phase }) => phase === 'push')
          .map(({ bytesTotal }) => Number(bytesTotal));
        expect(Math.max(...totals)).toBeGreaterThanOrEqual(bytes * 0.9);
      },
      RETRIES_TIMEOUT_MS,
    );

    it.concurrent(
      'stopped while it pushes: the image stays, and the statuses are those of a stop',
      async () => {
        await using relay = await startRelay({
          port: Number(open.address.split(':')[1]),
          holdAfterBytes: 100_000,
        });
        const name = `127.0.0.1:${relay.port}/team/stopped:1`;
        await image(name, 3_000_000);
        await using receiver = await scene.receive({ args: ['--once', '--push', everythingAt(name)] });
        await using sender = scene.send(receiver, [name, '--json']);
        await relay.held;
        for await (const { event, phase } of sender.events)
          if (event === 'progress' && phase === 'push') break;
        receiver.imgmv.kill('SIGINT');
        await expectEnd(receiver.imgmv, 130, /"pushed":\[\{.*"code":"sigint"/);
        // It knows that the image is there, or it would not be pushed.
        await expectEnd(sender, 11, /"status":"loaded".*"pushed":\[\{[^}]*"digest":null.*"peer-stopped"/);
        expect(await idAtTarget(name)).not.toBe('');
        expect(await open.digestOf('team/stopped', '1')).toBeUndefined();
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'leaves a name without a registry, and no name at all, where they are',
      async () => {
        const { id } = await image('plain:1');
        const byName = await moved('plain:1', 17, { receive: ['--push', '*'] });
        const why = { code: 'push-failed', hint: expect.stringContaining('--retag') };
        expect(byName.here.pushed).toEqual([
          expect.objectContaining({
            ref: 'plain:1',
            error: { ...why, message: 'plain:1 cannot be pushed: it names no registry' },
          }),
        ]);
        const byId = await moved(id, 17, { receive: ['--allow-push', '*'], send: ['--then-push'] });
        expect(byId.there.pushed).toEqual([
          expect.objectContaining({
            ref: byId.there.targetId,
            error: {
              ...why,
              hint: expect.stringContaining('--as'),
              message: expect.stringMatching(/ was not pushed: it names no registry$/),
            },
          }),
        ]);
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'is in no argument and no environment: the password while the push goes on',
      async () => {
        await using relay = await startRelay({
          port: Number(closed.address.split(':')[1]),
          holdAfterBytes: 200_000,
        });
        const host = `127.0.0.1:${relay.port}`;
        const name = `${host}/team/secret:1`;
        await image(name, 2_000_000);
        const env = {
          DOCKER_CONFIG: await dockerConfig({ credsStore: 'test' }),
          PATH: await helperPath(scene, host, PASSWORD),
          IMGMV_TEST_MARK: 'canary-of-the-search',
        };
        await using receiver = await scene.receive({ args: ['--once', '--push', everythingAt(name)], env });
        await using sender = scene.send(receiver, [name]);
        await relay.held;
        const seen = await readMachine();
        relay.release();
        await expectEnd(sender, 0, /^pushed /m);
        await expectEnd(receiver.imgmv, 0, /"pushed":\[/);
        // The search itself finds what is there.
        expect(seen).toContain('canary-of-the-search');
        const said = seen + sender.stderr + receiver.imgmv.stdout + receiver.imgmv.stderr;
        for (const secret of [PASSWORD, AUTH(PASSWORD)]) expect(said.includes(secret)).toBe(false);
      },
      TEST_TIMEOUT_MS,
    );

    it.concurrent(
      'by imgmv copy, under the new name',
      async () => {
        await image('copied:1');
        const archive = join(scene.directory, `copied-${flavour}.tar`);
        const name = `${open.address}/team/copied:2`;
        await using out = runImgmv([
          'copy',
          'docker-daemon:copied:1',
          `docker-archive:${archive}`,
          '--docker-host',
          scene.source.dockerHost,
        ]);
        await expectEnd(out, 0, /written/);
        await using copy = runImgmv([
          'copy',
          `docker-archive:${archive}`,
          `docker-daemon:${name}`,
          '--push',
          '--docker-host',
          scene.target.dockerHost,
        ]);
        await expectEnd(copy, 0, /^pushed .*\/team\/copied:2 sha256:/m);
        expect(copy.stderr).toContain(`pushed ${name} ${await open.digestOf('team/copied', '2')}`);
      },
      TEST_TIMEOUT_MS,
    );

    it(
      'only where a pattern allows it: what fits is pushed, and what does not stays',
      async () => {
        const [team, other] = ['team/fits:1.0', 'other/fits:1.0'].map((name) => `${open.address}/${name}`);
        const pattern = `${open.address}/team/*:1.*`;
        for (const name of [team, other]) await image(name ?? '');
        const fits = await moved(team ?? '', 0, { receive: ['--push', pattern] });
        expect(fits.there.pushed?.[0]?.digest).toBe(await open.digestOf('team/fits', '1.0'));
        // What the receiver pushes by itself leaves the others alone, and both sides are told so in the plan.
        const left = await moved(other ?? '', 0, { receive: ['--push', pattern] });
        for (const told of [left.sent, left.received])
          expect(told.find(({ event }) => event === 'plan')).toMatchObject({
            images: [{ warning: expect.stringMatching(`(^|: )the receiver does not push to ${other}$`) }],
          });
        expect(left.here).not.toHaveProperty('pushed');
        // A sender that asks for the push is told before anything moves.
        const before = await scene.look();
        await using receiver = await scene.receive({ args: ['--once', '--allow-push', pattern] });
        await using sender = scene.send(receiver, [other ?? '', '--then-push']);
        await expectEnd(sender, 16, /the receiver does not push to .*other\/fits:1\.0/);
        await expectEnd(receiver.imgmv, 16, /"status":"refused"/);
        await scene.expectUnchanged(before, receiver);
        expect(await open.digestOf('other/fits', '1.0')).toBeUndefined();
      },
      TEST_TIMEOUT_MS,
    );

    it(
      'is refused by a receiver that was not told to allow it, in a plan as well',
      async () => {
        const name = `${open.address}/team/refused:1`;
        await image(name);
        const before = await scene.look();
        for (const command of ['send', 'plan'] as const) {
          await using receiver = await scene.receive();
          await using sender = scene.send(receiver, [name, '--then-push'], { command });
          await expectEnd(
            sender,
            16,
            /does not push images: nothing was sent\n.*imgmv receive --allow-push '.*'. there/,
          );
          await expectEnd(receiver.imgmv, 16, /"code":"refused".*imgmv receive --allow-push/);
          await scene.expectUnchanged(before, receiver);
        }
        await using receiver = await scene.receive({
          args: ['--once', '--allow-push', everythingAt(name)],
        });
        await using planner = scene.send(receiver, [name, '--then-push'], { command: 'plan' });
        await expectEnd(planner, 0, /To send/);
        await expectEnd(receiver.imgmv, 0, /"done"/);
        await scene.expectUnchanged(before, receiver);
      },
      TEST_TIMEOUT_MS,
    );
  });
}

describeOn('pushing an index', [await engineSupport('28c'), await registrySupport()], () => {
  it(
    'of which one platform is here: that one is pushed, and it is said so',
    async () => {
      await using scene = await startScene({ source: '28c', target: '28c' });
      await using registry = await startRegistry();
      const name = `${registry.address}/team/index:1`;
      const { manifest } = await loadIndexImage(scene.source, { name, layers: [{ a: 'index' }], gzip: true });
      await using receiver = await scene.receive({ args: ['--once', '--push', everythingAt(name)] });
      await using sender = scene.send(receiver, [name]);
      await expectEnd(sender, 0, new RegExp(`^pushed ${name} ${manifest}\nwarning: .*one platform`, 'm'));
      await expectEnd(receiver.imgmv, 0, /"warning":"the engine has only one platform/);
      expect(await registry.digestOf('team/index', '1')).toBe(manifest);
    },
    TEST_TIMEOUT_MS,
  );
});

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  const supports = [await engineSupport(flavour), await registrySupport(), await hostSupport()];
  describeOn(`a registry with a CA of its own, ${flavour}`, supports, () => {
    it(
      'is pushed to where the engine trusts it, and else it is said what to do',
      async () => {
        // Docker trusts whatever answers on a loopback.
        await using hosts = await twoHosts();
        await using registry = await startRegistry({ tls: true, host: hosts.b });
        await using engine = await startEngine({ flavour, host: hosts.a });
        const name = `${registry.address}/team/tls:1`;
        await loadImage(engine, { name: 'tls:1', layers: [{ a: flavour }] });
        const copy = () =>
          runImgmv([
            'copy',
            'docker-daemon:tls:1',
            `docker-daemon:${name}`,
            '--push',
            '--docker-host',
            engine.dockerHost,
          ]);
        await using distrustful = copy();
        await expectEnd(
          distrustful,
          17,
          /^(loaded|present) .*\nNOT pushed .*team\/tls:1 failed: .*x509.*\n {2}the engine does not trust .*\/etc\/docker\/certs\.d\/10\..*ca\.crt/m,
        );
        expect(await engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
        await trust(engine, registry);
        await using trusting = copy();
        await expectEnd(trusting, 0, /^pushed .*team\/tls:1 sha256:/m);
        expect(trusting.stderr).toContain(await registry.digestOf('team/tls', '1'));
      },
      TEST_TIMEOUT_MS,
    );
  });
}

/** A pattern for all names in the registry of this one. */
function everythingAt(name: string): string {
  return `${name.split('/')[0]}/*`;
}

/** Puts the registry's CA where the daemon looks for it, in the daemon's own view of the file system alone. */
async function trust(engine: Engine, { address, ca = '' }: Registry): Promise<void> {
  const script = `
    mount -t tmpfs tmpfs /srv
    mkdir /srv/upper /srv/work
    mount -t overlay overlay -o lowerdir=/etc,upperdir=/srv/upper,workdir=/srv/work /etc
    mkdir -p "/etc/docker/certs.d/$1"
    cat > "/etc/docker/certs.d/$1/ca.crt"
  `;
  const inside = [
    'nsenter',
    `--target=${engine.pid}`,
    '--mount',
    `--root=/proc/${engine.pid}/root`,
    '--wd=/',
  ];
  await run([...inside, 'sh', '-euc', script, 'trust', address], { input: ca });
}

/** PATH with a helper in front that has the password for one host. */
async function helperPath({ directory }: Scene, host: string, password: string): Promise<string> {
  const path = join(directory, `helper-${host.replace(':', '-')}`);
  await mkdir(path, { recursive: true });
  const helper = join(path, 'docker-credential-test');
  const answer = JSON.stringify({ ServerURL: host, Username: USER, Secret: password });
  const script = `#!/bin/sh
[ "$1" = get ] && [ "$(cat)" = "${host}" ] || { echo 'credentials not found in native keychain'; exit 1; }
echo '${answer}'
`;
  await writeFile(helper, script);
  await chmod(helper, 0o755);
  return `${path}:${process.env.PATH}`;
}

/** What any process has as arguments and environment now. */
async function readMachine(): Promise<string> {
  const ids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name) && name !== `${process.pid}`);
  const files = ids.flatMap((id) => [`/proc/${id}/cmdline`, `/proc/${id}/environ`]);
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.join('\n');
}

interface ImageEvent extends JsonEvent {
  readonly targetId: string;
  readonly pushed?: readonly Pushed[];
}

/** The one `image` of each side: `here` is the receiver's, `there` what the sender heard of it. */
function onlyImage(sent: readonly JsonEvent[], received: readonly JsonEvent[]) {
  const [there, here] = [sent, received].map((told) => told.filter(({ event }) => event === 'image'));
  expect([there?.length, here?.length]).toEqual([1, 1]);
  return { there: there?.[0] as ImageEvent, here: here?.[0] as ImageEvent };
}
