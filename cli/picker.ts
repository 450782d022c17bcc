/** On a terminal: images to pick from a list, with a search in it. It draws on its output alone, and knows no engine. */
import { AutocompletePrompt, isCancel, updateSettings } from '@clack/core';
import { merged } from '../agent/choose/meant.ts';
import type { Chosen, Listed } from '../agent/model/catalogue.ts';
import { ImgmvError } from '../proto/errors.ts';
import { PickerFrame, type PickerLine } from './picker-frame.ts';
import { Screen, type TerminalIo } from './screen.ts';
import { interrupt } from './stop.ts';

export type PickerRow = Pick<Listed, 'id' | 'names' | 'bytes' | 'created'>;

type Option = { readonly value: number; readonly line: PickerLine };
type Key = { readonly name?: string | undefined };

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

/**
 * Ids and names that were picked, in the order shown: an image has a line for each of its names. Throws usage when
 * nothing was picked or it was given up (Esc, Ctrl-D), and the reason of `signal` when stopped; Ctrl-C becomes a
 * SIGINT of this process.
 */
export async function pickImages(
  rows: readonly PickerRow[],
  { input, output, signal }: TerminalIo,
): Promise<readonly Chosen[]> {
  signal.throwIfAborted();
  if (!input.isTTY || !output.isTTY)
    throw new ImgmvError('usage', 'there is no terminal to pick images on', { hint: 'name the images' });
  const lines = rows.flatMap(({ id, names, bytes, created }): readonly PickerLine[] =>
    names.length === 0 ? [{ id, bytes, created }] : names.map((name) => ({ id, name, bytes, created })),
  );
  if (lines.length === 0) throw new ImgmvError('usage', 'there are no images to pick from');
  const picked = await ask(lines, { input, output, signal });
  signal.throwIfAborted();
  const chosen = lines.filter((_line, index) => picked.includes(index));
  if (chosen.length === 0) throw new ImgmvError('usage', 'no image was picked');
  return merged(chosen.map(({ id, name }) => ({ id, names: name === undefined ? [] : [name] })));
}

/** Indexes of lines; none when it was given up. */
async function ask(
  lines: readonly PickerLine[],
  { input, output, signal }: TerminalIo,
): Promise<readonly number[]> {
  updateSettings({ aliases: { [CTRL_D]: 'cancel' } });
  const gone = new AbortController();
  const onEnd = () => gone.abort();
  using screen = new Screen(output);
  const frame = new PickerFrame(lines, screen);
  const prompt = new ImagePrompt({
    multiple: true,
    options: lines.map((line, value) => ({ value, line })),
    filter: (search, { line }) => frame.matches(line, search),
    validate: (value) =>
      Array.isArray(value) && value.length > 0 ? undefined : 'Nothing is marked: Space marks a line.',
    input,
    output: screen,
    signal: AbortSignal.any([signal, gone.signal]),
    render() {
      return frame.draw({
        state: this.state,
        error: this.error,
        search: this.userInput,
        shown: this.filteredOptions.map(({ line }) => line),
        cursor: this.cursor,
        marked: new Set(this.selectedValues.flatMap((value) => lines[value] ?? [])),
      });
    },
  });
  let interrupted = false;
  prompt.on('key', (character: string | undefined) => {
    interrupted = character === CTRL_C;
  });
  input.once('end', onEnd);
  const answer = await prompt.prompt().finally(() => input.off('end', onEnd));
  if (interrupted) await stopped(signal);
  return isCancel(answer) || !Array.isArray(answer) ? [] : answer;
}

/** Resolves when the SIGINT has arrived. */
async function stopped(signal: AbortSignal): Promise<void> {
  const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  // What is pending keeps no process alive: without this it might end before the signal comes.
  const awake = setInterval(() => {}, 1_000);
  interrupt();
  await aborted;
  clearInterval(awake);
}

/** Names of images have no spaces: Space always marks, not only after an arrow key. */
class ImagePrompt extends AutocompletePrompt<Option> {
  constructor(options: ConstructorParameters<typeof AutocompletePrompt<Option>>[0]) {
    super(options);
    this.on('key', (_character: string | undefined, { name }: Key) => {
      if (name === 'space' && !this.isNavigating && this.focusedValue !== undefined)
        this.toggleSelected(this.focusedValue);
    });
  }

  protected override _isActionKey(character: string | undefined, { name }: Key): boolean {
    return character === '\t' || name === 'space';
  }
}
