/** What a containerd store holds that is no image, or says less of itself than others: the images beside it move. */
import { expect, it } from 'vitest';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { blob, json, ociEntries, rawTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { inspect } from './moved.ts';
import { expectEnd, startScene } from './scene.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const OCI_NAME = 'io.containerd.image.name';

const described = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});

/** An OCI archive of one manifest. */
async function archiveOf(name: string, manifest: Buffer, blobs: readonly Buffer[]): Promise<Buffer> {
  const { layout } = ociEntries(await testImage({ store: 'containerd' }));
  const entry = {
    ...described(MANIFEST, manifest),
    annotations: { [OCI_NAME]: `docker.io/library/${name}` },
  };
  const index = json('index.json', { schemaVersion: 2, manifests: [entry] });
  return rawTar(...[manifest, ...blobs].map(blob), layout, index);
}

async function chart(name: string): Promise<Buffer> {
  const config = Buffer.from('{"name":"web","version":"0.1.0"}');
  const content = Buffer.from('content\n');
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: described('application/vnd.cncf.helm.config.v1+json', config),
    layers: [described('application/vnd.cncf.helm.chart.content.v1.tar+gzip', content)],
  };
  return archiveOf(name, Buffer.from(JSON.stringify(manifest)), [config, content]);
}

/** An image whose config names neither an operating system nor an architecture. */
async function platformless(name: string): Promise<Buffer> {
  const { blobs } = await testImage({ store: 'containerd', layers: [{ odd: name }] });
  const layers = blobs.filter(({ kind }) => kind === 'layer');
  const whole = JSON.parse(String(blobs.find(({ kind }) => kind === 'config')?.bytes)) as object;
  const config = Buffer.from(JSON.stringify({ ...whole, os: undefined, architecture: undefined }));
  const sizes = layers.map(({ digest, bytes }) => ({ digest, size: bytes.length }));
  return archiveOf(name, manifestFor(config, sizes), [config, ...layers.map(({ bytes }) => bytes)]);
}

describeOn('a containerd store with odd things in it', [await engineSupport('28c')], () => {
  it('a chart is left out with a warning, and an image without a platform arrives with the others', async () => {
    await using scene = await startScene({ source: '28c', target: '28c' });
    await scene.source.docker(['load'], { input: await chart('chart:1') });
    await scene.source.docker(['load'], { input: await platformless('plain:1') });
    await loadImage(scene.source, { name: 'web:1.0', layers: [{ web: '1' }] });

    await using list = runImgmv(['ls', '--json', '--docker-host', scene.source.dockerHost]);
    await expectEnd(list, 0, /is left out: .*Helm chart/);
    expect(list.stdout).toMatch(/"names":\["plain:1"\].*"names":\["web:1\.0"\]|"web:1\.0".*"plain:1"/s);

    await using receiver = await scene.receive();
    await using sender = scene.send(receiver, ['--all', '--json']);
    // Of what it was not offered the receiver knows nothing.
    await expectEnd(sender, 17, /"loaded".*"loaded"/s);
    await expectEnd(receiver.imgmv, 0, /"loaded".*"loaded"/s);
    expect(sender.stdout).toMatch(/"warning".*chart:1 is left out: .*Helm chart/);
    for (const name of ['plain:1', 'web:1.0'])
      expect((await inspect(scene.target, name)).Id).toBe((await inspect(scene.source, name)).Id);
  });
});
