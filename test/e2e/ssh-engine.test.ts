/** An engine of another host, reached by ssh as docker reaches it: a real ssh, and a real sshd behind it. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { makeSsh } from '../packaging/ssh.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd } from './scene.ts';

describeOn(
  'an engine by ssh',
  [await engineSupport('20')],
  () => {
    let scratch: ScratchDirectory;
    let engine: Engine;
    let env: Record<string, string>;

    beforeAll(async () => {
      scratch = await scratchDirectory();
      engine = await startEngine({ flavour: '20' });
      await loadImage(engine, { name: 'web:1.0', layers: [{ a: 'a' }] });
      const ssh = (await makeSsh(scratch.path)).slice(0, -1).map((word) => `'${word}'`);
      const bin = join(scratch.path, 'bin');
      await mkdir(bin);
      await writeFile(join(bin, 'ssh'), `#!/bin/sh\nPATH=${process.env.PATH}\nexec ${ssh.join(' ')} "$@"\n`, {
        mode: 0o755,
      });
      env = { PATH: `${bin}${delimiter}${process.env.PATH}` };
    });
    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });

    const list = (address: string, environment = env) =>
      runImgmv(['ls', '--json', '--docker-host', address], { env: environment });

    it.each([
      ['a path', 'docker.sock', 'docker.sock'],
      ['a path that a shell would read otherwise', "a b'$HOME;c", "a%20b'$HOME;c"],
    ])('%s in the address is that of its socket', async (_what, name, encoded) => {
      if (name !== 'docker.sock') await symlink(engine.socketPath, join(scratch.path, name));
      const path = name === 'docker.sock' ? engine.socketPath : join(scratch.path, encoded);
      await using imgmv = list(`ssh://root@localhost${path}`);
      await expectEnd(imgmv, 0, /"names":\["web:1\.0"\]/);
    });

    it('needs ssh, and says so', async () => {
      await using imgmv = list('ssh://root@localhost', { PATH: scratch.path });
      await expectEnd(imgmv, 14, /cannot be reached: there is no ssh on this host.*openssh-client/);
    });
  },
  { required: true },
);
