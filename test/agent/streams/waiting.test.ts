/** Waiting for streams and promises, and reading what an engine answers. */
import { EventEmitter } from 'node:events';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { drained } from '../../../agent/streams/drained.ts';
import { JsonLines } from '../../../agent/streams/json-lines.ts';
import { settledWithin } from '../../../agent/streams/settled-within.ts';

describe('drained', () => {
  it.each(['drain', 'end', 'close'])('waits for %s, and leaves no listener behind', async (event) => {
    const stream = new EventEmitter();
    let over = false;
    const waiting = drained(stream).then(() => {
      over = true;
    });
    await Promise.resolve();
    expect(over).toBe(false);
    stream.emit(event);
    await waiting;
    expect(stream.eventNames()).toEqual([]);
  });

  it.each(['destroyed', 'readableEnded'])('does not wait for one that is %s', async (fact) => {
    await drained(Object.assign(new EventEmitter(), { [fact]: true }));
  });
});

describe('settledWithin', () => {
  it('waits no longer than for the promise', async () => {
    await settledWithin(Promise.resolve(), 60_000);
  });

  it('waits no longer than it may', async () => {
    await settledWithin(new Promise(() => {}), 1);
  });
});

describe('JSON lines', () => {
  const schema = v.object({ a: v.number() });
  const read = (...pieces: readonly string[]) => {
    const lines = new JsonLines(schema, 20);
    return [...pieces.flatMap((piece) => lines.read(piece)), ...lines.end()];
  };

  it('are the same wherever they are cut, and need no last end of line', () => {
    const text = '{"a":1}\r\n\n  {"a":2} \nnot JSON\n{"b":3}';
    const whole = read(text);
    expect(whole).toEqual([
      { text: '{"a":1}', value: { a: 1 } },
      { text: '{"a":2}', value: { a: 2 } },
      { text: 'not JSON', value: undefined },
      { text: '{"b":3}', value: undefined },
    ]);
    for (let at = 0; at <= text.length; at++) expect(read(text.slice(0, at), text.slice(at))).toEqual(whole);
  });

  it('of which one is too long are none, and hold no more than its beginning', () => {
    const long = `{"a":1,"b":"${'x'.repeat(100)}"}`;
    const [first, second, ...more] = read(...long, '\n{"a":2}');
    expect(first?.value).toBeUndefined();
    expect(first?.text.length).toBeLessThan(25);
    expect([second, more]).toEqual([{ text: '{"a":2}', value: { a: 2 } }, []]);
    expect(read(`${long}\n`)[0]?.value).toBeUndefined();
  });
});
