/** What the built program shows of text that comes from the other side: as lines, as JSON, and on a terminal. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { escapeText } from '../../cli/escape.ts';
import { generateCode } from '../../proto/code.ts';
import { encodeHeader } from '../../proto/entry.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { testImage } from '../memory.ts';
import { webSocketServer } from '../proto/wire.ts';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, type ImgmvOptions, type Place, runImgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { UNSAFE } from '../unsafe-text.ts';
import { type Program, program } from './built.ts';
import { ScriptedReceiver, ScriptedSender } from './hosts.ts';

const PIECES = {
  'a title for the window': '\u001b]0;owned\u0007',
  'a cleared screen': '\u001b[2J',
  'the same in one byte': '\u009b2J',
  'a line of ours': '\nimgmv: all is well\r',
  'what was written goes back': '\b\b\u007f',
  'right to left': '\u202egnp\u2066',
  'marks that are not seen': '\u200b\u200f\u2060\ufeff',
  'other line ends': '\u0085\u2028\u2029',
  'tags that are not seen': '\u{e0041}\u{e007f}',
  'fillers that are not seen': '\u3164\uffa0\u034f\ufe0f\u2800',
  'spaces but the blank': '\u00a0\u2003\u3000',
  'what has no meaning': '\ue000\u{10fffd}\u0378\ud800',
  'a heap of marks': 'Z\u0301\u0301\u0301\u0334\u0335 \u0338',
};
const CORPUS = Object.values(PIECES).join('');
/** Whatever of it would act or hide; three marks on a letter are text. */
const RAW = [...CORPUS].filter((character) => !/[ -~]|\u0301/.test(character));
/** Ours: line ends, and on a terminal what moves the cursor for the bars. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
const OURS = /\r?\n|\u001b\[(?:\?(?:25|7)[lh]|\d*[ABCDGK]|0?J|[0-9;]*m)/g;

const modes: readonly (readonly [string, readonly string[], Place | undefined])[] = [
  ['as lines', [], undefined],
  ['as JSON', ['--json'], undefined],
  ['on a terminal', [], terminal()],
];

/** Runs a command on a pseudo-terminal: all that it writes is standard output then. */
function terminal(): Place {
  return {
    argv: (command) => {
      const line = command.map((word) => `'${word}'`).join(' ');
      return ['script', '--quiet', '--flush', '--return', '--command', line, '/dev/null'];
    },
  };
}

/** How the host name reads where words are said to be of that host. */
const ESCAPED = escapeText(CORPUS);

/** Fails if anything of the corpus stands in what was shown as it is, or if none of it was shown. */
function expectText({ stdout, stderr }: Imgmv, json: boolean): void {
  const shown = (stdout + stderr).replaceAll(OURS, '');
  expect(RAW.filter((character) => character !== '\n' && shown.includes(character))).toEqual([]);
  expect(shown.replaceAll('\n', '')).not.toMatch(UNSAFE);
  expect(shown).toContain('\\u001b]0;owned\\u0007');
  expect(shown).toContain('\\u202egnp');
  expect(stdout + stderr).not.toMatch(/^imgmv: all is well/m);
  if (!json) return;
  const said = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  // Whoever reads the lines as JSON gets the text as it was.
  expect(JSON.stringify(said)).toContain(JSON.stringify(CORPUS).slice(1, -1));
}

/** Lines that a terminal of 80 columns has broken, as one. */
function unwrapped(text: string): string {
  return text.replaceAll(/\r?\n {2,}/g, ' ');
}

/** As it stands within a line of JSON. */
function inJson(text: string): string {
  return escapeText(JSON.stringify(text).slice(1, -1));
}

describeOn(
  'text from the other side',
  [await engineSupport('20'), await supportOf(() => run(['script', '--version']))],
  () => {
    let engine: Engine;
    let built: Program;
    let scripts = 0;

    beforeAll(async () => {
      engine = await startEngine({ flavour: '20' });
      built = await program(engine);
      await loadImage(engine, { name: 'web:1.0', layers: [{ 'srv/v': '1' }] });
    });
    afterAll(async () => {
      await built?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
    });

    /** A script that `imgmv send` has paired with. */
    const scriptedReceiver = async (
      flags: readonly string[] = ['--json'],
      options: ImgmvOptions = {},
      hello: object = {},
    ) => {
      const code = generateCode();
      const server = await webSocketServer();
      const codeFile = join(built.directory, `code-of-script-${++scripts}`);
      await writeFile(codeFile, code.reveal());
      const to = ['--to', `127.0.0.1:${server.port}`, '--code-file', codeFile];
      const imgmv = runImgmv(
        ['send', 'web:1.0', ...flags, ...to, '--docker-host', engine.dockerHost],
        options,
      );
      const peer = await ScriptedReceiver.pair(server, code, hello);
      const dispose = async () => {
        await imgmv[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      };
      return { imgmv, peer, [Symbol.asyncDispose]: dispose };
    };
    const scriptedSender = async () => {
      const { imgmv, port, code, ...receiver } = await built.receive();
      const peer = await ScriptedSender.pairBy(port, code);
      return { imgmv, peer, [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose]() };
    };

    describe.each(modes)('%s', (_mode, flags, host) => {
      const options = host === undefined ? {} : { host, env: { TERM: 'xterm' } };
      const json = flags.includes('--json');

      it('acts on no receiver: host name, platform, and why an image failed', async () => {
        await using receiver = await built.receive(['--once', ...flags], options);
        const engineOf = {
          kind: CORPUS,
          version: CORPUS,
          store: 'classic',
          os: 'linux',
          architecture: CORPUS,
        };
        const evil = await ScriptedSender.pairBy(receiver.port, receiver.code, {
          name: CORPUS,
          software: CORPUS,
          engine: engineOf,
        });
        const image = await testImage({ name: 'evil:1' });
        const platform = { os: 'linux', architecture: CORPUS, variant: CORPUS };
        await evil.offer([image], { platform });
        const error = { code: 'refused', message: `why ${CORPUS}`, hint: CORPUS };
        await evil.say({ type: 'failed', item: 0, error });
        const lane = await evil.lane();
        await lane.write(encodeHeader({ type: 'end', item: 0, blobs: 0, complete: false }));
        await evil.hear('result');
        await evil.say({ type: 'finish' });
        await Promise.all([evil.end(), lane.end()]);
        expect((await receiver.imgmv.exit).code).toBe(16);
        expectText(receiver.imgmv, json);
        const all = unwrapped(receiver.imgmv.stdout + receiver.imgmv.stderr);
        const [name, words] = json ? [inJson(CORPUS), inJson(CORPUS)] : [ESCAPED, ESCAPED];
        expect(all).toContain(`on ${name}: why ${words}`);
        expect(all).toContain(`hint from ${name}: ${words}`);
      });

      it('acts on no sender: host name, reason, warning, and why an image failed', async () => {
        await using script = await scriptedReceiver(flags, options, { name: CORPUS, software: CORPUS });
        const { imgmv: sender, peer: evil } = script;
        const { items } = await evil.hear('offer');
        const names = items[0]?.names;
        const texts = { reason: CORPUS, warning: CORPUS };
        await evil.say({
          type: 'answer',
          items: [{ item: 0, action: 'refuse', names, ...texts }],
          last: true,
        });
        const error = { code: 'refused', message: `why ${CORPUS}`, hint: CORPUS };
        await evil.say({ type: 'result', item: 0, status: 'refused', names, error });
        await evil.hear('finish');
        await evil.end();
        expect((await sender.exit).code).toBe(16);
        expectText(sender, json);
        const said = json ? inJson(CORPUS) : ESCAPED;
        expect(unwrapped(sender.stdout + sender.stderr)).toContain(`on ${said}: ${said}`);
      });
    });

    it.each(['usage', 'internal', 'wrong-code', 'version-mismatch'])(
      'that an image failed with %s is no status of a receiver: 11',
      async (code) => {
        await using receiver = await built.receive();
        const evil = await ScriptedSender.pairBy(receiver.port, receiver.code);
        await evil.offer([await testImage({ name: 'evil:1' })]);
        await evil.say({ type: 'failed', item: 0, error: { code, message: 'why' } });
        const lane = await evil.lane();
        await lane.write(encodeHeader({ type: 'end', item: 0, blobs: 0, complete: false }));
        const { error } = await evil.hear('result');
        expect(error?.code).toBe('peer-failed');
        await evil.say({ type: 'finish' });
        await Promise.all([evil.end(), lane.end()]);
        expect((await receiver.imgmv.exit).code).toBe(11);
        expect(await receiver.imgmv.waitFor('image')).toMatchObject({
          error: { code: 'peer-failed', message: 'on test host: why' },
        });
      },
    );

    it.each(['usage', 'internal', 'wrong-code', 'version-mismatch'])(
      'that an image failed with %s is no status of a sender: 11',
      async (code) => {
        await using evil = await scriptedReceiver();
        const { items } = await evil.peer.hear('offer');
        const names = items[0]?.names;
        const answer = { item: 0, action: 'present', names };
        await evil.peer.say({ type: 'answer', items: [answer], last: true });
        const error = { code, message: 'why', hint: 'do' };
        await evil.peer.say({ type: 'result', item: 0, status: 'failed', names, error });
        await evil.peer.hear('finish');
        await evil.peer.end();
        expect((await evil.imgmv.exit).code).toBe(11);
        expect(await evil.imgmv.waitFor('image')).toMatchObject({
          error: { code: 'peer-failed', message: 'on test host: why', hint: 'hint from test host: do' },
        });
      },
    );

    it.each([
      ['usage', 'sender'],
      ['internal', 'sender'],
      ['usage', 'receiver'],
      ['internal', 'receiver'],
    ] as const)('that it closes with %s is no status of a %s: 11', async (code, role) => {
      await using evil = await (role === 'sender' ? scriptedReceiver() : scriptedSender());
      evil.peer.control.lane.fail(new ImgmvError(code, 'why'));
      expect((await evil.imgmv.exit).code).toBe(11);
      expect(await evil.imgmv.waitFor('error')).toMatchObject({ code: 'peer-failed', exit: 11 });
    });
  },
  { required: true },
);
