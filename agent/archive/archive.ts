/**
 * An archive that is open: which images it holds is known, and those that are wanted are read and checked before
 * anybody gets a byte of them. Layers of other images are never looked at.
 */
import { ImgmvError } from '../../proto/errors.ts';
import type { Digest } from '../model/image.ts';
import { integrity } from '../streams/errors.ts';
import type { Inflation } from '../streams/inflation.ts';
import type { ReadingMeter } from '../streams/reading-meter.ts';
import { type ArchivedImage, type LayerClaim, type StoredLayer, sizesOf } from './archived-image.ts';
import { type Contents, type FileFacts, measured } from './contents.ts';
import type { Described } from './described.ts';

export interface Archive extends Described, AsyncDisposable {
  /** As it was given, for errors. */
  readonly label: string;
  readonly contents: Contents;
  /**
   * Reads the layers of these images, each file once. Throws integrity for the first that is not what the documents
   * say, or that is too much; the reason of `signal`.
   */
  check(images: readonly ArchivedImage[], signal: AbortSignal): Promise<void>;
  /** The image with the sizes that its layers really have; undefined where it has not been checked. */
  checked(image: ArchivedImage): ArchivedImage | undefined;
}

export class LayerCheck {
  readonly #contents: Contents;
  readonly #inflation: Inflation;
  readonly #meter: ReadingMeter;
  readonly #facts = new Map<string, FileFacts>();
  /** With the sizes that their layers really have. */
  readonly checked = new Map<ArchivedImage, ArchivedImage>();

  constructor(contents: Contents, inflation: Inflation, meter: ReadingMeter) {
    this.#contents = contents;
    this.#inflation = inflation;
    this.#meter = meter;
  }

  async check(images: readonly ArchivedImage[], signal: AbortSignal): Promise<void> {
    await this.#readAll(
      images.flatMap(({ claims }) => claims),
      signal,
    );
    for (const image of images) {
      for (const claim of image.claims)
        requireTrue(claim, this.#facts.get(claim.file) as FileFacts, image.image.diffIds);
      this.checked.set(image, this.#withSizes(image));
    }
  }

  async #readAll(claims: readonly LayerClaim[], signal: AbortSignal): Promise<void> {
    const { files } = this.#contents;
    const wanted = new Map<string, { inflate: boolean }>();
    for (const { file, diffId } of claims) {
      const stored = files.get(file);
      const inflate = diffId !== undefined && stored?.compression !== 'none';
      const known = this.#facts.get(file);
      if (!stored || (known && (known.inside || !inflate))) continue;
      const { digest, size } = stored;
      if (digest !== undefined && !inflate) this.#facts.set(file, { size, digest });
      else wanted.set(file, { inflate: inflate || wanted.get(file)?.inflate === true });
    }
    const total = [...wanted.keys()].reduce((sum, file) => sum + (files.get(file)?.size ?? 0), 0);
    this.#meter.begin('layers', total);
    // They are read once more when they are sent.
    this.#contents.willRead?.(new Map(claims.map(({ file }) => [file, wanted.has(file) ? 2 : 1])));
    for await (const { name, body } of this.#contents.read(new Set(wanted.keys()), signal)) {
      const compression = files.get(name)?.compression ?? 'none';
      const inflation = wanted.get(name)?.inflate ? this.#inflation : undefined;
      const facts = await measured(this.#meter.over(body), compression, inflation).catch((error: unknown) => {
        throw ofLayer(name, error);
      });
      if (facts.size !== files.get(name)?.size)
        throw integrity(`${JSON.stringify(name)} has changed while it was read`);
      this.#facts.set(name, facts);
    }
  }

  #withSizes(found: ArchivedImage): ArchivedImage {
    if (![...found.layers.values()].some(({ inflate }) => inflate)) return found;
    const layers = new Map<Digest, StoredLayer>();
    for (const [digest, layer] of found.layers)
      layers.set(digest, { ...layer, size: this.#facts.get(layer.file)?.inside?.size ?? layer.size });
    return { ...found, layers, image: { ...found.image, ...sizesOf(layers) } };
  }
}

const IN_ANOTHER_ORDER =
  'its layers are in another order than its config says, as some releases of docker 25 wrote them; save the image again with a newer docker';

function requireTrue(
  { diffId, file, stored }: LayerClaim,
  { digest, inside }: FileFacts,
  diffIds: readonly Digest[],
): void {
  const name = JSON.stringify(file);
  if (stored !== undefined && digest !== stored)
    throw integrity(`the blob ${name} is ${digest}, want ${stored}`);
  const plain = inside?.digest ?? digest;
  if (diffId && plain !== diffId.digest)
    throw integrity(`layer ${diffId.at + 1}, ${name}, is ${plain}, but its config says ${diffId.digest}`, {
      hint: diffIds.includes(plain) ? IN_ANOTHER_ORDER : undefined,
    });
}

function ofLayer(name: string, error: unknown): unknown {
  if (!(error instanceof ImgmvError) || error.code !== 'integrity') return error;
  const message = `the layer ${JSON.stringify(name)}: ${error.message}`;
  return integrity(message, { cause: error, hint: error.hint });
}
