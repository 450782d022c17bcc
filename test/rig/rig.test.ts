import { readdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { isAlive } from './cleanup.ts';
import { run } from './command.ts';
import { engineSupport, type Flavour, startEngine } from './engine.ts';
import { hostSupport, twoHosts } from './hosts.ts';
import { loadImage, loadIndexImage } from './images.ts';
import { runImgmv } from './imgmv.ts';
import { busyboxLayer, layerTar, randomBytes } from './layers.ts';
import { describeOn } from './suite.ts';

const flavours: readonly { flavour: Flavour; major: string; required: boolean }[] = [
  { flavour: '20', major: '20.', required: true },
  { flavour: '28', major: '2', required: false },
  { flavour: '28c', major: '2', required: false },
];

const hello = { 'etc/hello': 'hello from a layer' };

for (const { flavour, major, required } of flavours) {
  const supports = [await engineSupport(flavour)];
  describeOn(
    `engine ${flavour}`,
    supports,
    () => {
      it('starts, loads an image, runs it, and leaves nothing behind', async () => {
        const engine = await startEngine({ flavour });
        try {
          expect(engine.version.startsWith(major)).toBe(true);
          const { id } = await loadImage(engine, { name: 'web:1.0', layers: [await busyboxLayer(), hello] });
          expect(await engine.docker(['image', 'ls', '--quiet', '--no-trunc'])).toBe(`${id}\n`);
          const output = await engine.docker([
            'run',
            '--rm',
            '--network',
            'none',
            'web:1.0',
            'cat',
            '/etc/hello',
          ]);
          expect(output).toBe(hello['etc/hello']);
          expect(await readdir(engine.dataRoot)).toContain('containerd');
        } finally {
          await engine[Symbol.asyncDispose]();
        }
        await expectGone(engine.pid, dirname(engine.socketPath));
      });

      it('ends with all it holds when it is killed', async () => {
        await using engine = await startEngine({ flavour, tmpfsBytes: 64 * 2 ** 20 });
        await loadImage(engine, { name: 'sleeper:1', layers: [await busyboxLayer()] });
        await engine.docker(['run', '--detach', '--network', 'none', 'sleeper:1', 'sleep', '600']);
        engine.kill('SIGKILL');
        await engine[Symbol.asyncDispose]();
        await expectGone(engine.pid, dirname(engine.socketPath));
      });

      it('comes back to its data after it was killed, again and again', async () => {
        await using engine = await startEngine({ flavour, tmpfsBytes: 64 * 2 ** 20 });
        const { id } = await loadImage(engine, { name: 'kept:1', layers: [hello] });
        for (let kill = 0; kill < 2; kill++) {
          const { pid } = engine;
          engine.kill('SIGKILL');
          await engine.restart();
          expect(engine.pid).not.toBe(pid);
          expect(await engine.docker(['image', 'ls', '--quiet', '--no-trunc'])).toBe(`${id}\n`);
        }
      });

      it('runs beside another one and shares nothing with it', async () => {
        await using first = await startEngine({ flavour });
        await using second = await startEngine({ flavour });
        await loadImage(first, { name: 'only-here:1', layers: [hello] });
        expect(await second.docker(['image', 'ls', '--quiet'])).toBe('');
      });
    },
    { required },
  );
}

describeOn('containerd store', [await engineSupport('28c')], () => {
  it('keeps an index with an absent platform and attestation', async () => {
    await using engine = await startEngine({ flavour: '28c' });
    const layers = [await busyboxLayer(), hello];
    const image = await loadIndexImage(engine, { name: 'team/web:2', layers, gzip: true });
    expect(image.id).toBe(image.index);
    const output = await engine.docker([
      'run',
      '--rm',
      '--network',
      'none',
      'team/web:2',
      'cat',
      '/etc/hello',
    ]);
    expect(output).toBe(hello['etc/hello']);
  });
});

describeOn('hosts', [await hostSupport()], () => {
  it('reach each other, and are gone afterwards', async () => {
    const hosts = await twoHosts({ rateMbit: 100 });
    const { a, b } = hosts;
    try {
      await ping(b.address);
      expect(await b.listeners()).toBe('');
      await hosts.blackHole(true);
      await expect(ping(b.address)).rejects.toThrow('status 1');
      await hosts.blackHole(false);
      await hosts.setRate(undefined);
      await ping(b.address);
      await hosts.lose(1);
      await expect(ping(b.address)).rejects.toThrow('status 1');
      await hosts.lose(undefined);
      await ping(b.address);
    } finally {
      await hosts[Symbol.asyncDispose]();
    }
    const namespaces = await readdir('/run/netns');
    expect(namespaces).not.toContain(a.name);
    expect(namespaces).not.toContain(b.name);

    function ping(address: string): Promise<string> {
      return run(a.argv(['busybox', 'ping', '-c', '1', '-W', '1', address]));
    }
  });
});

it('runs the built command line', async () => {
  await using help = runImgmv(['--help']);
  expect(await help.exit).toEqual({ code: 0, signal: null });
  expect(help.stdout).toContain('receive');
});

it('makes the same layer again, byte for byte', async () => {
  const spec = { 'data/a': { bytes: 100_000, seed: 1, halfCompressible: true }, 'data/b': { linkTo: 'a' } };
  expect((await layerTar(spec)).equals(await layerTar(spec))).toBe(true);
  expect(randomBytes({ bytes: 10, seed: 1 })).not.toEqual(randomBytes({ bytes: 10, seed: 2 }));
});

async function expectGone(pid: number, directory: string): Promise<void> {
  expect(isAlive(pid)).toBe(false);
  expect(await readFile('/proc/mounts', 'utf8')).not.toContain(directory);
  expect(await run(['ps', '-ww', '-eo', 'args'])).not.toContain(directory);
  await expect(readdir(directory)).rejects.toThrow('ENOENT');
}
