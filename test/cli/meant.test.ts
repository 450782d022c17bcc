/** What is said of a command line that nobody can follow, by what was most likely meant. */
import { describe, expect, it } from 'vitest';
import { namesKind } from '../../agent/ends/endpoint.ts';
import {
  commandLineError,
  hostOfSshPlace,
  meantHost,
  missingHostHint,
  missingImageHint,
  placesHint,
} from '../../cli/meant.ts';

const OPTIONS = new Map([
  ['--all', ['send', 'plan']],
  ['--to', ['send', 'plan', 'doctor']],
  ['--code-file', ['send']],
  ['--report', ['send', 'copy']],
  ['--version', []],
]);

function errorOf(text: string, args: readonly string[] = []): string {
  return commandLineError(text, { args, options: OPTIONS });
}

describe('what was meant on the command line', () => {
  it.each([
    ['me@b', 'b'],
    ['me@b:7400', 'b:7400'],
    ['ssh://me@b:22/srv', 'b'],
    ['ssh://b', 'b'],
    ['b:/srv', 'b'],
    ['me@b:dir/x', 'b'],
    ['b/dir', 'b'],
    ['me@[fd00::1]:/x', '[fd00::1]'],
    ['b', undefined],
    ['b:7400', undefined],
    ['a b', undefined],
  ])('%s is the host %s', (text, host) => {
    expect(hostOfSshPlace(text)).toBe(host);
  });

  it.each([
    [['web:1.0', 'host-b'], 'imgmv send web:1.0 --to host-b'],
    [['web:1.0', "it's", '10.0.0.2:7400'], "imgmv send web:1.0 'it'\\''s' --to 10.0.0.2:7400"],
    [['me@host-b'], 'imgmv send --to host-b'],
    [['web:1.0', 'me@host-b:/srv'], 'imgmv send web:1.0 --to host-b'],
    [['web:1.0'], undefined],
    [['web:1.0', 'db:16'], undefined],
    [['web:1.0', 'registry.example/team/db:16'], undefined],
    [[`web@sha256:${'ab'.repeat(32)}`], undefined],
    [[], undefined],
  ])('of %j as images without a host: %s', (images, meant) => {
    const hint = missingHostHint('send', images);
    expect(hint).toMatch(/^name the one where `imgmv receive` waits/);
    expect(/did you mean `(.*)`\?$/.exec(hint)?.[1]).toBe(meant);
  });

  it.each([
    [['move.yaml'], 'imgmv send --move move.yaml'],
    [['web:1.0', 'shop/compose.yml'], 'imgmv send --compose shop/compose.yml'],
    [['docker-compose.prod.yaml'], 'imgmv send --compose docker-compose.prod.yaml'],
    [['web.tar.zst'], 'imgmv send --from docker-archive:web.tar.zst'],
    [['images.txt'], 'imgmv send --file images.txt'],
  ])('of %j, which is a file: %s', (images, meant) => {
    expect(missingHostHint('send', images)).toMatch(`did you mean \`${meant}\`? name the one where`);
  });

  it.each([
    [['web', 'move.yaml'], '--move move.yaml'],
    [['web', '7400'], '--to host-b:7400'],
    [['web', '70000'], undefined],
    [['web:1.0'], undefined],
  ])('of %j, of which one is no image: %s', (images, meant) => {
    const hint = missingImageHint(images, new URL('ws://host-b:7373/'));
    expect(hint).toBe(meant && `did you mean \`${meant}\`?`);
  });

  it.each([
    [['-v'], "unknown option '-v'", '`imgmv -V` shows the version; .*--verbose'],
    [['send', 'web', '-to', 'b'], "unknown option '-to'", 'did you mean --to?'],
    [['send', '-all', '--to', 'b'], "unknown option '-ll'", 'did you mean --all?'],
    [['doctor', '--to', 'b', '7400'], 'too many arguments for', 'did you mean `--to b:7400`?'],
    [['foo'], "unknown command 'foo'", '`imgmv help` lists all commands'],
    [['ls', '--to', 'b'], "unknown option '--to'", '`imgmv ls` lists the images of this host; .*plan --to'],
    [
      ['copy', '--to', 'b'],
      "unknown option '--to'",
      '`imgmv copy` stays on this host; .*send NAME --to HOST',
    ],
    [
      ['clean', '--to=b'],
      "unknown option '--to=b'",
      'it is an option of `imgmv send`, `imgmv plan`, .*doctor',
    ],
    [
      ['plan', '--report', 'x.md'],
      "unknown option '--report'",
      '`imgmv send`, where --confirm shows the plan .* asks',
    ],
    [['send', '--version'], "unknown option '--version'", 'did you mean `imgmv --version`?'],
    [['send', '-f', 'x'], "unknown option '-f'", '`--file FILE` takes .* `--compose FILE`'],
  ])('%j is told what was meant', (args, error, says) => {
    const text = `error: ${error}${error.endsWith('for') ? " 'doctor'. Expected 0 arguments but got 1." : ''}\n`;
    const last = errorOf(text, args).trimEnd().split('\n').at(-1);
    if (says.includes('.*')) expect(last).toMatch(new RegExp(says));
    else expect(last).toBe(says);
  });

  it('a wrong letter behind one dash is no option of another name', () => {
    const text = "error: unknown option '-x'\n";
    expect(errorOf(text, ['send', '-x'])).toBe(text);
  });

  it.each([
    [['web:1.0', 'FILE'], 'docker-daemon:web:1.0 docker-archive:FILE'],
    [['web:1.0', 'web.tar.zst'], 'docker-daemon:web:1.0 docker-archive:web.tar.zst'],
    [['./web.tar', 'web:2.0'], 'docker-archive:./web.tar docker-daemon:web:2.0'],
    [['web:1.0', '-'], 'docker-daemon:web:1.0 docker-archive:-'],
    [['./web.tar', 'docker-daemon'], 'docker-archive:./web.tar docker-daemon:'],
    [['web:1.0', 'oci:dir'], 'docker-daemon:web:1.0 oci:dir'],
    [['web'], 'docker-daemon:web'],
  ])('of %j as places', (places, meant) => {
    expect(placesHint(places, namesKind)).toContain(`did you mean \`imgmv copy ${meant}\`?`);
  });

  it('repeats no code', () => {
    const said = errorOf("error: unknown option '--code=one-two-three'\n");
    expect(said).toMatch(/^error: unknown option '--code'\na code is never .*--code-file FILE\n$/);
    expect(errorOf("error: unknown option '--port=7400'\n(Did you mean --report?)\n")).toMatch(
      /^error: unknown option '--port'\n`imgmv receive --listen :PORT` .*`--to HOST:PORT`/,
    );
    expect(errorOf("error: unknown option '--dry-run'\n")).toMatch(/\n`imgmv plan` shows/);
    const more = "error: too many arguments for 'receive'. Expected 0 arguments but got 1.\n";
    expect(errorOf(more)).toMatch(/got 1\.\n`imgmv receive` takes no image: .*--accept/);
    const other = "error: unknown option '--code-flie'\n(Did you mean --code-file?)\n";
    expect(errorOf(other)).toBe("error: unknown option '--code-flie'\ndid you mean --code-file?\n");
  });
});

it.each([
  ['http://host-b', 'Write the host only: host-b; or ws://host-b for a proxy.'],
  [
    'https://images.example/x?y=1',
    'Write the host only: images.example; or wss://images.example for a proxy.',
  ],
])('%s in place of a host', (text, says) => {
  expect(meantHost(text)).toContain(says);
});
