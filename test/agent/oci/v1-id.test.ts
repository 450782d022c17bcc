import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../agent/docker/engine.ts';
import type { Digest } from '../../../agent/model/image.ts';
import { chainIds } from '../../../agent/oci/chain-id.ts';
import { v1Ids } from '../../../agent/oci/v1-id.ts';
import { engineSupport, type Engine as RigEngine, startEngine } from '../../rig/engine.ts';
import { type ImageOptions, loadImage } from '../../rig/images.ts';
import { describeOn } from '../../rig/suite.ts';

// As 20.10.24 saved an image of four layers, bottom first: the second and the fourth are equal.
const BASE: Digest = 'sha256:18bb8caedd79b1684633a859396f93913db3b069a2eb847ddcdd2344825f3cef';
const TWICE: Digest = 'sha256:feb9880dd9067ea279e9d6e5d672f7ddfb5bdc40e67221e4a2df9c2aa79ba956';
const THIRD: Digest = 'sha256:3605ea5f5daaaceb2689829465abf4da31e0385965aae8bae7b806756d7c079d';
const SAVED_AS = [
  '96256c377fbc52b4f28f3eba76bb6490bfd330065cdd798bffdccd23c95e76ce',
  '89f925da0491c4dff41890c1e281ae3bbc296667cb0923061a0330d236b9d1d0',
  '27d42de47dd6171bbe26df3277babe1bd1c36f6c88409b766a934ed6695aba4f',
] as const;

describe('chain ids', () => {
  it('are the diffID of the lowest layer, then hashes of all below', () => {
    // printf '%s %s' BASE TWICE | sha256sum
    expect(chainIds([BASE, TWICE])).toEqual([
      BASE,
      'sha256:c44e956cd939aee40d3668c3d8b8b4f1afd1c28aa825d229aa6cbffccd3be24a',
    ]);
  });

  it('differ for the same layer twice', () => {
    expect(new Set(chainIds([BASE, TWICE, TWICE, BASE])).size).toBe(4);
  });

  it('are none for an image without layers', () => {
    expect(chainIds([])).toEqual([]);
  });
});

describe('v1 ids', () => {
  it('are those of 20.10.24, for all layers but the top one', () => {
    expect([...v1Ids([BASE, TWICE, THIRD, TWICE])]).toEqual([
      [SAVED_AS[0], BASE],
      [SAVED_AS[1], TWICE],
      [SAVED_AS[2], THIRD],
    ]);
  });

  it('map the same layer twice from two ids', () => {
    const layers = v1Ids([BASE, TWICE, TWICE, THIRD]);
    expect([...layers.values()]).toEqual([BASE, TWICE, TWICE]);
    expect(layers.size).toBe(3);
  });

  it('are none for one layer, or for none', () => {
    expect(v1Ids([BASE]).size).toBe(0);
    expect(v1Ids([]).size).toBe(0);
  });
});

const files = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => ({ [`srv/${from + at}`]: `${from + at}\n` }));
const IMAGES: readonly ImageOptions[] = [
  { name: 'one:1', layers: files(0, 1) },
  { name: 'two:1', layers: files(0, 2) },
  { name: 'many:1', layers: files(0, 60) },
  { name: 'equal:1', layers: [...files(0, 2), ...files(0, 2), ...files(0, 1)] },
  { name: 'all-equal:1', layers: [...files(0, 1), ...files(0, 1), ...files(0, 1)] },
  { name: 'empty:1', layers: [{}, ...files(0, 1), {}, {}, ...files(1, 2)] },
  {
    name: 'labels:1',
    layers: files(0, 3),
    config: {
      Labels: { 'a<b>&c': '<&>\u2028"\\é' },
      Env: ['PATH=/bin'],
      Cmd: ['sh', '-c', 'true && echo <1>'],
      ExposedPorts: { '80/tcp': {} },
      Healthcheck: { Test: ['NONE'] },
      StopSignal: 'SIGINT',
    },
  },
  { name: 'arm:1', layers: files(0, 3), architecture: 'arm64' },
];

describeOn(
  'engine 20',
  [await engineSupport('20')],
  () => {
    let rig: RigEngine;
    let engine: Engine;

    beforeAll(async () => {
      rig = await startEngine({ flavour: '20' });
      engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
    });
    afterAll(() => rig?.[Symbol.asyncDispose]());

    for (const options of IMAGES) {
      it(`saves ${options.name} under these ids`, async () => {
        const { id, diffIds } = await loadImage(rig, options);
        const saved = await savedIds(id);
        expect(saved.directories).toEqual([...saved.layers].sort());
        const layers = v1Ids(diffIds as readonly Digest[]);
        expect([...layers.keys()]).toEqual(saved.layers.slice(0, -1));
        expect([...layers.values()]).toEqual(diffIds.slice(0, -1));
        expect(layers.has(saved.layers.at(-1) ?? '')).toBe(false);
      });
    }

    /** The names of the directories in the archive, sorted, and of those with layers as manifest.json lists them. */
    async function savedIds(id: string) {
      const directories: string[] = [];
      let layers: readonly string[] = [];
      const entries = extract();
      (await engine.save(id, AbortSignal.timeout(20_000))).pipe(entries);
      for await (const entry of entries) {
        const { name, type } = entry.header;
        const body = await buffer(entry);
        if (type === 'directory') directories.push(name.replace('/', ''));
        if (name !== 'manifest.json') continue;
        const [image] = JSON.parse(body.toString()) as readonly { readonly Layers: readonly string[] }[];
        layers = (image?.Layers ?? []).map((path) => path.replace('/layer.tar', ''));
      }
      return { directories: directories.sort(), layers };
    }
  },
  { required: true },
);
