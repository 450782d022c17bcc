/** Which images `send` and `plan` are about, and the name that one of them gets. */
import { picksNothing, type Selection } from '../agent/choose/selection.ts';
import type { Pick } from '../agent/ends/origin.ts';
import { familiar, parseTarget as parseName } from '../agent/model/reference.ts';
import { ImgmvError } from '../proto/errors.ts';
import { pickImages } from './picker.ts';
import { requirePickedOnce, requireStdinOnce } from './places.ts';
import type { SenderFlags } from './sender-options.ts';

/** Of the one image. Throws usage where there cannot be one. */
export function nameGiven({ as, images = [] }: SenderFlags): string | undefined {
  if (as === undefined) return undefined;
  if (images.length > 1)
    throw new ImgmvError('usage', `--as gives one name, and there are ${images.length} images`);
  return familiar(parseName(as, '--as'));
}

/** Undefined where the selection says it all. Throws usage where nobody does, and nobody can be asked. */
export function pickerFor(
  flags: SenderFlags,
  selection: Selection,
  probe: () => Promise<void>,
  signal: AbortSignal,
): Pick | undefined {
  const { from, json, quiet } = flags;
  if (from) requirePickedOnce(from, selection);
  if (from || !picksNothing(selection)) return undefined;
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY || requireStdinOnce(flags) || json || quiet)
    throw new ImgmvError('usage', 'no image is named', {
      hint: 'name one or more, or give --all for all that have a name',
    });
  return async (there) => {
    // Nobody picks images for a host that is not there; whether there are any to pick is known here.
    if (there.length > 0) await probe();
    return pickImages(there, { input, output, signal });
  };
}
