/** What lies in an archive beside its images, or is told of them wrongly, does not keep the images from being read. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { openArchives } from '../../../agent/archive/open-archives.ts';
import { Renaming } from '../../../agent/choose/rename.ts';
import { copyImages } from '../../../agent/commands/copy.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import { digestOf, manifestFor } from '../../../agent/oci/metadata.ts';
import { failureOf } from '../../conformance/conformance.ts';
import { blob, classicEntries, json, ociEntries, type RawEntry, rawTar } from '../../hostile/raw-tar.ts';
import { testImage } from '../../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const image = await testImage({ store: 'containerd' });
const classic = await testImage();
const { files, layout } = ociEntries(image);
const NAME = 'io.containerd.image.name';
const whole = { ...image.image.root, annotations: { [NAME]: 'docker.io/library/web:1.0' } };
const index = (...manifests: readonly unknown[]) => json('index.json', { schemaVersion: 2, manifests });

/** A manifest with this config, and its descriptor, called `beside:1`. */
function beside(config: Buffer, configType: string, layer: Buffer): [Buffer, object] {
  const describedAs = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: describedAs(configType, config),
      layers: [describedAs('application/octet-stream', layer)],
    }),
  );
  return [bytes, { ...describedAs(MANIFEST, bytes), annotations: { [NAME]: 'registry.test/beside:1' } }];
}

const content = Buffer.from('content\n');
const chartConfig = Buffer.from('{"name":"web","version":"0.1.0"}');
const [chart, chartEntry] = beside(chartConfig, 'application/vnd.cncf.helm.config.v1+json', content);
const empty = Buffer.from('{}');
const [artifact, artifactEntry] = beside(empty, 'application/vnd.oci.image.config.v1+json', content);
const sha512 = { mediaType: MANIFEST, digest: `sha512:${'a'.repeat(128)}`, size: 7 };
const noLayers = manifestFor(classic.blobs.at(-1)?.bytes as Buffer, []);
const noLayersEntry = { mediaType: MANIFEST, digest: digestOf(noLayers), size: noLayers.length };

/** An index that does not say of its manifest that it is one. */
const unsaid = Buffer.from(
  JSON.stringify({ schemaVersion: 2, manifests: [{ ...image.image.root, mediaType: '' }] }),
);
const unsaidEntry = {
  mediaType: 'application/vnd.oci.image.index.v1+json',
  digest: digestOf(unsaid),
  size: unsaid.length,
  annotations: { [NAME]: 'registry.test/beside:1' },
};

const BESIDE: readonly (readonly [what: string, parts: readonly RawEntry[], entry: object, name: string])[] =
  [
    ['a chart', [blob(chart), blob(chartConfig), blob(content)], chartEntry, 'registry.test/beside:1'],
    [
      'an artifact that calls {} the config of an image',
      [blob(artifact), blob(empty), blob(content)],
      artifactEntry,
      'registry.test/beside:1',
    ],
    ['a manifest by sha512', [], { ...sha512, annotations: { [NAME]: 'five:1' } }, 'five:1'],
    ['an index of odd types', [blob(unsaid)], unsaidEntry, 'registry.test/beside:1'],
    ['an image that lacks a blob', [], { ...chartEntry }, 'registry.test/beside:1'],
  ];

const signal = new AbortController().signal;
let scratch: ScratchDirectory;
beforeAll(async () => {
  scratch = await scratchDirectory();
});
afterAll(() => scratch[Symbol.asyncDispose]());

let archives = 0;
/** Copies what `pattern` names, or all, into an archive. */
async function copied(archive: Buffer, ...patterns: readonly string[]) {
  const from = join(scratch.path, `${++archives}.tar`);
  await writeFile(from, archive);
  const warnings: string[] = [];
  const { outcomes, exit } = await copyImages({
    from: [parseEndpoint(`docker-archive:${from}`) as ArchiveEndpoint],
    destination: parseEndpoint(`docker-archive:${from}.out`) as ArchiveEndpoint,
    push: false,
    selection: {
      patterns: patterns.map((text) => ({ kind: 'exact' as const, text })),
      labels: [],
      except: [],
    },
    stdin: Readable.from([]),
    stdout: async () => {},
    naming: { renaming: new Renaming({ retag: [], keepNames: false }) },
    jobs: 1,
    retries: 0,
    noReplace: false,
    overwrite: false,
    ignoreSpace: false,
    direct: true,
    signal,
    emit: (event) => {
      if (event.event === 'warning') warnings.push(event.message);
    },
  });
  return {
    exit,
    warnings,
    images: outcomes.map((one) => [one.status, ...one.image.names.map(({ target }) => target)]),
  };
}

describe('beside an image', () => {
  for (const [what, parts, entry, name] of BESIDE) {
    const archive = rawTar(...files, ...parts, layout, index(entry, whole));

    it(`${what} is left alone when the image is picked`, async () => {
      const { exit, images, warnings } = await copied(archive, 'web:1.0');
      expect({ exit, images }).toEqual({ exit: 0, images: [['loaded', 'web:1.0']] });
      expect(warnings).toEqual([expect.stringContaining('is ignored')]);
    });

    it(`${what} is left out when all are meant`, async () => {
      const { exit, images, warnings } = await copied(archive);
      expect({ exit, images }).toEqual({ exit: 17, images: [['loaded', 'web:1.0']] });
      expect(warnings).toEqual([expect.stringContaining('is left out')]);
    });

    it(`${what} does not keep another one from being moved that is named beside it`, async () => {
      const { exit, images, warnings } = await copied(
        archive,
        'web:1.0',
        name.replace('five', 'docker.io/library/five'),
      );
      expect({ exit, images }).toEqual({ exit: 17, images: [['loaded', 'web:1.0']] });
      expect(warnings).toEqual([expect.stringContaining('is left out')]);
    });

    it(`${what} is refused with the reason when it is picked itself`, async () => {
      const error = await failureOf(copied(archive, name));
      expect(error).toMatchObject({ code: 'integrity', message: expect.stringContaining('is not an image') });
    });
  }

  it('a chart is called what it is', async () => {
    const archive = rawTar(
      ...files,
      blob(chart),
      blob(chartConfig),
      blob(content),
      layout,
      index(chartEntry, whole),
    );
    const { warnings } = await copied(archive, 'web:1.0');
    expect(warnings).toEqual([
      expect.stringMatching(
        /is not an image but a chart, .*"application\/vnd\.cncf\.helm\.config\.v1\+json"$/,
      ),
    ]);
  });

  it('one that manifest.json has wrong is left out', async () => {
    const broken = { Config: 'gone.json', RepoTags: ['gone:1'], Layers: [] };
    const { files: own, manifest } = classicEntries(classic);
    const both = [broken, ...(JSON.parse(String(manifest.body)) as unknown[])];
    const { exit, images } = await copied(rawTar(...own, json('manifest.json', both)));
    expect({ exit, images }).toEqual({ exit: 17, images: [['loaded', 'web:1.0']] });
  });
});

describe('a name with a digest', () => {
  const digestName = `docker.io/library/web@${image.image.root.digest}`;
  const byDigest = { ...image.image.root, annotations: { [NAME]: digestName } };

  it('does not come along, and its image does', async () => {
    const { exit, images, warnings } = await copied(rawTar(...files, layout, index(byDigest)));
    expect({ exit, images }).toEqual({ exit: 0, images: [['loaded']] });
    expect(warnings).toEqual([expect.stringContaining('arrives without it')]);
  });

  it('leaves the other names of its image', async () => {
    const { exit, images } = await copied(rawTar(...files, layout, index(byDigest, whole)));
    expect({ exit, images }).toEqual({ exit: 0, images: [['loaded', 'web:1.0']] });
  });

  it('does not come along from manifest.json', async () => {
    const { files: own, manifest } = classicEntries(classic, [digestName]);
    const { exit, images } = await copied(rawTar(...own, manifest));
    expect({ exit, images }).toEqual({ exit: 0, images: [['loaded']] });
  });
});

describe('a good manifest.json counts', () => {
  const { files: own, manifest } = classicEntries(classic);

  it.each([
    ['null for the manifests', [], { manifests: null }],
    ['no manifests', [], { manifests: [] }],
    [
      'a manifest without layers',
      [blob(noLayers), blob(classic.blobs.at(-1)?.bytes as Buffer)],
      { manifests: [{ ...noLayersEntry, annotations: { [NAME]: 'docker.io/library/web:1.0' } }] },
    ],
  ] as const)('where index.json has %s', async (_, parts, value) => {
    const archive = rawTar(...own, manifest, ...parts, layout, json('index.json', value));
    const { exit, images, warnings } = await copied(archive);
    expect({ exit, images, warnings }).toEqual({ exit: 0, images: [['loaded', 'web:1.0']], warnings: [] });
  });
});

it('an image that says neither its operating system nor its architecture is read', async () => {
  const { files: own, manifest } = classicEntries(classic);
  const config = { ...JSON.parse(String(classic.blobs.at(-1)?.bytes)), os: null, architecture: '' };
  const bytes = Buffer.from(JSON.stringify(config));
  const [described] = JSON.parse(String(manifest.body)) as [object];
  const layers = own.filter(({ name }) => String(name).endsWith('layer.tar'));
  const archive = rawTar(
    ...layers,
    { name: 'config.json', body: bytes },
    json('manifest.json', [{ ...described, Config: 'config.json' }]),
  );
  const { exit, images } = await copied(archive);
  expect({ exit, images }).toEqual({ exit: 0, images: [['loaded', 'web:1.0']] });
});

describe('a wrong file is told as what it seems to be', () => {
  const layer = `${'a'.repeat(64)}/layer.tar`;
  const { files: own, manifest } = classicEntries(classic);

  it.each([
    [
      'Docker 1.9',
      rawTar({ name: layer }, json('repositories', { centos: { 6: 'a' } })),
      /Docker 1\.9 or older/,
    ],
    ['docker export', rawTar({ name: '.dockerenv' }, { name: 'bin/sh', body: 'x' }), /docker export/],
    [
      'docker export with links',
      rawTar({ name: '.dockerenv' }, { name: 'bin/sh', type: '2', linkName: '/bin/x' }),
      /docker export/,
    ],
    ['a root file system', rawTar({ name: 'etc/passwd' }, { name: 'usr/bin/x' }), /docker export/],
    [
      'a tar in a tar',
      rawTar({ name: 'alpine', body: rawTar(...own, manifest) }),
      /only "alpine", which may be/,
    ],
    [
      'a directory in a tar',
      rawTar(...[...own, manifest].map((one) => ({ ...one, name: `x/${String(one.name)}` }))),
      /in the directory "x"/,
    ],
    ['UTF-16', Buffer.from(`\ufeff${rawTar(...own, manifest).toString('latin1')}`, 'utf16le'), /PowerShell/],
    ['a page', Buffer.from('<!DOCTYPE html>\n<html>'.padEnd(600)), /web page/],
  ])('%s', async (_, archive, hint) => {
    expect(await failureOf(copied(archive))).toMatchObject({
      code: 'integrity',
      hint: expect.stringMatching(hint),
    });
  });
});

it('a file with a colon in its name is told from one that is not there', async () => {
  const from = join(scratch.path, 'web:1.tar');
  await writeFile(from, rawTar(...files, layout, index(whole)));
  const read = (text: string) =>
    openArchives(parseEndpoint(text) as ArchiveEndpoint, { signal, stdin: Readable.from([]) });
  expect((await failureOf(read(`docker-archive:${from}`))).hint).toContain(`first colon, and ${from} exists`);
  expect((await failureOf(read(`docker-archive:${from}2`))).hint ?? '').not.toContain('colon');
});
