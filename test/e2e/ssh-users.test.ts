/** `--to ssh://` as users of each kind: real ones of a real sshd, which only its own mount namespace knows. */
import { access, chmod, chown, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, runImgmv, toldBy } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { type SshHost, type SshOptions, sshHost } from '../rig/ssh.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { expectEnd } from './scene.ts';

const MIB = 2 ** 20;
/** Of nobody on this machine. */
const DOCKER_GROUP = 61_999;
const TARGET_BYTES = 400 * MIB;
const NO_FORWARDING = { AllowStreamLocalForwarding: 'no', AllowTcpForwarding: 'no' };
const USERS = [
  { name: 'member', group: DOCKER_GROUP },
  { name: 'sudoer', sudo: 'ALL' },
  { name: 'limited', sudo: '/usr/bin/docker, /usr/local/bin/docker' },
  { name: 'nobody2' },
];

describeOn(
  'sending by ssh as somebody',
  [await engineSupport('20'), await supportOf(() => requirePrograms('sudo'))],
  () => {
    let scratch: ScratchDirectory;
    let source: Engine;
    let target: Engine;
    let made = 0;
    beforeAll(async () => {
      scratch = await scratchDirectory();
      await chmod(scratch.path, 0o755);
      await mkdir(join(scratch.path, 'marks'));
      // Whoever is logged in could write there.
      await chmod(join(scratch.path, 'marks'), 0o777);
      [source, target] = await Promise.all([
        startEngine({ flavour: '20' }),
        startEngine({ flavour: '20', tmpfsBytes: TARGET_BYTES }),
      ]);
      await chmod(dirname(target.socketPath), 0o755);
      await chown(target.socketPath, 0, DOCKER_GROUP);
      await chmod(target.socketPath, 0o660);
      await loadImage(source, { name: 'web:1', layers: [{ web: '1' }] });
      const noise = (seed: number) => ({ [`noise-${seed}`]: { bytes: 40 * MIB, seed } });
      await loadImage(source, { name: 'large:1', layers: [noise(1), noise(2)] });
      await loadImage(source, {
        name: 'huge:1',
        layers: [noise(3), noise(4), noise(5), noise(6), noise(7), noise(8)],
      });
    });
    afterAll(async () => {
      await source?.[Symbol.asyncDispose]();
      await target?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });

    const host = (options: SshOptions = {}): Promise<SshHost> =>
      sshHost(join(scratch.path, `host-${++made}`), { users: USERS, ...options });
    const at = (user: string, socket = target.socketPath) => `ssh://${user}@localhost${socket}`;
    const send = ({ env }: SshHost, to: string, ...args: readonly string[]): Imgmv =>
      runImgmv(['send', '--to', to, '--docker-host', source.dockerHost, ...args], { env });
    const drop = (name: string) => target.docker(['image', 'rm', name]);
    const nothingLeft = async ({ env }: SshHost) => expect(await readdir(env.TMPDIR as string)).toEqual([]);

    it.each(['member', 'sudoer', 'limited'])('%s may use docker there', async (user) => {
      const there = await host();
      await using imgmv = send(there, at(user), 'web:1');
      await expectEnd(imgmv, 0, /^loaded web:1 /m);
      expect(await there.logins()).toBe(1);
      await drop('web:1');
      await nothingLeft(there);
    });

    it('nobody else may, which says both ways to change that', async () => {
      const there = await host();
      await using imgmv = send(there, at('nobody2'), 'web:1');
      await expectEnd(
        imgmv,
        14,
        /no permission on the docker socket .*\n.*member of the group .* or let .* sudo/,
      );
      await nothingLeft(there);
    });

    it('a user whom sudo lets use docker is told what a break costs', async () => {
      const there = await host();
      await using imgmv = send(there, at('sudoer'), 'large:1', '--json');
      const plan = (await toldBy(imgmv)).find(({ event }) => event === 'plan');
      expect(plan).toMatchObject({ images: [{ warning: expect.stringMatching(/it goes as a whole/) }] });
      expect(await imgmv.exit).toEqual({ code: 0, signal: null });
      expect(await there.logins()).toBe(1);
      await drop('large:1');
    });

    it.each([
      ['forwards sockets, and opens two sessions', { MaxSessions: '2' }, 1],
      ['forwards nothing', NO_FORWARDING, 1],
    ])('a host that %s takes an image over one login', async (_what, daemon, logins) => {
      const there = await host({ daemon });
      await using imgmv = send(there, at('member'), 'large:1');
      await expectEnd(imgmv, 0, /^loaded large:1 /m);
      expect(await there.logins()).toBe(logins);
      await drop('large:1');
      await nothingLeft(there);
    });

    it('an image that the disk there has no room for is refused before it travels', async () => {
      // Of the disk that the engine sees.
      const there = await host({ place: target.place });
      await using imgmv = send(there, at('member'), 'huge:1');
      await expectEnd(
        imgmv,
        16,
        /it needs \d+ MB under \/\S+ on the target while it is loaded, and \d+ MB are free/,
      );
      await nothingLeft(there);
    });

    describe('when the connection is cut', () => {
      it('logs in again and goes on', async () => {
        const there = await host();
        await using imgmv = send(there, at('member'), 'large:1', '--json');
        await imgmv.waitFor('progress');
        await there.cut();
        expect(await imgmv.exit, imgmv.stdout).toEqual({ code: 0, signal: null });
        expect(await there.logins()).toBe(2);
        await drop('large:1');
        await nothingLeft(there);
      });

      it('ends with the words of ssh where nobody can log in again', async () => {
        const there = await host();
        await using imgmv = send(there, at('member'), 'large:1', '--retries', '0', '--json');
        await imgmv.waitFor('progress');
        await there.cut(true);
        expect(await imgmv.exit, imgmv.stdout).toEqual({ code: 11, signal: null });
        expect(imgmv.stdout).toMatch(
          /"code":"(peer-lost|no-answer)","message":"(lost the ssh connection to localhost |cannot log in at )/,
        );
        await nothingLeft(there);
      });
    });

    describe('with options for ssh', () => {
      it('logs in with the key that -i names', async () => {
        const there = await host({ client: { IdentityFile: '/dev/null' } });
        await using without = send(there, at('member'), 'web:1');
        await expectEnd(without, 12, /it does not let this user log in: .*Permission denied/);
        const key = join(scratch.path, `host-${made}`, 'user-key');
        await using imgmv = send(there, at('member'), 'web:1', '-i', key);
        await expectEnd(imgmv, 0, /^loaded web:1 /m);
        await drop('web:1');
      });

      it('gives ssh what --ssh-option says', async () => {
        const there = await host();
        await using imgmv = send(
          there,
          at('member'),
          'web:1',
          '--ssh-option',
          'PreferredAuthentications=none',
        );
        await expectEnd(imgmv, 12, /Permission denied/);
        expect((await there.starts())[0]).toMatch(/ -o PreferredAuthentications=none /);
      });

      it.each([
        [['--ssh-option', '-v'], /Expected NAME=VALUE/],
        [['--to', 'host-b', '-i', 'key'], /--identity works only with --to ssh:\/\//],
        [['--to', 'host-b', '--ssh-option', 'Port=1'], /--ssh-option works only with --to ssh:\/\//],
      ])('%j is refused', async (args, says) => {
        await using imgmv = runImgmv(['send', 'web:1', ...args]);
        await expectEnd(imgmv, 2, says);
      });
    });

    it.each([
      ['a quote and a command', '/tmp/x%27$(touch MARK)'],
      ['a command', '/tmp/$(touch MARK)'],
      ['a command in backticks', '/tmp/`touch MARK`'],
      ['a line end', '/tmp/x%0Atouch%20MARK'],
      ['a semicolon', '/tmp/x;touch MARK'],
    ])('a path of a socket with %s is only a path', async (_what, path) => {
      const there = await host();
      const mark = join(scratch.path, 'marks', 'made');
      await using imgmv = send(there, at('sudoer', path.replace('MARK', mark)), 'web:1');
      await expectEnd(imgmv, 14, /there is no socket|no docker engine/);
      await expect(access(mark)).rejects.toThrow(/ENOENT/);
    });

    it.each(['a%27b', '%24(touch%20MARK)', '-oProxyCommand%3Did'])(
      'the user %j is only a user',
      async (user) => {
        const there = await host();
        const mark = join(scratch.path, 'marks', 'made');
        await using imgmv = send(there, at(user.replace('MARK', encodeURIComponent(mark))), 'web:1');
        await expectEnd(imgmv, 2, /cannot log in .*ssh takes no such name/);
        await expect(access(mark)).rejects.toThrow(/ENOENT/);
      },
    );
  },
);
