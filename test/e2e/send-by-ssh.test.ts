/** `--to ssh://HOST`: hosts where nothing of ours is, and an sshd and an engine are. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv, toldBy } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { type SshHost, sshHost } from '../rig/ssh.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd } from './scene.ts';
import { namesAt } from './server.ts';

const BASE = { base: 'x'.repeat(100_000) };

for (const flavour of ['20', '28c', 'podman'] as const satisfies readonly Flavour[])
  describeOn(
    `sending to ${flavour} by ssh`,
    [await engineSupport('20'), await engineSupport(flavour)],
    () => {
      let scratch: ScratchDirectory;
      let source: Engine;
      let target: Engine;
      let host: SshHost;
      let to: string;
      beforeAll(async () => {
        scratch = await scratchDirectory();
        [source, target] = await Promise.all([startEngine({ flavour: '20' }), startEngine({ flavour })]);
        host = await sshHost(join(scratch.path, 'host'));
        to = `ssh://root@localhost${target.socketPath}`;
        await loadImage(source, { name: 'team/web:1', layers: [BASE, { web: '1' }] });
        await loadImage(source, { name: 'team/web:2', layers: [BASE, { web: '2' }] });
      });
      afterAll(async () => {
        await source?.[Symbol.asyncDispose]();
        await target?.[Symbol.asyncDispose]();
        await scratch?.[Symbol.asyncDispose]();
      });

      const imgmv = (command: string, ...args: readonly string[]) =>
        runImgmv([command, ...args, '--to', to, '--docker-host', source.dockerHost], { env: host.env });

      it('plans, moves what is missing, and finds it there the next time', async () => {
        await using plan = imgmv('plan', 'team/web:1', '--json');
        const planned = (await toldBy(plan)).find(({ event }) => event === 'plan');
        expect(planned).toMatchObject({
          ...{ only: true, target: 'localhost' },
          images: [{ action: 'send', layers: 2, layersMissing: 2 }],
        });
        expect(await plan.exit).toEqual({ code: 0, signal: null });
        expect(await namesAt(target)).toEqual([]);

        const { dockerHost } = source;
        await using first = runImgmv(['send', 'team/web:1', '--to', to, '--docker-host', dockerHost], {
          env: { ...host.env, IMGMV_LIMIT: '50M' },
        });
        await expectEnd(first, 0, /^loaded team\/web:1 [0-9a-f]{12}.*verified$/m);
        expect(first.stderr).toMatch(/warning: the limit from the configuration does not apply to ssh:/);
        await using second = imgmv('send', 'team/web:2', '--retag', 'team/*=ours/*', '--json');
        const told = await toldBy(second);
        expect(told.find(({ event }) => event === 'plan')).toMatchObject({
          images: [{ action: 'send', layers: 2, layersMissing: 1 }],
        });
        expect(await second.exit).toEqual({ code: 0, signal: null });
        const names = (await namesAt(target)).map((name) => name.replace(/^(docker\.io|localhost)\//, ''));
        expect(names.sort()).toEqual(['ours/web:2', 'team/web:1']);
        await using again = imgmv('send', 'team/web:1');
        await expectEnd(again, 0, /there already, verified$/m);
      });

      it('says what is there, and cleans up there', async () => {
        await using doctor = runImgmv(['doctor', '--to', to, '--docker-host', source.dockerHost], {
          env: host.env,
        });
        await doctor.exit;
        expect(doctor.stdout).toMatch(
          new RegExp(`^ok +host +(docker|podman) \\S+ \\((classic|containerd) store\\) at ${to}$`, 'm'),
        );
        await using clean = runImgmv(['clean', '--to', to], { env: host.env });
        await expectEnd(clean, 0, /^Nothing is left of interrupted runs\.$/m);
      });
    },
  );

describeOn('sending by ssh', [await engineSupport('20')], () => {
  it.each([
    [['--to', 'ssh://-oProxyCommand=id'], /Expected ssh:\/\/\[USER@\]HOST\[:PORT\]\[\/SOCKET\]/],
    [['--to', 'ssh://host-b?x=1'], /Expected ssh:\/\//],
    [['--to', 'SSH://host-b'], /Expected ssh:\/\//],
    [['--to', 'ssh://host-b', '--code-file', 'code'], /--code-file does not work with ssh:\/\//],
    [['--to', 'ssh://host-b', '--reconnect', '1m'], /--reconnect does not work with ssh:\/\//],
    [['--to', 'ssh://host-b', '--connect-timeout', '1m'], /--connect-timeout does not work with ssh:\/\//],
    [['--to', 'ssh://host-b', '--level', '3'], /--level does not work with ssh:\/\//],
    [['--to', 'ssh://host-b', '--limit', '1M'], /--limit does not work with ssh:\/\//],
  ])('%j is refused', async (args, says) => {
    await using imgmv = runImgmv(['send', 'web:1', ...args]);
    await expectEnd(imgmv, 2, says);
  });

  it('ends with what ssh says of a host that is not there', async () => {
    await using scratch = await scratchDirectory();
    const { env } = await sshHost(join(scratch.path, 'host'), { daemon: { DenyUsers: '*' } });
    await using source = await startEngine({ flavour: '20' });
    await loadImage(source, { name: 'web:1', layers: [{ web: '1' }] });
    const args = ['send', 'web:1', '--to', 'ssh://root@localhost', '--docker-host', source.dockerHost];
    await using imgmv = runImgmv(args, { env });
    await expectEnd(
      imgmv,
      12,
      /cannot log in at ssh:\/\/root@localhost \(--to\): it does not let this user log in: .*Permission denied/,
    );
  });
});
