import { describe, expect, it } from 'vitest';
import { parseList, readList } from '../../../agent/choose/list-file.ts';

const texts = (list: string) => parseList(list, 'images.txt').map(({ text }) => text);

async function* chunks(...parts: readonly string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part, 'latin1');
}

describe('a list', () => {
  it('has an image a line, with comments, blanks and the ends of lines of other systems', () => {
    const list = '\ufeffweb:1.0\r\n\n  # all of these\n\tteam/*  # but not\n#x\ndb:15,16\nweb:/a#b/';
    expect(texts(list)).toEqual(['web:1.0', 'team/*', 'db:15', 'db:16', 'web:/a#b/']);
  });

  it('needs no newline at its end, and takes what comes in pieces', async () => {
    const list = await readList(chunks('web:', '1.0\nd', 'b:16'), 'the list');
    expect(list.map(({ text }) => text)).toEqual(['web:1.0', 'db:16']);
  });

  it.each(['', '\n\n', '# nothing\n', '\ufeff'])('that names no image, %j, has none to be found', (list) => {
    expect(() => parseList(list, 'images.txt')).toThrow(
      expect.objectContaining({ code: 'image-not-found', message: 'images.txt names no image' }),
    );
  });

  it('says in which line something is wrong', () => {
    expect(() => texts('web:1.0\n\nweb:/(/\n')).toThrow(/^images\.txt, line 3: "web:\/\(\/" names no image/);
    expect(() => texts('web:1.0\nweb:/(/')).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('is bounded', async () => {
    const line = `${'a'.repeat(99)}\n`;
    const just = await readList(chunks(...Array<string>(10_485).fill(line)), 'images.txt');
    expect(just).toHaveLength(10_485);
    await expect(readList(chunks(...Array<string>(10_486).fill(line)), 'images.txt')).rejects.toMatchObject({
      code: 'usage',
      message: 'images.txt is longer than a list of images may be: 1048576 bytes',
    });
  });
});
