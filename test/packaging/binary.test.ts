/** The single executable, on systems that have no Node. */
import { access, copyFile, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { ROOT } from '../../packaging/program.ts';
import { startScene } from '../e2e/scene.ts';
import { oldDebian } from '../rig/chroot.ts';
import { run } from '../rig/command.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';

const BINARY = join(ROOT, 'dist', 'imgmv-linux-x64');
const BARE = ['env', '-i', 'PATH=/usr/bin:/bin'];

/** `npm run build` removes what was there. Not what runs before `binary`: other tests use the program that is there. */
async function build(): Promise<void> {
  const built = await access(BINARY).then(
    () => true,
    () => false,
  );
  if (!built) await run(['npm', 'run', '--silent', '--ignore-scripts', 'binary'], { cwd: ROOT });
}

describe('the single executable', () => {
  beforeAll(build);

  it('shows its version and the pages of its documentation', async () => {
    expect(await run([...BARE, BINARY, '--version'])).toBe(`${manifest.version}\n`);
    expect(await run([...BARE, BINARY, 'help', 'push'])).toBe(
      await readFile(join(ROOT, 'docs/push.md'), 'utf8'),
    );
  });

  it('finds its addon where programs in the directory for temporary files may not run', async () => {
    await using scratch = await scratchDirectory();
    const mount = `mount -t tmpfs -o noexec none ${scratch.path}`;
    const script = `${mount} && ${BARE.join(' ')} TMPDIR=${scratch.path} ${BINARY} doctor || true`;
    expect(await run(['unshare', '--mount', 'sh', '-c', script])).toMatch(/and the zstd addon$/m);
  });

  it('runs on the oldest Debian that there is, with nothing beside it', async () => {
    const root = await oldDebian();
    await using scratch = await scratchDirectory();
    await copyFile(BINARY, join(scratch.path, 'imgmv'));
    const mounts = `mount --bind ${scratch.path} ${root}/mnt && mount -t proc none ${root}/proc`;
    const script = `${mounts} && chroot ${root} /mnt/imgmv doctor || true`;
    expect(await run(['unshare', '--mount', 'sh', '-c', script])).toMatch(/and the zstd addon$/m);
  });

  it('is a plugin of docker’s under the name of one', async () => {
    await using scratch = await scratchDirectory();
    const plugins = join(scratch.path, 'cli-plugins');
    await mkdir(plugins);
    await symlink(BINARY, join(plugins, 'docker-imgmv'));
    const docker = (...args: readonly string[]) =>
      run(['env', `DOCKER_CONFIG=${scratch.path}`, 'docker', ...args]);
    expect(await docker('--help')).toMatch(/^ +imgmv\* +Move images to another host/m);
    expect(await docker('imgmv', 'send', '--help')).toMatch(/^Usage: docker imgmv send /);
    expect(await docker('imgmv', 'version')).toBe(`${manifest.version}\n`);
  });
});

describeOn(
  'the single executable for arm64',
  [await supportOf(() => requirePrograms('aarch64-linux-gnu-g++', 'qemu-aarch64'))],
  () => {
    it('runs, with its addon', async () => {
      await run(['npm', 'run', '--silent', '--ignore-scripts', 'binary', '--', '--arch', 'arm64'], {
        cwd: ROOT,
      });
      const arm = join(ROOT, 'dist', 'imgmv-linux-arm64');
      const script = `qemu-aarch64 -L /usr/aarch64-linux-gnu ${arm} doctor || true`;
      expect(await run(['sh', '-c', script])).toMatch(/with Node 24\.\S+ and the zstd addon$/m);
    });
  },
);

describeOn('the single executable, at both ends', [await engineSupport('20')], () => {
  it('moves an image', async () => {
    await build();
    await using scene = await startScene({ source: '20', target: '20' });
    const image = await loadImage(scene.source, { name: 'team/web:1.0', layers: [{ web: '1.0' }] });
    const options = { executable: BINARY };
    await using receiver = await scene.receive(options);
    await using sender = scene.send(receiver, ['team/web:1.0'], options);
    expect(await sender.exit).toEqual({ code: 0, signal: null });
    expect(await scene.target.docker(['image', 'inspect', '--format', '{{.Id}}', 'team/web:1.0'])).toBe(
      `${image.id}\n`,
    );
  });
});
