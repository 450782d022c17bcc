import { expect, it } from 'vitest';
import { onAbort } from '../../../agent/streams/on-abort.ts';

it('stops when the signal is aborted, or at once where it has been', () => {
  const controller = new AbortController();
  const stopped: string[] = [];
  onAbort(controller.signal, () => stopped.push('first'));
  expect(stopped).toEqual([]);
  controller.abort();
  onAbort(controller.signal, () => stopped.push('second'));
  expect(stopped).toEqual(['first', 'second']);
});

it('stops nothing any more once it is disposed of', () => {
  const controller = new AbortController();
  const stopped: string[] = [];
  {
    using _ = onAbort(controller.signal, () => stopped.push('late'));
  }
  controller.abort();
  using _ = onAbort(undefined, () => stopped.push('never'));
  expect(stopped).toEqual([]);
});
