/** Podman compares no layer with the config: what is compressed is looked at on its way there. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../agent/docker/engine.ts';
import { EngineSink } from '../../agent/docker/engine-sink.ts';
import { move } from '../../agent/move/move.ts';
import { digestOf, LAYER_TYPE, manifestFor } from '../../agent/oci/metadata.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { engineSupport, type Engine as RigEngine, startEngine } from '../rig/engine.ts';
import { describeOn } from '../rig/suite.ts';

const OTHER = Buffer.from('no layer of this image\n'.repeat(1000));
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

    async function moveIn(image: MemoryImage) {
      const sink = await EngineSink.open(engine, { noReplace: false, ignoreSpace: false });
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
  },
  { required: true },
);
