import { describe, expect, it } from 'vitest';
import {
  childrenOf,
  digestOf,
  manifestFor,
  readConfig,
  readMetadata,
  readStatement,
} from '../../../agent/oci/metadata.ts';
import { isGzip, isTar, isZstd } from '../../../agent/streams/magic.ts';
import { layerTar } from '../../rig/layers.ts';

const digest = (digit: string) => `sha256:${digit.repeat(64)}` as const;
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const OCI = 'application/vnd.oci.image';

describe('the manifest made for a containerd store', () => {
  it('is fixed byte for byte: the same image always gets the same id', () => {
    const made = manifestFor(Buffer.from('{}'), [
      { digest: digest('1'), size: 10 },
      { digest: digest('2'), size: 20 },
    ]);
    expect(made.toString()).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
        '"config":{"mediaType":"application/vnd.oci.image.config.v1+json",' +
        '"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},' +
        `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"${digest('1')}","size":10},` +
        `{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"${digest('2')}","size":20}]}`,
    );
  });

  it('names the config and the layers, in order, with their kinds', () => {
    const config = bytes({ os: 'linux' });
    const made = readMetadata(manifestFor(config, [{ digest: digest('1'), size: 10 }]), 'manifest');
    expect(childrenOf(made).map(({ kind, digest, size }) => [kind, digest, size])).toEqual([
      ['config', digestOf(config), config.length],
      ['layer', digest('1'), 10],
    ]);
  });
});

describe('what an index points to', () => {
  it.each([
    [`${OCI}.manifest.v1+json`, 'manifest'],
    [`${OCI}.index.v1+json`, 'index'],
    ['application/vnd.docker.distribution.manifest.v2+json', 'manifest'],
    ['application/vnd.docker.distribution.manifest.list.v2+json', 'index'],
  ])('%s is a %s', (mediaType, kind) => {
    const index = bytes({ manifests: [{ mediaType, digest: digest('1'), size: 5 }] });
    expect(childrenOf(readMetadata(index, 'index'))).toMatchObject([{ kind, digest: digest('1'), size: 5 }]);
  });
});

describe('metadata in which absent things are null, as Go writes and reads them', () => {
  const descriptor = { mediaType: 'x', digest: digest('1'), size: 1 };

  it('is a manifest without layers', () => {
    const made = readMetadata(bytes({ mediaType: null, config: descriptor, layers: null }), 'manifest');
    expect(childrenOf(made).map(({ kind }) => kind)).toEqual(['config']);
  });

  it('is an index', () => {
    expect(childrenOf(readMetadata(bytes({ mediaType: null, manifests: null }), 'index'))).toEqual([]);
    const named = { manifests: [{ ...descriptor, platform: null }] };
    expect(childrenOf(readMetadata(bytes(named), 'index'))).toHaveLength(1);
  });
});

describe('metadata that is none', () => {
  const descriptor = { mediaType: 'x', digest: digest('1'), size: 1 };

  it.each([
    ['manifest', { manifests: [] }, 'manifests'],
    ['manifest', { manifests: null }, 'manifests'],
    ['manifest', { mediaType: `${OCI}.index.v1+json` }, 'mediaType'],
    ['manifest', { mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json' }, 'mediaType'],
    ['manifest', { mediaType: 5 }, 'mediaType'],
    ['index', { config: descriptor }, 'config'],
    ['index', { layers: [] }, 'layers'],
    ['index', { mediaType: `${OCI}.manifest.v1+json` }, 'mediaType'],
    ['index', { mediaType: {} }, 'mediaType'],
  ] as const)('%s that could be taken for the other: %j', (kind, change, at) => {
    const whole = kind === 'manifest' ? { config: descriptor, layers: [] } : { manifests: [] };
    expect(readMetadata(bytes(whole), kind).kind).toBe(kind);
    expect(() => readMetadata(bytes({ ...whole, ...change }), kind)).toThrow(
      `is not in its format: ${at} is wrong`,
    );
  });

  it.each([
    ['manifest', '{', 'a manifest is not JSON'],
    ['manifest', 'null', 'a manifest is not in its format'],
    ['manifest', { config: descriptor }, ': layers is wrong'],
    ['manifest', { config: { ...descriptor, digest: 'sha256:1' }, layers: [] }, ': config.digest is wrong'],
    [
      'manifest',
      { config: { ...descriptor, digest: `sha512:${'1'.repeat(64)}` }, layers: [] },
      ': config.digest is wrong',
    ],
    ['manifest', { config: { ...descriptor, size: -1 }, layers: [] }, ': config.size is wrong'],
    ['manifest', { config: { ...descriptor, size: 1.5 }, layers: [] }, ': config.size is wrong'],
    ['manifest', { config: { ...descriptor, size: 2 ** 60 }, layers: [] }, ': config.size is wrong'],
    ['manifest', { config: descriptor, layers: Array(501).fill(descriptor) }, ': layers is wrong'],
    ['index', { manifests: {} }, ': manifests is wrong'],
    ['index', { manifests: Array(1_001).fill(descriptor) }, ': manifests is wrong'],
    ['index', { manifests: [{ ...descriptor, platform: { os: 1 } }] }, ': manifests.0.platform'],
  ] as const)('%s %#: %s', (kind, value, message) => {
    const error = expect.objectContaining({ code: 'integrity', message: expect.stringContaining(message) });
    expect(() => readMetadata(bytes(value), kind)).toThrow(error);
  });
});

describe('a config', () => {
  const platform = { os: 'linux', architecture: 'amd64' };

  it.each([[[digest('1')]], [[]]])('has its layers: %j', (diffIds) => {
    expect(
      readConfig(bytes({ ...platform, rootfs: { type: 'layers', diff_ids: diffIds } })).rootfs.diff_ids,
    ).toEqual(diffIds);
  });

  it('may write no layers as null, as Go does', () => {
    expect(
      readConfig(bytes({ ...platform, rootfs: { type: 'layers', diff_ids: null } })).rootfs.diff_ids,
    ).toEqual([]);
  });

  it.each([
    [{}, { os: 'linux', architecture: 'unknown' }],
    [
      { os: '', architecture: '' },
      { os: 'linux', architecture: 'unknown' },
    ],
    [
      { os: null, architecture: null, variant: null },
      { os: 'linux', architecture: 'unknown' },
    ],
    [{ architecture: 'arm64' }, { os: 'linux', architecture: 'arm64' }],
  ])('need not say what it is for: %j', (said, want) => {
    expect(readConfig(bytes({ ...said, rootfs: { type: null } }))).toMatchObject({
      ...want,
      rootfs: { diff_ids: [] },
    });
  });

  it.each([
    {},
    { ...platform },
    { ...platform, rootfs: { type: 'other' } },
    { ...platform, rootfs: { type: 'layers', diff_ids: ['x'] } },
  ])('is not %j', (value) => {
    expect(() => readConfig(bytes(value))).toThrow(expect.objectContaining({ code: 'integrity' }));
  });
});

it('knows compressed bytes by their beginning', () => {
  const heads = ['1f8b', '28b52ffd', '1f', '28b52f', '', '75737461'].map((hex) => Buffer.from(hex, 'hex'));
  expect(heads.map((head) => [isGzip(head), isZstd(head)])).toEqual([
    [true, false],
    [false, true],
    [false, false],
    [false, false],
    [false, false],
    [false, false],
  ]);
});

it('knows a tar by its first header, and an empty one by its zeros', async () => {
  const tar = await layerTar({ 'srv/file': 'text' });
  const config = bytes({ os: 'linux', text: ' '.repeat(600) });
  const heads = [tar, Buffer.alloc(1_024), tar.subarray(0, 511), Buffer.alloc(511), Buffer.alloc(0), config];
  expect(heads.map(isTar)).toEqual([true, true, false, false, false, false]);
});

describe('the statement of an attestation', () => {
  const statement = { _type: 'https://in-toto.io/Statement/v1', subject: [] };

  it('is one of any version', () => {
    for (const version of ['v0.1', 'v1']) {
      const _type = `https://in-toto.io/Statement/${version}`;
      expect(readStatement(bytes({ ...statement, _type }))).toEqual({ _type });
    }
  });

  it.each([
    {},
    [statement],
    { _type: 'https://in-toto.io/Link/v1' },
    { ...statement, schemaVersion: 2 },
    { ...statement, rootfs: { type: 'layers' } },
  ])('is not %j', (value) => {
    expect(() => readStatement(bytes(value))).toThrow(expect.objectContaining({ code: 'integrity' }));
  });
});
