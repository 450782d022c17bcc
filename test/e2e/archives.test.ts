/** Images as files, with real engines: copied out and in again, sent from an archive, received into one, piped. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { blob, classicTar, json, rawTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { IMGMV, type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectRuns, inspect, told } from './moved.ts';
import { startMidway } from './relayed.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const PAIRS: readonly { source: Flavour; target: Flavour }[] = [
  { source: '20', target: '20' },
  { source: '20', target: '28c' },
  { source: '28c', target: '20' },
  { source: '28c', target: '28c' },
];

for (const { source, target } of PAIRS) {
  const supports = await Promise.all([...new Set([source, target])].map(engineSupport));
  describeOn(
    `archives, ${source} to ${target}`,
    supports,
    () => {
      let scene: Scene;
      let web: LoadedImage;
      let db: LoadedImage;

      beforeAll(async () => {
        scene = await startScene({ source, target });
        const base = await busyboxLayer();
        const data = { 'srv/data': { bytes: 3 * MIB, seed: 7 } };
        web = await loadImage(scene.source, {
          name: 'team/web:1.0',
          layers: [base, data, { 'etc/greeting': 'web' }],
        });
        // A layer that is there twice is a link in what 20.10 saves.
        const layers = [base, data, { 'etc/greeting': 'db' }, data];
        db = await loadImage(scene.source, { name: 'db:16', layers });
      });
      afterEach(async () => {
        const ids = (await scene.target.docker(['image', 'ls', '-aq'])).trim().split('\n').filter(Boolean);
        if (ids.length > 0) await scene.target.docker(['image', 'rm', '-f', ...new Set(ids)]);
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      const at = (name: string) => join(scene.directory, name);
      const statuses = (events: readonly JsonEvent[]) =>
        events.filter(({ event }) => event === 'image').map(({ status }) => status);
      /** `receive --into` the file, in a new directory: one of two images has come, the other one half. */
      const midwayInto = async (file: string) => {
        await mkdir(dirname(file));
        await loadImage(scene.source, { name: 'late:1', layers: [{ late: { bytes: 8 * MIB, seed: 8 } }] });
        return startMidway(scene, 7 * MIB, {
          images: ['db:16', 'late:1'],
          receiveArgs: ['--reconnect', '2s', '--into', `docker-archive:${file}`],
          sendArgs: ['--json', '--jobs', '1', '--reconnect', '2s'],
        });
      };
      const out = (...args: string[]) => copy(scene.source, args);
      const into = (...args: string[]) => copy(scene.target, args);

      const forms = [
        ['docker-archive', 'both.tar'],
        ['oci', 'layout'],
        ['docker-archive', 'both.tar.gz'],
        ['docker-archive', 'both.tar.zst'],
        ['oci-archive', 'both-oci.tar'],
      ] as const;
      // How a file is compressed is nothing to the kinds of store.
      it.each(source === target ? forms : forms.slice(0, 2))(
        'through %s:%s, two images that share layers',
        async (kind, file) => {
          await out('docker-daemon:team/web:1.0', 'docker-daemon:db:16', `${kind}:${at(file)}`);
          const images = await into(`${kind}:${at(file)}`, 'docker-daemon:');
          expect(images.map(({ status }) => status)).toEqual(['loaded', 'loaded']);
          await expectRuns(scene.target, 'team/web:1.0', 'web');
          await expectRuns(scene.target, 'db:16', 'db');
          if (source === target) {
            expect((await inspect(scene.target, 'team/web:1.0')).Id).toBe(web.id);
            expect((await inspect(scene.target, 'db:16')).Id).toBe(db.id);
          }
          expect((await inspect(scene.target, 'db:16')).RootFS.Layers).toEqual(db.diffIds);
          expect((await readdir(scene.directory)).filter((name) => name.startsWith('.'))).toEqual([]);
          // What docker itself makes of it, where it is a tar.
          if (!file.includes('.tar') || (file.endsWith('.zst') && target === '20')) return;
          await scene.target.docker(['image', 'rm', 'team/web:1.0', 'db:16']);
          if (kind === 'oci-archive' && target === '20') return;
          await scene.target.docker(['load', '--input', at(file)]);
          await expectRuns(scene.target, 'team/web:1.0', 'web');
          await expectRuns(scene.target, 'db:16', 'db');
        },
      );

      it('reads what docker save writes, from a file and from a pipe', async () => {
        await scene.source.docker(['save', '--output', at('saved.tar'), 'team/web:1.0', 'db:16']);
        await into(`docker-archive:${at('saved.tar')}:db:16`, 'docker-daemon:');
        expect(await names(scene.target)).toEqual(['db:16']);
        await expectRuns(scene.target, 'db:16', 'db');
        const piped = `docker --host ${scene.source.dockerHost} save team/web:1.0 | gzip | ${process.execPath} ${IMGMV} copy docker-archive:- docker-daemon:piped:2 --docker-host ${scene.target.dockerHost}`;
        await run(['sh', '-c', piped]);
        expect(await names(scene.target)).toEqual(['db:16', 'piped:2']);
        await expectRuns(scene.target, 'piped:2', 'web');
      });

      const twice = (document: Buffer, key: string) =>
        Buffer.from(String(document).replace(`"${key}"`, `"${key}":null,"${key}"`));
      const odd = [
        ['config', 'os', /a config has the key "os" twice/],
        ['manifest', 'layers', /a manifest has the key "layers" twice/],
      ] as const;
      // Between engines of two kinds it is the same.
      it.runIf(source === target).each(source === '20' ? odd.slice(0, 1) : odd)(
        'an image that the engine took, whose %s has %s twice, fails by itself',
        async (document, key, says) => {
          await writeFile(at('odd.tar'), await oddTar(source, document, (bytes) => twice(bytes, key)));
          await scene.source.docker(['load', '--input', at('odd.tar')]);
          try {
            const args = ['docker-daemon:odd:1', 'docker-daemon:db:16', `oci:${at(`odd-${document}`)}`];
            await using imgmv = runImgmv([
              ...['copy', ...args, '--retries', '0', '--json'],
              ...['--docker-host', scene.source.dockerHost],
            ]);
            const events = await toldBy(imgmv);
            expect((await imgmv.exit).code).toBe(17);
            expect(events.filter(({ event }) => event === 'image')).toMatchObject([
              { status: 'failed', error: { code: 'integrity', message: expect.stringMatching(says) } },
              { status: 'loaded', refs: [{ target: 'db:16' }] },
            ]);
          } finally {
            await scene.source.docker(['image', 'rm', 'odd:1']);
          }
        },
      );

      function send(receiver: { address: string; port: number; codeFile: string }, args: readonly string[]) {
        const to = ['--to', `${receiver.address}:${receiver.port}`, '--code-file', receiver.codeFile];
        return runImgmv(['send', ...args, ...to, '--json']);
      }

      it('sends from an archive, and receives into one', async () => {
        await out(
          'docker-daemon:team/web:1.0',
          'docker-daemon:db:16',
          `docker-archive:${at('send.tar.zst')}`,
        );
        await using receiver = await scene.receive();
        await using sender = send(receiver, ['--from', `docker-archive:${at('send.tar.zst')}`, 'db:16']);
        const { images } = await told(sender, receiver);
        expect(images).toMatchObject([{ status: 'loaded', refs: [{ target: 'db:16' }] }]);
        await expectRuns(scene.target, 'db:16', 'db');

        const file = at('received.tar');
        await using files = await scene.receive({ args: ['--once', '--into', `docker-archive:${file}`] });
        await using engine = scene.send(files, ['team/web:1.0', 'db:16', '--json']);
        const got = await told(engine, files);
        expect(got.plan).toMatchObject([{ idChange: null }, { idChange: null }]);
        await into(`docker-archive:${file}:team/web:1.0`, 'docker-daemon:');
        await expectRuns(scene.target, 'team/web:1.0', 'web');
      });

      // The rest does not ask what the other kind of store is.
      if (source !== target) return;

      it('writes to a pipe what docker loads', async () => {
        const piped = `${process.execPath} ${IMGMV} copy docker-daemon:team/web:1.0 docker-archive:- --docker-host ${scene.source.dockerHost} | docker --host ${scene.target.dockerHost} load`;
        expect(await run(['sh', '-c', piped])).toContain('Loaded image: team/web:1.0');
        await expectRuns(scene.target, 'team/web:1.0', 'web');
      });

      it('makes one file of each image, and takes a directory of them', async () => {
        await out('docker-daemon:team/web:1.0', 'docker-daemon:db:16', '--each', at('each'));
        expect((await readdir(at('each'))).sort()).toEqual(['db_16.tar.zst', 'team_web_1.0.tar.zst']);
        await into(`docker-archive:${at('each')}`, 'docker-daemon:');
        expect(await names(scene.target)).toEqual(['db:16', 'team/web:1.0']);
        const again = runImgmv([
          'copy',
          'docker-daemon:db:16',
          '--each',
          at('each'),
          '--docker-host',
          scene.source.dockerHost,
        ]);
        await expectEnd(again, 16, /db_16\.tar\.zst exists already; --overwrite replaces it/);
      });

      it('keeps no file of a session that was lost', async () => {
        const folder = at('lost');
        await using run = await midwayInto(join(folder, 'lost.tar'));
        run.sender.kill('SIGKILL');
        run.relay.release();
        await expectEnd(run.receiver.imgmv, 11, /did not come back/);
        expect(statuses(await toldBy(run.receiver.imgmv))).toEqual(['failed', 'failed']);
        expect(await readdir(folder)).toEqual([]);
      });

      it('tells both sides where the file cannot be put in its place', async () => {
        const file = join(at('taken'), 'taken.tar');
        await using run = await midwayInto(file);
        await writeFile(file, 'somebody else’s');
        run.relay.release();
        await expectEnd(run.sender, 11, /exists already/);
        await expectEnd(run.receiver.imgmv, 2, /exists already/);
        for (const process of [run.sender, run.receiver.imgmv])
          expect(statuses(await toldBy(process))).toEqual(['failed', 'failed']);
        expect(await readFile(file, 'utf8')).toBe('somebody else’s');
        expect(await readdir(at('taken'))).toEqual(['taken.tar']);
      });

      it('joins an image of the engine and one of an archive', async () => {
        await out('docker-daemon:team/web:1.0', `docker-archive:${at('one.tar')}`, '--overwrite');
        await out(
          `docker-archive:${at('one.tar')}`,
          'docker-daemon:db:16',
          `oci-archive:${at('joined.tar')}`,
        );
        await into(`oci-archive:${at('joined.tar')}`, 'docker-daemon:');
        expect(await names(scene.target)).toEqual(['db:16', 'team/web:1.0']);
      });
    },
    { required: source === '20' && target === '20' },
  );
}

describeOn('archives of 28 with a classic store', [await engineSupport('28')], () => {
  it('keep the id that its config gives', async () => {
    await using engine = await startEngine({ flavour: '28' });
    await using scratch = await scratchDirectory();
    const layers = [await busyboxLayer(), { 'etc/greeting': 'web' }, { 'etc/greeting': 'web' }];
    const web = await loadImage(engine, { name: 'web:1.0', layers });
    const [saved, copied] = [join(scratch.path, 'saved.tar'), join(scratch.path, 'copied.tar.zst')];
    await engine.docker(['save', '--output', saved, 'web:1.0']);
    await copy(engine, ['docker-daemon:web:1.0', `docker-archive:${copied}`]);
    for (const file of [saved, copied]) {
      await engine.docker(['image', 'rm', 'web:1.0']);
      await copy(engine, [`docker-archive:${file}`, 'docker-daemon:']);
      expect((await inspect(engine, 'web:1.0')).Id).toBe(web.id);
    }
    await engine.docker(['image', 'rm', 'web:1.0']);
    await engine.docker(['load', '--input', copied]);
    expect((await inspect(engine, 'web:1.0')).Id).toBe(web.id);
  });
});

describeOn('archives into 20', [await engineSupport('20')], () => {
  it('are refused where an image has more layers than it takes, and leave nothing', async () => {
    await using engine = await startEngine({ flavour: '20' });
    await using scratch = await scratchDirectory();
    const file = join(scratch.path, 'many.tar');
    const layers = Array.from({ length: 126 }, (_, at) => ({ [`f${at}`]: `${at}` }));
    await writeFile(file, classicTar(await testImage({ name: 'many:1', layers })));
    await using imgmv = runImgmv([
      'copy',
      `docker-archive:${file}`,
      'docker-daemon:',
      '--docker-host',
      engine.dockerHost,
    ]);
    await expectEnd(imgmv, 16, /refused many:1: it has 126 layers, and this engine takes at most 125/);
    expect(await engine.docker(['image', 'ls', '-aq'])).toBe('');
  });
});

describeOn('archives of an index, 28c', [await engineSupport('28c')], () => {
  it('keep its id', async () => {
    await using engine = await startEngine({ flavour: '28c' });
    await using scratch = await scratchDirectory();
    const layers = [await busyboxLayer(), { 'etc/greeting': 'hello' }];
    const image = await loadIndexImage(engine, { name: 'web:index', layers, gzip: true });
    for (const place of ['docker-archive:index.tar', 'oci-archive:index-oci.tar', 'oci:layout']) {
      const [kind, file] = place.split(':');
      await copy(engine, ['docker-daemon:web:index', `${kind}:${join(scratch.path, file ?? '')}`]);
      await engine.docker(['image', 'rm', 'web:index']);
      await copy(engine, [`${kind}:${join(scratch.path, file ?? '')}`, 'docker-daemon:']);
      expect((await inspect(engine, 'web:index')).Id).toBe(image.index);
    }
  });

  it('load a layer that is called gzip and is none, as skopeo has them', async () => {
    await using engine = await startEngine({ flavour: '28c' });
    await using scratch = await scratchDirectory();
    const blobs: Buffer[] = [];
    const image = await testImage({ name: 'plain:1', store: 'containerd' });
    const manifest = JSON.parse(String(image.blobs.at(-1)?.bytes)) as { layers: { mediaType: string }[] };
    for (const layer of manifest.layers) layer.mediaType += '+gzip';
    const root = Buffer.from(JSON.stringify(manifest));
    blobs.push(root, ...image.blobs.slice(0, -1).map(({ bytes }) => bytes));
    const descriptor = { ...image.image.root, digest: digestOf(root), size: root.length };
    const file = join(scratch.path, 'plain.tar');
    await writeFile(
      file,
      rawTar(
        ...blobs.map(blob),
        json('oci-layout', { imageLayoutVersion: '1.0.0' }),
        json('index.json', { schemaVersion: 2, manifests: [descriptor] }),
      ),
    );
    await copy(engine, [`docker-archive:${file}`, 'docker-daemon:plain:1']);
    expect((await inspect(engine, 'plain:1')).RootFS.Layers).toEqual(image.image.diffIds);
  });
});

/** `odd:1` as `docker load` takes it, with a document that is changed; all digests are of what it is then. */
async function oddTar(
  flavour: Flavour,
  document: 'config' | 'manifest',
  change: (bytes: Buffer) => Buffer,
): Promise<Buffer> {
  const { blobs } = await testImage({ name: 'odd:1' });
  const layers = blobs.filter(({ kind }) => kind === 'layer');
  const plain = blobs.find(({ kind }) => kind === 'config')?.bytes ?? Buffer.alloc(0);
  const config = document === 'config' ? change(plain) : plain;
  const made = manifestFor(
    config,
    layers.map(({ digest, bytes }) => ({ digest, size: bytes.length })),
  );
  const manifest = document === 'manifest' ? change(made) : made;
  const files = [config, manifest, ...layers.map(({ bytes }) => bytes)].map(blob);
  const Layers = layers.map(({ digest }) => `blobs/sha256/${digest.slice(7)}`);
  const Config = `blobs/sha256/${digestOf(config).slice(7)}`;
  if (flavour === '20')
    return rawTar(...files, json('manifest.json', [{ Config, RepoTags: ['odd:1'], Layers }]));
  const descriptor = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(manifest),
    size: manifest.length,
    annotations: { 'io.containerd.image.name': 'docker.io/library/odd:1' },
  };
  return rawTar(
    ...files,
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, manifests: [descriptor] }),
  );
}

/** Runs a copy to its good end; gives what became of each image. */
async function copy(engine: Engine, args: readonly string[]): Promise<readonly JsonEvent[]> {
  await using imgmv = runImgmv(['copy', ...args, '--docker-host', engine.dockerHost, '--json']);
  const { code } = await imgmv.exit;
  expect({ code, said: imgmv.stdout + imgmv.stderr }).toEqual({ code: 0, said: expect.any(String) });
  const events: JsonEvent[] = [];
  for await (const event of imgmv.events) events.push(event);
  return events.filter(({ event }) => event === 'image');
}

async function names(engine: Engine): Promise<readonly string[]> {
  const lines = await engine.docker(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}']);
  return lines.trim().split('\n').sort();
}
