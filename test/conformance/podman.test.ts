/** Podman compares no layer with the config: what is compressed is looked at on its way there. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ociArchive } from '../../agent/docker/archive.ts';
import { Engine } from '../../agent/docker/engine.ts';
import { EngineSink } from '../../agent/docker/engine-sink.ts';
import { LAYERWISE_MIN_BYTES } from '../../agent/docker/engine-writer.ts';
import { move } from '../../agent/move/move.ts';
import { blobPath } from '../../agent/oci/blob-path.ts';
import { digestOf, LAYER_TYPE, manifestFor } from '../../agent/oci/metadata.ts';
import { rawTar } from '../hostile/raw-tar.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { engineSupport, type Engine as RigEngine, startEngine } from '../rig/engine.ts';
import { describeOn } from '../rig/suite.ts';

const OTHER = Buffer.from('no layer of this image\n'.repeat(1000));
const OTHER_TAR = ['no', 'neither'].map((text) => rawTar({ name: text, body: text }));
const zstd = async (bytes: Buffer) =>
  Buffer.from(await run(['sh', '-c', 'zstd -c | base64 -w0'], { input: bytes }), 'base64');

describeOn(
  'compressed layers into podman',
  [await engineSupport('podman')],
  () => {
    let rig: RigEngine;
    let engine: Engine;

    beforeAll(async () => {
      rig = await startEngine({ flavour: 'podman' });
      engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
    });
    afterAll(() => rig?.[Symbol.asyncDispose]());

    /** Of a containerd store: its layers are what `compress` makes of them. */
    async function compressed(name: string, compress: (layer: Buffer) => Promise<Buffer> | Buffer) {
      const { image, blobs } = await testImage({ name, store: 'containerd' });
      const config = blobs.find(({ kind }) => kind === 'config') as MemoryImage['blobs'][number];
      const layers = [];
      for (const { kind, bytes } of blobs) {
        if (kind !== 'layer') continue;
        const made = await compress(bytes);
        layers.push({ kind, digest: digestOf(made), bytes: made });
      }
      const told = layers.map(({ digest, bytes }) => ({
        digest,
        size: bytes.length,
        mediaType: `${LAYER_TYPE}+gzip`,
      }));
      const bytes = manifestFor(config.bytes, told);
      const manifest = { kind: 'manifest' as const, digest: digestOf(bytes), bytes };
      const offered = told.map(({ digest, size }, at) => ({
        digest,
        size,
        diffId: image.diffIds[at] as `sha256:${string}`,
      }));
      return {
        blobs: [...layers, config, manifest],
        image: {
          ...image,
          id: manifest.digest,
          root: { ...image.root, digest: manifest.digest, size: bytes.length },
          layers: offered,
        },
      } satisfies MemoryImage;
    }

    async function moveIn(image: MemoryImage, layerwiseMinBytes = LAYERWISE_MIN_BYTES) {
      const sink = await EngineSink.open(engine, {
        noReplace: false,
        ignoreSpace: false,
        layerwiseMinBytes,
      });
      const { outcomes } = await move(new MemorySource([image]), sink, {
        signal: new AbortController().signal,
        emit: () => {},
        wireBytes: () => 0,
        jobs: 1,
        retries: 0,
      });
      return outcomes[0];
    }

    it.each([
      ['gzip', gzipSync],
      ['zstd', zstd],
    ])('come as %s, and are what the config says', async (name, compress) => {
      const image = await compressed(`${name}:1`, compress);
      expect(await moveIn(image)).toMatchObject({ status: 'loaded', targetId: image.image.config });
      expect((await engine.inspect(`${name}:1`))?.RootFS.Layers).toEqual(image.image.diffIds);
    });

    it.each([
      ['another layer', (layer: Buffer) => gzipSync(Buffer.concat([layer, OTHER]))],
      ['damaged gzip', (layer: Buffer) => gzipSync(layer).subarray(0, -20)],
    ])('are refused as %s', async (what, compress) => {
      const image = await compressed(`${what.replace(' ', '-')}:1`, compress);
      expect(await moveIn(image)).toMatchObject({ status: 'failed', error: { code: 'integrity' } });
      expect((await engine.list()).flatMap(({ RepoTags }) => RepoTags ?? []).sort()).toEqual([
        'gzip:1',
        'zstd:1',
      ]);
    });

    it.each([
      ['in one load', 'claimed:1', LAYERWISE_MIN_BYTES],
      ['layer by layer', 'claimed:2', 1],
    ])('come again where an image there claims them and lacks them, %s', async (_how, name, minBytes) => {
      const layers = [0, 1, 2].map((at) => ({ [`srv/${at}`]: { bytes: 2 ** 21, seed: at + minBytes } }));
      const { image, blobs } = await testImage({ name, layers });
      const claimed = image.diffIds.slice(0, 2);
      const platform = { os: 'linux', architecture: 'amd64' };
      const config = { ...platform, config: {}, rootfs: { type: 'layers', diff_ids: claimed } };
      const configBytes = Buffer.from(JSON.stringify(config));
      const others = claimed.map((_, at) => OTHER_TAR[at] as Buffer);
      const manifest = manifestFor(
        configBytes,
        others.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length })),
      );
      const root = { digest: digestOf(manifest), kind: 'manifest', bytes: manifest } as const;
      const metadata = ociArchive(root, [[digestOf(configBytes), configBytes]], `false-${name}`);
      // Podman takes it: in a layout it compares no layer with the config.
      await rig.docker(['load'], {
        input: rawTar(
          ...others.map((body) => ({ name: blobPath(digestOf(body)), body })),
          ...metadata.map(([path, body]) => ({ name: path, body: body as Buffer })),
        ),
      });
      expect((await engine.inspect(`false-${name}`))?.RootFS.Layers).toEqual(claimed);
      expect(await moveIn({ image, blobs }, minBytes)).toMatchObject({
        status: 'loaded',
        targetId: image.id,
      });
      expect((await engine.inspect(name))?.RootFS.Layers).toEqual(image.diffIds);
    });
  },
  { required: true },
);
