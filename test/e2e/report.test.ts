/** `--report` with real engines: what it says of runs that end well, in part, by a signal, or not at all. */
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ReportData } from '../../cli/report/model.ts';
import { engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { told } from './moved.ts';
import { startMidway } from './relayed.ts';
import { expectEnd, expectGone, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
/** Nothing listens there: whoever gets as far as an engine fails otherwise. */
const NO_ENGINE = ['--docker-host', 'unix:///nowhere/docker.sock'];

describeOn(
  'reports',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    let web: LoadedImage;
    let old: LoadedImage;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      const base = { base: { bytes: 4 * MIB, seed: 1 } };
      web = await loadImage(scene.source, { name: 'web:1.0', layers: [base, { a: 'web' }] });
      await loadImage(scene.source, { name: 'db:16', layers: [base, { data: { bytes: 2 * MIB, seed: 2 } }] });
      await loadImage(scene.source, { name: 'big:1', layers: [{ big: { bytes: 48 * MIB, seed: 3 } }] });
      old = await loadImage(scene.target, { name: 'web:1.0', layers: [{ a: 'old' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    const at = (name: string) => join(scene.directory, name);
    const read = async (name: string) => JSON.parse(await readFile(at(name), 'utf8')) as ReportData;
    const report = (name: string) => ['--report', at(name)];
    const receive = (name: string, ...more: string[]) =>
      scene.receive({ args: ['--once', ...report(name), ...more] });
    const only = (events: readonly JsonEvent[], name: string) => events.filter(({ event }) => event === name);

    /** Fails unless the report has the numbers of the events. */
    const expectAgreement = async (file: string, events: readonly JsonEvent[]) => {
      const { images, totals, exit } = await read(file);
      const [plan] = only(events, 'plan');
      const planned = plan?.images as readonly JsonEvent[];
      const [done] = only(events, 'done');
      expect({ ...totals, exit }).toMatchObject({
        images: done?.images,
        bytes: done?.bytes,
        wireBytes: done?.wireBytes,
        exit: done?.exit,
      });
      expect(totals.failed + totals.refused).toBe(done?.failed);
      expect(images.map(({ id }) => id)).toEqual(planned.map(({ id }) => id));
      for (const event of only(events, 'image')) {
        const image = images.find(({ id }) => id === event.id);
        const { status, targetId, bytes, wireBytes, layersSent, layersSkipped } = event;
        const { startedAt, seconds, phases, kept, error } = event;
        const same = { status, targetId, bytes, wireBytes, layersSent, layersSkipped };
        expect(image).toMatchObject({ ...same, startedAt, seconds, phases, kept, error });
        const line = planned.find(({ id }) => id === event.id);
        const there = status === 'loaded' ? Number(line?.bytes) - Number(line?.bytesMissing) : 0;
        expect(image?.saved).toEqual({
          layers: there,
          compression: Math.max(0, Number(bytes) - Number(wireBytes)),
        });
      }
    };

    it('are written by both sides, with the numbers of the events', async () => {
      await using receiver = await receive('received.json');
      await using sender = scene.send(receiver, ['web:1.0', 'db:16', '--json', ...report('sent.json')]);
      await told(sender, receiver);
      const [sent, received] = [await read('sent.json'), await read('received.json')];
      await expectAgreement('sent.json', await toldBy(sender));
      await expectAgreement('received.json', await toldBy(receiver.imgmv));
      const engine = { kind: 'docker', version: scene.source.version, store: 'classic' };
      const host = hostname();
      expect([sent.command, received.command]).toEqual(['send', 'receive']);
      expect(sent).toMatchObject({
        version: 1,
        exit: 0,
        error: null,
        source: { host, address: null, engine },
        target: { host, address: `127.0.0.1:${receiver.port}`, engine },
        images: [
          {
            id: web.id,
            targetId: web.id,
            refs: [{ target: 'web:1.0', renamed: false, replaced: old.id.slice(7, 19) }],
          },
          // The base travelled with the other one.
          { status: 'loaded', layersSent: 1, layersSkipped: 1 },
        ],
      });
      expect(sent.images[1]?.saved.layers).toBeGreaterThan(4 * MIB - 10_000);
      expect(received).toMatchObject({ source: { host, engine }, target: { host, address: null, engine } });
      const { startedAt, endedAt, seconds } = sent;
      expect(Math.abs(Date.parse(endedAt) - Date.parse(startedAt) - seconds * 1000)).toBeLessThan(5_000);
      for (const { phases, seconds, startedAt } of sent.images) {
        expect(phases.transfer).toBeGreaterThan(0);
        expect(phases.load).toBeGreaterThan(0);
        expect(phases.transfer + phases.load).toBeLessThanOrEqual(seconds + 0.01);
        expect((startedAt ?? 0) + seconds).toBeLessThanOrEqual(sent.seconds);
      }
    });

    it('of a run that is done in part say what is not, and why', async () => {
      await scene.target.docker(['tag', old.id, 'db:16']);
      await using receiver = await receive('part-received.json', '--no-replace');
      const args = ['big:1', 'db:16', '--json', ...report('part.html')];
      await using sender = scene.send(receiver, args);
      await told(sender, receiver, 17);
      await expectAgreement('part-received.json', await toldBy(receiver.imgmv));
      const { images, error } = await read('part-received.json');
      expect(error).toBe(null);
      expect(images).toMatchObject([
        { status: 'loaded', error: null },
        { status: 'refused', error: { code: 'refused', message: expect.stringContaining('--no-replace') } },
      ]);
      const page = await readFile(at('part.html'), 'utf8');
      expect(page).toContain('Partly done');
      expect(page).toMatch(/<b>db:16<\/b>\s*<span class="status refused">refused<\/span>/);
      await scene.target.docker(['image', 'rm', 'big:1']);
    });

    it('of a run that was stopped say so, on both sides', async () => {
      const code = async (file: string) => (await readFile(file, 'utf8')).trim();
      await using midway = await startMidway(scene, 4 * MIB, {
        receiveArgs: report('other.json'),
        sendArgs: ['--json', '--as', 'team/big:2', ...report('stopped.json')],
      });
      const secret = await code(midway.receiver.codeFile);
      midway.sender.kill('SIGINT');
      midway.relay.release();
      await expectEnd(midway.sender, 130, /stopped by SIGINT/);
      await expectEnd(midway.receiver.imgmv, 11, /the other host stopped/);
      const stopped = await read('stopped.json');
      expect(stopped).toMatchObject({
        exit: 130,
        error: { code: 'sigint', exit: 130, message: 'stopped by SIGINT' },
        images: [{ refs: [{ source: 'big:1', target: 'team/big:2', renamed: true }], targetId: null }],
      });
      expect(stopped.images[0]?.status).toMatch(/^(failed|unfinished)$/);
      expect(await read('other.json')).toMatchObject({ exit: 11, images: [{ targetId: null }] });
      for (const file of ['stopped.json', 'other.json', 'part.html', 'sent.json'])
        expect(await readFile(at(file), 'utf8')).not.toContain(secret);
    });

    it('of a run that moved nothing tell the error', async () => {
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['no-such:1', ...report('none.md')]);
      await expectEnd(sender, 10, /no such image/);
      const text = await readFile(at('none.md'), 'utf8');
      expect(text).toMatch(/^# imgmv send: /);
      expect(text).toContain('**Failed, exit status 10.** Nothing has moved.');
      expect(text).toContain('Error: no such image on this host: "no-such:1"');
    });

    it('of a copy name both places, and replace what an earlier run wrote', async () => {
      const file = at('report dir/copied.md');
      await mkdir(join(file, '..'));
      for (const name of ['web:1.0', 'db:16']) {
        const to = `docker-archive:${at('copied.tar')}`;
        const where = ['--overwrite', '--docker-host', scene.source.dockerHost];
        await using copy = runImgmv(['copy', `docker-daemon:${name}`, to, ...where, '--report', file]);
        await expectEnd(copy, 0, /written|done/);
        const text = await readFile(file, 'utf8');
        expect(text).toContain(`| From | ${hostname()}, docker ${scene.source.version} (classic store) |`);
        expect(text).toContain(`docker-archive:`);
        expect(text).toContain(`| \`${name}\` | written |`);
        expect(text).not.toContain('On the wire');
      }
      expect(await readFile(file, 'utf8')).not.toContain('web:1.0');
      expect(await readdir(join(file, '..'))).toEqual(['copied.md']);
      expect((await stat(file)).mode & 0o777).toBe(0o644 & ~process.umask());
    });

    it('that cannot be written in the end cost an error and no image', async () => {
      await mkdir(at('gone'));
      await using receiver = await receive('gone/received.json');
      await rm(at('gone'), { recursive: true });
      await using sender = scene.send(receiver, ['web:1.0', '--json']);
      expect((await sender.exit).code).toBe(0);
      expect((await receiver.imgmv.exit).code).toBe(1);
      const events = await toldBy(receiver.imgmv);
      expect(events.at(-2)).toMatchObject({ event: 'done', failed: 0, exit: 0 });
      expect(events.at(-1)).toMatchObject({
        event: 'error',
        exit: 1,
        message: expect.stringMatching(/^cannot write the report .*received\.json: there is no directory /),
        hint: expect.stringContaining('only the report is missing'),
      });
      await expectGone(receiver);
      // What the run itself has earned is the better status.
      await mkdir(at('gone'));
      await using refusing = await receive('gone/received.json', '--no-replace');
      await rm(at('gone'), { recursive: true });
      await scene.source.docker(['tag', 'big:1', 'web:9']);
      await scene.target.docker(['tag', old.id, 'web:9']);
      await using refused = scene.send(refusing, ['web:9', '--json']);
      expect([(await refused.exit).code, (await refusing.imgmv.exit).code]).toEqual([16, 16]);
      expect((await toldBy(refusing.imgmv)).at(-1)).toMatchObject({ event: 'error', exit: 1 });
    });

    const places: readonly (readonly [name: string, says: RegExp, hint: RegExp])[] = [
      ['none/report.html', /there is no directory \S+\/none$/, /make that directory, or name another one/],
      ['report.txt', /cannot tell from its ending/, /FILE\.md, FILE\.html or FILE\.json/],
      ['report', /cannot tell from its ending/, /FILE\.md/],
      ['.html', /cannot tell from its ending/, /FILE\.md/],
      ['directory.md', /it is a directory/, /name another one/],
      ['somebody.json', /the file there is not a report/, /name another one, or remove it/],
      ['somebody.md', /the file there is not a report/, /name another one, or remove it/],
      ['/sys/report.html', /cannot write the report .*(permission|not permitted|read-only)/, /may write to/],
      ['-', /a report does not go to standard output/, /--report FILE\.md/],
    ];

    it.each(places)('are refused at %s before anything else', async (name, says, hint) => {
      await mkdir(at('directory.md'), { recursive: true });
      await writeFile(at('somebody.json'), '{"name":"imgmv"}');
      await writeFile(at('somebody.md'), '# imgmv in our team\n');
      const place = name.startsWith('/') || name === '-' ? name : at(name);
      const flags = ['--report', place, '--json', ...NO_ENGINE];
      const codeFile = at('never');
      const runs = [
        ['send', 'web:1.0', '--to', '127.0.0.1:1', '--code-file', '-'],
        ['receive', '--once', '--code-file', codeFile],
        ['copy', 'docker-daemon:web:1.0', `docker-archive:${at('never.tar')}`],
      ];
      for (const args of runs) {
        await using imgmv = runImgmv([...args, ...flags]);
        expect((await imgmv.exit).code, imgmv.stderr).toBe(2);
        const error = { event: 'error', code: 'usage', exit: 2 };
        const words = { message: expect.stringMatching(says), hint: expect.stringMatching(hint) };
        expect(await toldBy(imgmv)).toEqual([expect.objectContaining({ ...error, ...words })]);
      }
      const files = await readdir(scene.directory);
      expect(files.filter((file) => file.startsWith('.') || file.startsWith('never'))).toEqual([]);
      expect(await readFile(at('somebody.json'), 'utf8')).toBe('{"name":"imgmv"}');
    });

    it('of more than one session are none', async () => {
      const file = at('sessions.html');
      const args = ['receive', '--code-file', at('never'), '--report', file, ...NO_ENGINE];
      await using receiver = runImgmv(args);
      await expectEnd(receiver, 2, /--report is of one session.*\n\s+add --once/);
      await expect(stat(file)).rejects.toThrow('ENOENT');
    });

    it('are no part of what plan does', async () => {
      await using plan = runImgmv(['plan', 'web:1.0', '--to', '127.0.0.1:1', ...report('plan.html')]);
      await expectEnd(plan, 2, /unknown option '--report'/);
    });
  },
  { required: true },
);
