/** What an error looks like to people: text of a file may take several lines, and nobody else's does. */
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { errorEvent } from '../../agent/events.ts';
import { problemsError } from '../../cli/move-file/problems.ts';
import { sourceNameOf } from '../../cli/names.ts';
import { TextRenderer } from '../../cli/renderer-text.ts';
import { ImgmvError } from '../../proto/errors.ts';

function rendered(error: ImgmvError): string {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  }) as unknown as NodeJS.WriteStream;
  new TextRenderer({ stream, result: stream, quiet: true, color: false }).render(errorEvent(error));
  return chunks.join('');
}

it('has a line for each problem of a move file, and shows what is in them', () => {
  const error = problemsError('move.yaml', [
    { line: 2, column: 1, text: 'second \u001b[2J' },
    { line: 1, column: 5, text: 'first' },
  ]);
  expect(rendered(error).split('\n').slice(0, 2)).toEqual([
    'imgmv: move.yaml:1:5: first',
    '  move.yaml:2:1: second \\u001b[2J',
  ]);
});

it('has one line of what an engine or another host says', () => {
  expect(rendered(new ImgmvError('engine-refused', 'no\nimgmv: all is well'))).toBe(
    'imgmv: no\\u000aimgmv: all is well\n',
  );
});

it('calls an image under way by one of its names', () => {
  const refs = ['a', 'b', 'c'].map((name) => ({ source: `${name}:1`, target: `r.example/${name}:1` }));
  const id = `sha256:${'ab'.repeat(32)}`;
  expect([
    sourceNameOf({ refs, id }),
    sourceNameOf({ refs: refs.slice(2), id }),
    sourceNameOf({ refs: [], id }),
  ]).toEqual(['a:1', 'c:1', 'abababababab']);
});
