/** Engines of other hosts, reached by one login of a real ssh, with a real sshd behind it. */
import { chmod, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from '../rig/cleanup.ts';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { type SshHost, type SshOptions, sshHost } from '../rig/ssh.ts';
import { describeOn } from '../rig/suite.ts';
import { startEngineRelay } from './engine-relay.ts';
import { expectEnd } from './scene.ts';

const IMAGES = 6;
const LAYERS = 5;
const STOPPED_WITHIN_MS = 2_000;
const FREE_SPACE = 'exec df ';
const NO_FORWARDING = { AllowStreamLocalForwarding: 'no' };

describeOn(
  'an engine by ssh',
  [await engineSupport('20')],
  () => {
    let scratch: ScratchDirectory;
    let engine: Engine;
    let other: Engine;
    let plain: SshHost;

    beforeAll(async () => {
      scratch = await scratchDirectory();
      [engine, other] = await Promise.all([startEngine({ flavour: '20' }), startEngine({ flavour: '20' })]);
      for (let image = 0; image < IMAGES; image++) {
        const layers = Array.from({ length: LAYERS }, (_, layer) => ({ [`${image}-${layer}`]: 'x' }));
        await loadImage(engine, { name: `web:${image}`, layers });
      }
      await loadImage(other, { name: 'other:1', layers: [{ a: 'a' }] });
      await loadImage(engine, { name: 'held:1', layers: [{ held: 'x' }] });
      await engine.docker(['save', '--output', path('held.tar'), 'held:1']);
      plain = await host();
    });
    afterAll(async () => {
      await other?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });

    let made = 0;
    const path = (name: string) => join(scratch.path, name);
    const host = (options?: SshOptions) => sshHost(path(`host-${made++}`), options);
    const at = (socketPath: string) => `ssh://root@localhost${socketPath}`;
    const list = (address: string, env: Readonly<Record<string, string>>) =>
      runImgmv(['ls', '--json', '--docker-host', address], { env });

    /** Where imgmv makes its directories. */
    const temporary = ({ env }: SshHost) => env.TMPDIR as string;

    async function expectUsed(used: SshHost, processes: number): Promise<void> {
      expect(await used.logins()).toBe(1);
      // What is asked about free space comes and goes.
      const starts = (await used.starts()).filter((start) => !start.includes(FREE_SPACE));
      expect(starts, starts.join('\n')).toHaveLength(processes);
      expect(await readdir(temporary(used))).toEqual([]);
    }

    /** Sends all six images; the two engines as imgmv is to reach them. */
    async function sendAll(
      from: { readonly env: SshHost['env']; readonly engine: string; readonly jobs: string },
      to: { readonly env: SshHost['env']; readonly engine: string },
    ): Promise<void> {
      const code = ['--code-file', path(`code-${made++}`)];
      const where = ['--listen', '127.0.0.1:0', ...code, '--docker-host', to.engine];
      await using receiver = runImgmv(['receive', '--once', '--json', ...where], { env: to.env });
      const { port } = await receiver.waitFor('listening');
      const how = ['--to', `127.0.0.1:${port}`, ...code, '--docker-host', from.engine, '--jobs', from.jobs];
      await using sender = runImgmv(['send', 'web:*', ...how], { env: from.env });
      await expectEnd(sender, 0, /6 images done and verified/);
      await expectEnd(receiver, 0, /"event":"done"/);
    }

    it.each([
      ['a path', 'docker.sock', 'docker.sock'],
      ['a path that a shell would read otherwise', "a b'$HOME;c", "a%20b'$HOME;c"],
      ['a path that ssh would read otherwise', 'a:b', 'a:b'],
    ])('%s in the address is that of its socket', async (_what, name, encoded) => {
      const elsewhere = await host({
        daemon: { SetEnv: `PATH=${process.env.PATH} DOCKER_HOST=${other.dockerHost}` },
      });
      await symlink(engine.socketPath, path(name));
      await using imgmv = list(at(join(scratch.path, encoded)), elsewhere.env);
      await expectEnd(imgmv, 0, /"names":\["web:1"\]/);
      expect(await elsewhere.logins()).toBe(1);
    });

    it.each([
      ['DOCKER_HOST', () => `DOCKER_HOST=${other.dockerHost}`],
      ['the current context', () => `DOCKER_CONFIG=${path('config')}`],
    ])('without one, %s there says which it is', async (_what, variable) => {
      await mkdir(path('config'), { recursive: true });
      const env = { PATH: process.env.PATH, DOCKER_CONFIG: path('config') };
      const made = ['--docker', `host=${other.dockerHost}`, 'there'];
      if (variable().startsWith('DOCKER_CONFIG')) {
        await run(['docker', 'context', 'create', ...made], { env });
        await run(['docker', 'context', 'use', 'there'], { env });
      }
      const used = await host({ daemon: { SetEnv: `PATH=${process.env.PATH} ${variable()}` } });
      await using imgmv = list(at(''), used.env);
      await expectEnd(imgmv, 0, /"names":\["other:1"\]/);
      await expectUsed(used, 2);
    });

    it('takes one login and two processes for a run, however many images and layers', async () => {
      const [from, to, back] = [await host(), await host(), await host()];
      await sendAll(
        { env: from.env, engine: at(engine.socketPath), jobs: '4' },
        { env: to.env, engine: at(other.socketPath) },
      );
      await expectUsed(from, 2);
      await expectUsed(to, 2);
      const copy = ['docker-daemon:web:*', `docker-archive:${path('web.tar')}`];
      await using copied = runImgmv(['copy', ...copy, '--docker-host', at(other.socketPath)], {
        env: back.env,
      });
      await expectEnd(copied, 0, /6 images done and verified/);
      await expectUsed(back, 2);
    });

    it('needs no docker there', async () => {
      const bare = await host({ daemon: { SetEnv: `PATH=${path('bare')}` } });
      await mkdir(path('bare'));
      for (const name of ['sh', 'cat']) await symlink(`/bin/${name}`, path(`bare/${name}`));
      await using imgmv = list(at(engine.socketPath), bare.env);
      await expectEnd(imgmv, 0, /"names":\["web:1"\]/);
      await expectUsed(bare, 2);
    });

    it('is not disturbed by what a shell there says first', async () => {
      const lie = 'imgmv-0123456789abcdef missing unix:///nowhere imgmv-0123456789abcdef';
      const ForceCommand = `echo Welcome; echo ${lie}; printf imgmv-; eval "$SSH_ORIGINAL_COMMAND"`;
      const noisy = await host({ daemon: { ForceCommand } });
      await using imgmv = list(at(engine.socketPath), noisy.env);
      await expectEnd(imgmv, 0, /"names":\["web:1"\]/);
      await expectUsed(noisy, 2);
    });

    describe('where no socket is forwarded', () => {
      it.each([
        ['sshd forbids it', { daemon: NO_FORWARDING }],
        [
          'the host runs dial-stdio and nothing else',
          {
            daemon: { ForceCommand: 'docker system dial-stdio', SetEnv: '' },
          },
        ],
      ])('%s, it takes sessions of the one login', async (_why, { daemon }) => {
        const SetEnv = `PATH=${process.env.PATH} DOCKER_HOST=${engine.dockerHost}`;
        const used = await host({ daemon: { ...NO_FORWARDING, ...daemon, SetEnv } });
        const copy = ['copy', 'docker-daemon:web:*', `docker-archive:${path(`out-${made}.tar`)}`];
        await using imgmv = runImgmv([...copy, '--docker-host', at(engine.socketPath)], { env: used.env });
        await expectEnd(imgmv, 0, /6 images done and verified/);
        expect(await used.logins()).toBe(1);
        expect(await readdir(temporary(used))).toEqual([]);
      });

      it('loads, with as many streams as there are jobs', async () => {
        const [used, from] = [await host({ daemon: { ...NO_FORWARDING, MaxSessions: '4' } }), await host()];
        await using fresh = await startEngine({ flavour: '20' });
        await sendAll(
          { env: from.env, engine: engine.dockerHost, jobs: '6' },
          { env: used.env, engine: at(fresh.socketPath) },
        );
        expect(await readdir(temporary(used))).toEqual([]);
      });

      it('logs in for each connection where the shell there is another one', async () => {
        const ForceCommand =
          'case $SSH_ORIGINAL_COMMAND in docker*) eval "$SSH_ORIGINAL_COMMAND" ;; *) exit 1 ;; esac';
        const used = await host({ daemon: { ForceCommand } });
        await using imgmv = list(at(engine.socketPath), used.env);
        await expectEnd(imgmv, 0, /"names":\["web:1"\]/);
        expect(await readdir(temporary(used))).toEqual([]);
      });
    });

    describe('that cannot be reached', () => {
      it('needs ssh, and says so', async () => {
        await mkdir(path('no-ssh'));
        for (const PATH of [scratch.path, path('no-ssh')]) {
          await using imgmv = list(at(''), { PATH });
          await expectEnd(imgmv, 14, /cannot be reached: this host has no ssh.*openssh-client/);
          await symlink('/bin/sh', path('no-ssh/sh')).catch(() => {});
        }
      });

      it.each([
        ['a refused login', { IdentityFile: '/dev/null' }, /Permission denied \(publickey/],
        ['a host key that is not known', { StrictHostKeyChecking: 'yes' }, /Host key verification failed/],
        ['a host that is not there', { ProxyCommand: 'none', Port: '1' }, /port 1: Connection refused/],
      ])('tells %s once, in the words of ssh', async (_what, client, words) => {
        const used = await host({ client });
        await using imgmv = runImgmv(['ls', '--docker-host', at('')], { env: used.env });
        await expectEnd(imgmv, 14, /^imgmv: cannot log in at ssh:\/\/root@localhost \(--docker-host\): /);
        expect(imgmv.stderr.split(words), imgmv.stderr).toHaveLength(2);
        expect(await used.starts()).toHaveLength(1);
        expect(await readdir(temporary(used))).toEqual([]);
      });

      it('says that there is no socket', async () => {
        await using imgmv = list(at('/no/such.sock'), plain.env);
        await expectEnd(imgmv, 14, /no docker engine: there is no socket \/no\/such\.sock at ssh:/);
        expect(await readdir(temporary(plain))).toEqual([]);
      });

      it('says that the user there may not use the socket', async () => {
        const ForceCommand = 'exec setpriv --reuid 65534 --clear-groups sh -c "$SSH_ORIGINAL_COMMAND"';
        const used = await host({ daemon: { ForceCommand } });
        await chmod(scratch.path, 0o755);
        await using relay = await startEngineRelay({ ...engine, path: path('denied.sock'), holdAt: '\0' });
        await chmod(path('denied.sock'), 0o600);
        await using imgmv = list(at(relay.dockerHost.slice('unix://'.length)), used.env);
        await expectEnd(imgmv, 14, /no permission on the docker socket \S+denied\.sock of ssh:/);
      });
    });

    describe.each([
      ['a socket that is forwarded', {}],
      ['sessions', NO_FORWARDING],
    ])('over %s', (_what, daemon) => {
      let used: SshHost;

      /** A copy that is held while an engine saves or loads an image. */
      async function startHeld(way: 'save' | 'load') {
        used = await host({ daemon });
        const loads = way === 'load';
        const holdAt = loads ? 'POST /images/load' : '/get HTTP';
        const { socketPath } = loads ? other : engine;
        const relay = await startEngineRelay({ socketPath, path: path(`held-${made}.sock`), holdAt });
        const archive = `docker-archive:${path(loads ? 'held.tar' : `held-${made}.tar`)}`;
        const copy = loads ? [archive, 'docker-daemon:'] : ['docker-daemon:held:1', archive];
        const address = at(relay.dockerHost.slice('unix://'.length));
        const imgmv = runImgmv(['copy', ...copy, '--json', '--docker-host', address], { env: used.env });
        await relay.held;
        const [directory = ''] = await readdir(temporary(used));
        expect((await stat(join(temporary(used), directory))).mode & 0o777).toBe(0o700);
        const children = await descendantsOf(imgmv.pid);
        const names = children.map(({ name }) => name);
        expect(names).toEqual(expect.arrayContaining(['ssh', 'sshd', 'cat']));
        return {
          imgmv,
          relay,
          children,
          // Not the first by number: those of sessions may be lower, once numbers are used anew.
          login: children.find(({ args }) => args.includes('ControlMaster=yes'))?.pid ?? -1,
          async [Symbol.asyncDispose]() {
            await imgmv[Symbol.asyncDispose]();
            await relay[Symbol.asyncDispose]();
          },
        };
      }

      it('leaves no process on either host when it is killed', async () => {
        await using held = await startHeld('save');
        held.imgmv.kill('SIGKILL');
        await expect.poll(() => held.children.filter(({ pid }) => isAlive(pid))).toEqual([]);
      });

      it('undoes what it began when it is stopped, by the same login, and ends soon', async () => {
        await using held = await startHeld('load');
        const begun = performance.now();
        // As a terminal does it: all get it.
        process.kill(held.login, 'SIGINT');
        held.imgmv.kill('SIGINT');
        await expectEnd(held.imgmv, 130, /stopped by SIGINT/);
        expect(performance.now() - begun).toBeLessThan(STOPPED_WITHIN_MS);
        await expect.poll(() => held.children.filter(({ pid }) => isAlive(pid))).toEqual([]);
        expect(await used.logins()).toBe(1);
        expect(await readdir(temporary(used))).toEqual([]);
      });

      it.each(['save', 'load'] as const)(
        'logs in once more when the login breaks in a %s, and goes on',
        async (way) => {
          await using held = await startHeld(way);
          process.kill(held.login, 'SIGKILL');
          held.relay.release();
          await expectEnd(held.imgmv, 0, /"event":"retrying".*"event":"done"/s);
          expect(await used.logins()).toBe(2);
          expect(await readdir(temporary(used))).toEqual([]);
          if (way === 'load') await other.docker(['rmi', 'held:1']);
        },
      );
    });
  },
  { required: true },
);

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly args: readonly string[];
}

/** What a process has started, and that in turn. */
async function descendantsOf(pid: number): Promise<readonly Process[]> {
  const table = await run(['ps', '-eo', 'pid=,ppid=,comm=,args=', '-ww']);
  const all = table
    .trim()
    .split('\n')
    .map((line): Process => {
      const [own = '', parent = '', name = '', ...args] = line.trim().split(/\s+/);
      return { pid: Number(own), parent: Number(parent), name, args };
    });
  const found: Process[] = [];
  const parents = new Set([pid]);
  for (const parent of parents)
    for (const process of all)
      if (process.parent === parent) {
        found.push(process);
        parents.add(process.pid);
      }
  return found;
}
