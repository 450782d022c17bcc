/** Configuration files and IMGMV_*: who wins, what is refused, and whose files are read. */
import { chmod, chown, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { variableOf } from '../../cli/config/environment.ts';
import { CONFIG_KEYS } from '../../cli/config/keys.ts';
import { type ImgmvOptions, type Place, runImgmv } from '../rig/imgmv.ts';
import { requireRoot } from '../rig/root.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { expectEnd } from './scene.ts';

const PAGE = await readFile(new URL('../../docs/config.md', import.meta.url), 'utf8');
/** What docs/config.md says is taken on the command line only. */
const REFUSED = [
  ...(/## What is refused\n([\s\S]*?)\nEvery command/.exec(PAGE)?.[1]?.matchAll(/`([a-z-]+…?)`/g) ?? []),
].map(([, key = '']) => key.replace('…', 'push'));

let directory: ScratchDirectory;
/** The user's file, and the folder that the system's /etc/imgmv is for a command at `here`. */
let user: string;
let system: string;

beforeEach(async () => {
  directory = await scratchDirectory();
  user = join(directory.path, 'home', '.config', 'imgmv', 'config.yaml');
  system = join(directory.path, 'etc', 'imgmv', 'config.yaml');
  for (const path of [user, system]) await mkdir(join(path, '..'), { recursive: true });
});
afterEach(() => directory?.[Symbol.asyncDispose]());

/** With an /etc of its own, which has `system` and nothing of this machine's. */
const here = (): Place => ({
  argv: (command) => [
    ...['unshare', '--mount', 'sh', '-c', 'mount --bind "$1" /etc && shift && exec "$@"', 'sh'],
    join(directory.path, 'etc'),
    ...command,
  ],
});

function run(args: readonly string[], { env = {}, ...options }: ImgmvOptions = {}) {
  return runImgmv(args, { host: here(), env: { HOME: join(directory.path, 'home'), ...env }, ...options });
}

/** Which engine a command looks for, and by whose word. */
async function engineOf(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  await using imgmv = run(['ls', ...args], { env });
  await imgmv.exit;
  return /there is no socket (.*)/.exec(imgmv.stderr)?.[1] ?? imgmv.stderr;
}

async function refusal(env: Readonly<Record<string, string>> = {}): Promise<string> {
  await using imgmv = run(['ls', '--docker-host', 'unix:///typed'], { env });
  const { code } = await imgmv.exit;
  return `${code} ${imgmv.stderr}`;
}

describeOn(
  'configuration',
  [await supportOf(async () => requireRoot())],
  () => {
    describe('who wins', () => {
      it('the command line, the environment, the user’s file, the system’s file', async () => {
        expect(await engineOf([])).toMatch(/the default socket/);
        await writeFile(system, 'docker-host: unix:///of-system\n');
        expect(await engineOf([])).toBe('unix:///of-system (/etc/imgmv/config.yaml)');
        await writeFile(user, 'docker-host: unix:///of-user\n');
        expect(await engineOf([])).toBe(`unix:///of-user (${user})`);
        expect(await engineOf([], { DOCKER_HOST: 'unix:///of-docker' })).toBe(
          'unix:///of-docker (DOCKER_HOST)',
        );
        const env = { IMGMV_DOCKER_HOST: 'unix:///of-env' };
        expect(await engineOf([], env)).toBe('unix:///of-env (IMGMV_DOCKER_HOST)');
        expect(await engineOf([], { IMGMV_DOCKER_HOST: '', IMGMV_JOBS: '' })).toBe(
          `unix:///of-user (${user})`,
        );
        expect(await engineOf(['--docker-host', 'unix:///typed'], env)).toBe('unix:///typed (--docker-host)');
      });

      it('an option that excludes what is configured is no mistake: it wins', async () => {
        await writeFile(user, 'docker-host: unix:///of-user\nlimit: 1M\nverbose: true\n');
        expect(await engineOf(['--context', 'default'])).toMatch(/the default socket/);
        expect(await engineOf([], { IMGMV_CONTEXT: 'default' })).toMatch(/the default socket/);
        await using limited = run(['send', 'web', '--to', '127.0.0.1:1', '--bwlimit', '9', '--quiet']);
        await expectEnd(limited, 14, /^imgmv: no docker engine: there is no socket unix:\/\/\/of-user/);
      });

      it('a move file comes before what is configured, and behind what is typed', async () => {
        await writeFile(user, 'to: 127.0.0.1:1\ndocker-host: unix:///of-user\n');
        const move = join(directory.path, 'move.yaml');
        const engine = async (yaml: string, ...args: string[]) => {
          await writeFile(move, yaml);
          await using imgmv = run(['send', 'web', '--move', move, ...args]);
          await imgmv.exit;
          return imgmv.stderr;
        };
        expect(await engine('jobs: 1\n')).toMatch(/unix:\/\/\/of-user/);
        expect(await engine('docker-host: unix:///of-move\n')).toMatch(/unix:\/\/\/of-move/);
        expect(await engine('context: default\n')).toMatch(/the default socket/);
        expect(await engine('docker-host: unix:///of-move\n', '--docker-host', 'unix:///typed')).toMatch(
          /unix:\/\/\/typed/,
        );
      });

      it('a command takes what it has an option for, and no other', async () => {
        await writeFile(
          user,
          `to: host-b\njobs: 3\nlisten: 10.0.0.2:1\nreport: ${directory.path}/r.html\nttl: 2m\n`,
        );
        for (const command of [['clean'], ['ls'], ['copy', 'docker-daemon:x', 'oci:/x']]) {
          await using imgmv = run([...command, '--docker-host', 'unix:///typed']);
          await expectEnd(imgmv, 14, /there is no socket unix:\/\/\/typed/);
        }
        // A report is of one session: without --once there can be none.
        const args = [
          'receive',
          '--code-file',
          join(directory.path, 'code'),
          '--docker-host',
          'unix:///typed',
        ];
        await using receiver = run(args);
        await expectEnd(receiver, 14, /there is no socket/);
      });

      it('doctor says which were read, and `to` is where it looks', async () => {
        await writeFile(user, 'to: no-such-host.invalid\n');
        await using imgmv = run(['doctor', '--docker-host', 'unix:///typed'], {
          env: { IMGMV_LISTEN: '127.0.0.1:0' },
        });
        await expectEnd(imgmv, 14, /^FAULT {4}host {11}no address is known for host no-such-host\.invalid$/m);
        expect(imgmv.stdout).toContain(`configuration  read: ${user}, IMGMV_LISTEN\n`);
      });

      it('XDG_CONFIG_HOME says where the user’s file is', async () => {
        const elsewhere = join(directory.path, 'xdg');
        await mkdir(join(elsewhere, 'imgmv'), { recursive: true });
        await writeFile(join(elsewhere, 'imgmv', 'config.yaml'), 'docker-host: unix:///of-xdg\n');
        expect(await engineOf([], { XDG_CONFIG_HOME: elsewhere })).toMatch(/^unix:\/\/\/of-xdg/);
        expect(await engineOf([], { XDG_CONFIG_HOME: 'xdg' })).toMatch(/the default socket/);
      });
    });

    describe('what is refused', () => {
      it('all mistakes at once, each with its place', async () => {
        await writeFile(
          user,
          'jobs: many\nyes: true\nlimt: 1M\nlog: relative.log\ndocker-host: a\ncontext: b\n',
        );
        await writeFile(system, '- to\n');
        const env = { IMGMV_LEVEL: '99', IMGMV_ALLOW_PUSH: 'canary', IMGMV_CODE: 'canary', IMGMV_TO: 'a b' };
        const said = await refusal(env);
        expect(said.split('\n').map((line) => line.trim().replaceAll(`${user}:`, ''))).toEqual([
          '2 imgmv: IMGMV_ALLOW_PUSH: what loosens a guard is taken on the command line only',
          'IMGMV_CODE: secrets, and where they are, are taken on the command line only',
          'IMGMV_LEVEL "99": expected a whole number from 1 to 19',
          expect.stringMatching(/^IMGMV_TO "a b": expected HOST, HOST:PORT/),
          '1:7: jobs is the text "many", expected a whole number from 1 to 16',
          '2:1: "yes" is no key: what loosens a guard is taken on the command line only',
          '3:1: "limt" is not a key of a configuration: did you mean limit?',
          '4:6: log "relative.log": expected a path that begins with /',
          '6:1: docker-host and context exclude each other',
          '/etc/imgmv/config.yaml:1:1: the file is a list, expected keys and values such as to: host-b',
          '`imgmv help config` shows every key and variable',
          '',
        ]);
      });

      it.each(REFUSED)('%s, in a file and in the environment', async (key) => {
        await writeFile(user, `${key}: canary\n`);
        const said = await refusal({ [`IMGMV_${key.toUpperCase().replaceAll('-', '_')}`]: 'canary' });
        expect(said.match(/taken on the command line only/g)).toHaveLength(2);
        expect(said).not.toContain('canary');
      });

      it('with --json an event, like any error of usage', async () => {
        await writeFile(user, 'jobs: many\n');
        await using imgmv = run(['ls', '--json']);
        await expectEnd(imgmv, 2, /^\{"event":"error",.*"code":"usage","exit":2,/);
      });

      it('a file that somebody else could have written', async () => {
        await writeFile(user, 'jobs: 3\n');
        await chmod(user, 0o664);
        expect(await refusal()).toMatch(
          /^2 imgmv: \S+\/config\.yaml can be written by others \(mode 664\): chmod go-w /,
        );
        await chmod(user, 0o600);
        await chown(user, 65_534, 65_534);
        expect(await refusal()).toMatch(
          /^2 imgmv: \S+\/config\.yaml belongs to user 65534, and not to root or /,
        );
        await chown(user, 0, 0);
        await chmod(join(user, '..'), 0o777);
        expect(await refusal()).toMatch(
          /^2 imgmv: the directory \S+\/imgmv can be written by others \(mode 777\)/,
        );
        await chmod(join(user, '..'), 0o755);
        await rename(user, `${user}.real`);
        await symlink(`${user}.real`, user);
        expect(await refusal()).toMatch(/^2 imgmv: \S+\/config\.yaml is a symbolic link/);
        await rm(user);
        await mkdir(user);
        expect(await refusal()).toMatch(/^2 imgmv: \S+\/config\.yaml is not a regular file/);
        await rm(user, { recursive: true });
        await writeFile(user, Buffer.alloc(65 * 1024, '#'));
        expect(await refusal()).toMatch(/longer than the 64 KiB/);
      });
    });

    it('docs/config.md has every key, and no other', () => {
      const keys = [...PAGE.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, key]) => key);
      expect(keys).toEqual(CONFIG_KEYS);
    });

    it('every key has a variable, whose value is read as that of the key', async () => {
      const values: Readonly<Record<string, string>> = {
        to: 'host-b',
        listen: ':0',
        advertise: 'host-a',
        'docker-host': 'unix:///x',
        'connect-timeout': '5s',
        reconnect: '5m',
        ttl: '5m',
        'max-session': '5h',
        limit: '5M',
        jobs: '3',
        retries: '0',
        level: '3',
        report: '/x.html',
        verbose: 'false',
        log: '/nowhere',
      };
      expect([...Object.keys(values), 'context'].sort()).toEqual([...CONFIG_KEYS].sort());
      const all = Object.entries(values).map(([key, value]) => [variableOf(key as never), value]);
      await using imgmv = run(['doctor', '--log', join(directory.path, 'log'), '--connect-timeout', '1s'], {
        env: Object.fromEntries(all),
      });
      await imgmv.exit;
      for (const [name] of all)
        expect(imgmv.stdout).toMatch(new RegExp(`configuration  read: .*\\b${name}\\b`));
    });
  },
  { required: true },
);
