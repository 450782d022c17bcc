/** Moves that are described in a file, through the whole program: what is refused, and what the file and options say together. */

import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ReportData } from '../../cli/report/model.ts';
import { generateCode } from '../../proto/code.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type ImgmvOptions, runImgmv, toldBy } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { told } from './moved.ts';
import { expectEnd, type Receiver, type Scene, startScene } from './scene.ts';
import { namesAt } from './server.ts';

/** Whoever connects to it has gone too far. */
interface Trap extends AsyncDisposable {
  readonly visitors: number;
}

async function trapAt(listen: (server: Server) => void): Promise<{ trap: Trap; port: number }> {
  let visitors = 0;
  const server = createServer((socket) => {
    visitors++;
    socket.destroy();
  });
  listen(server);
  await once(server, 'listening');
  const trap = {
    get visitors() {
      return visitors;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
  return { trap, port: (server.address() as AddressInfo).port };
}

interface Refusal {
  readonly title: string;
  /** `HOST` and `ENGINE` are traps. */
  readonly yaml: string;
  readonly args?: readonly string[];
  readonly input?: string;
  readonly says: RegExp;
}

const GOOD = 'to: HOST\ndocker-host: ENGINE\ncode-file: code\n';

const refusals: readonly Refusal[] = [
  {
    title: 'several mistakes, each with its place, all at once',
    yaml: `${GOOD}project: 1.10\nimags: web\nconnect-timeout: 15x\n`,
    says: new RegExp(
      [
        '^imgmv: move\\.yaml:4:1: project needs registry beside it',
        '  move\\.yaml:4:10: project is the number 1\\.10, expected .*; in quotes it is text: "1\\.10"',
        '  move\\.yaml:5:1: "imags" is not a key of a move file: did you mean images\\?',
        '  move\\.yaml:6:18: connect-timeout "15x": expected a duration such as .*',
        '  `imgmv help move` shows every key, .*\n$',
      ].join('\n'),
    ),
  },
  {
    title: 'an empty file',
    yaml: '',
    says: /^imgmv: move\.yaml:1:1: nothing is in it, expected .* to: host-b\n/,
  },
  {
    title: 'no host in either',
    yaml: 'images: web\n',
    says: /^imgmv: no host to .*\n {2}name .* --to HOST, or to: in/,
  },
  {
    title: 'no image in either',
    yaml: GOOD,
    says: /^imgmv: no image is named\n {2}name one or more, or give --all/,
  },
  {
    title: 'one name for an image of the file and one of the command line',
    yaml: `${GOOD}images: web\nas: x\n`,
    args: ['db'],
    says: /^imgmv: --as gives one name, and there are 2 images\n/,
  },
  {
    title: 'a name beside rules for names',
    yaml: `${GOOD}images: web\nregistry: registry.example\n`,
    args: ['--as', 'x'],
    says: /^imgmv: --as and --registry exclude each other: both name the image\n/,
  },
  {
    title: 'a list on standard input, beside a file from there',
    yaml: '',
    args: ['--move', '-', '--file', '-', '--to', 'HOST'],
    input: GOOD,
    says: /^imgmv: standard input cannot be the move file and the list of images\n/,
  },
  {
    title: 'the code on standard input, beside a file from there',
    yaml: '',
    args: ['--move', '-', '--code-file', '-'],
    input: `${GOOD}images: web\n`,
    says: /^imgmv: standard input cannot be the move file and the pairing code\n/,
  },
  {
    title: 'a file from standard input that wants the code from there',
    yaml: '',
    args: ['--move', '-'],
    input: 'to: HOST\nimages: web\ncode-file: "-"\n',
    says: /^imgmv: standard input:3:12: code-file is standard input, which is this file already\n/,
  },
  {
    title: 'a compose file on standard input',
    yaml: `${GOOD}compose: "-"\n`,
    says: /^imgmv: a compose file is not read from standard input\n/,
  },
  {
    title: 'a list that is not there, looked for beside the file',
    yaml: `${GOOD}file: lists/none.txt\n`,
    says: /^imgmv: cannot read the list \S+\/moves\/lists\/none\.txt: there is no directory \S+\/moves\/lists\n {2}check the path\n/,
  },
];

describe('a move file that is not good', () => {
  let scratch: ScratchDirectory;
  let host: { trap: Trap; port: number };
  let engine: { trap: Trap; port: number };

  beforeEach(async () => {
    scratch = await scratchDirectory();
    await mkdir(join(scratch.path, 'moves'));
    host = await trapAt((server) => server.listen(0, '127.0.0.1'));
    engine = await trapAt((server) => server.listen(join(scratch.path, 'docker.sock')));
    await writeFile(join(scratch.path, 'moves/code'), `${generateCode().reveal()}\n`, { mode: 0o600 });
  });
  afterEach(async () => {
    await host.trap[Symbol.asyncDispose]();
    await engine.trap[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
  });

  const filled = (text: string) =>
    text
      .replaceAll('HOST', `127.0.0.1:${host.port}`)
      .replaceAll('ENGINE', `unix://${join(scratch.path, 'docker.sock')}`);

  describe.each(['send', 'plan'])('%s', (command) => {
    it.each(refusals)('$title', async ({ yaml, args = [], input, says }) => {
      const cwd = join(scratch.path, 'moves');
      await writeFile(join(cwd, 'move.yaml'), filled(yaml));
      const move = args.includes('--move') ? [] : ['--move', 'move.yaml'];
      const options = { cwd, ...(input !== undefined && { input: filled(input) }) };
      await using imgmv = runImgmv(
        [command, ...move, ...args.map((arg) => (arg === '--to' ? arg : filled(arg)))],
        options,
      );
      await expectEnd(imgmv, 2, says);
      expect(imgmv.stdout).toBe('');
      expect([host.trap.visitors, engine.trap.visitors]).toEqual([0, 0]);
    });
  });

  it('is one event with --json, whose message has a line for each mistake', async () => {
    await writeFile(join(scratch.path, 'move.yaml'), 'to: 5\nimags: x\n');
    await using imgmv = runImgmv(['send', '--move', 'move.yaml', '--json'], { cwd: scratch.path });
    expect((await imgmv.exit).code).toBe(2);
    expect([imgmv.stderr, await toldBy(imgmv)]).toEqual([
      '',
      [
        expect.objectContaining({
          event: 'error',
          code: 'usage',
          exit: 2,
          message: expect.stringMatching(/^move\.yaml:1:5: .*\nmove\.yaml:2:1: [^\n]*$/),
        }),
      ],
    ]);
  });
});

describeOn(
  'a move file with engines',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      for (const name of ['web:1.0', 'db:16', 'dev:1'])
        await loadImage(scene.source, { name, layers: [{ name }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      const names = await namesAt(scene.target);
      if (names.length > 0) await scene.target.docker(['image', 'rm', '--force', ...names]);
    });

    const at = (name: string) => join(scene.directory, name);
    const lines = (...all: readonly string[]) => [...all, ''].join('\n');
    const run = (args: readonly string[], options?: ImgmvOptions) => runImgmv([...args, '--json'], options);
    const to = ({ port }: Receiver) => `to: 127.0.0.1:${port}`;
    const engine = () => `docker-host: ${scene.source.dockerHost}`;

    it('comes from standard input, with the code from a file, and paths are those of the current directory', async () => {
      await using receiver = await scene.receive();
      const input = lines(to(receiver), engine(), 'file: list.txt', 'report: report.json');
      await writeFile(at('list.txt'), 'web:1.0 # the web\n');
      const args = ['send', '--move', '-', '--code-file', receiver.codeFile];
      await using sender = run(args, { input, cwd: scene.directory });
      await told(sender, receiver);
      expect(await namesAt(scene.target)).toEqual(['web:1.0']);
      expect(await readFile(at('report.json'), 'utf8')).toContain('"web:1.0"');
    });

    it('has paths that are relative to it, wherever it is used', async () => {
      await mkdir(at('moves/lists'), { recursive: true });
      await mkdir(at('moves/shop'));
      await writeFile(at('moves/lists/a.txt'), 'web:1.0\n');
      await writeFile(at('moves/shop/compose.yaml'), 'services: {db: {image: "db:16"}}\n');
      await using receiver = await scene.receive();
      await writeFile(at('moves/code'), await readFile(receiver.codeFile), { mode: 0o600 });
      const more = ['file: lists/a.txt', 'compose: shop', 'report: out.json', 'code-file: code'];
      await writeFile(at('moves/move.yaml'), lines(to(receiver), engine(), ...more));
      await using sender = run(['send', '--move', at('moves/move.yaml')], { cwd: '/' });
      await told(sender, receiver);
      expect(await namesAt(scene.target)).toEqual(['db:16', 'web:1.0']);
      const { exit } = JSON.parse(await readFile(at('moves/out.json'), 'utf8')) as ReportData;
      expect(exit).toBe(0);
    });

    it('is overruled by options, and its lists are added to', async () => {
      await using receiver = await scene.receive();
      const no = [
        'to: 127.0.0.1:1',
        'docker-host: unix:///nowhere',
        'code-file: none',
        'registry: old.example',
      ];
      const lists = ['images: [web:1.0, dev:1]', 'except: "web:9"', 'retag: "db=of-file"'];
      await writeFile(at('move.yaml'), lines(...no, ...lists, 'project: old', 'report: old.json', 'jobs: 1'));
      const where = ['--to', `127.0.0.1:${receiver.port}`, '--docker-host', scene.source.dockerHost];
      const more = ['--code-file', receiver.codeFile, '--registry', 'new.example', '--project', 'new'];
      const rest = [
        '--report',
        at('new.json'),
        '--except',
        'dev:*',
        '--retag',
        'db=of-option',
        '--jobs',
        '2',
      ];
      await using sender = run(['send', '--move', at('move.yaml'), 'db:16', ...where, ...more, ...rest]);
      await told(sender, receiver);
      expect(await namesAt(scene.target)).toEqual(['new.example/new/web:1.0', 'of-option:16']);
      await expect(readFile(at('old.json'))).rejects.toThrow('ENOENT');
      expect(await readFile(at('new.json'), 'utf8')).toContain('of-option:16');
    });

    it('may have what plan has no use for', async () => {
      await using receiver = await scene.receive();
      const more = ['images: web:1.0', 'jobs: 3', 'retries: 1', 'level: 3', 'report: plan.json'];
      await writeFile(
        at('move.yaml'),
        lines(to(receiver), engine(), ...more, `code-file: ${receiver.codeFile}`),
      );
      await using plan = runImgmv(['plan', '--move', at('move.yaml')]);
      await expectEnd(plan, 0, /^IMAGE +PLATFORM/m);
      expect((await receiver.imgmv.exit).code).toBe(0);
      await expect(readFile(at('plan.json'))).rejects.toThrow('ENOENT');
    });
  },
  { required: true },
);
