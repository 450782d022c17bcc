/** Two hosts, each in its own network namespace, and what others on them could see. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { type Hosts, hostSupport, twoHosts } from '../rig/hosts.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { IMGMV, type Imgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, holdings, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const MEMORY_MAX_BYTES = 180 * MIB;
const LOOK_INTERVAL_MS = 20;

describeOn(
  'two hosts',
  [await engineSupport('20'), await hostSupport()],
  () => {
    let scene: Scene;
    let hosts: Hosts;
    let web: LoadedImage;
    let database: LoadedImage;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      hosts = await twoHosts();
      web = await loadImage(scene.source, {
        name: 'web:1.0',
        layers: [await busyboxLayer(), { 'srv/v': '1' }],
      });
      database = await loadImage(scene.source, {
        name: 'team/db:16',
        layers: [await busyboxLayer(), { 'srv/v': '2' }],
      });
      await loadImage(scene.source, { name: 'traced:1', layers: [{ 'srv/v': '3' }] });
      const half = { bytes: 100 * MIB, seed: 1, halfCompressible: true };
      await loadImage(scene.source, { name: 'big:1', layers: [{ a: half }, { b: { ...half, seed: 2 } }] });
    });
    afterAll(async () => {
      await scene?.[Symbol.asyncDispose]();
      await hosts?.[Symbol.asyncDispose]();
    });

    const receive = () => scene.receive({ host: hosts.b, address: hosts.b.address });

    it('several images in one run; then nobody listens', async () => {
      await using receiver = await receive();
      expect(await hosts.b.listeners()).toContain(`${hosts.b.address}:${receiver.port}`);
      await using sender = scene.send(receiver, ['web:1.0', 'team/db:16', 'web:1.0'], { host: hosts.a });
      await expectEnd(sender, 0, /2 images done and verified/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
      expect(await holdings(scene.target)).toEqual([`team/db:16 ${database.id}`, `web:1.0 ${web.id}`]);
      expect(await hosts.b.listeners()).toBe('');
      expect(await hosts.a.listeners()).toBe('');
      expect(await readdir(scene.directory)).toEqual([]);
    });

    it('under another name with --as', async () => {
      await using receiver = await receive();
      const args = ['web:1.0', '--as', 'registry.example:5000/team/web'];
      await using sender = scene.send(receiver, args, { host: hosts.a });
      await expectEnd(sender, 0, /web:1\.0 as registry\.example:5000\/team\/web:latest/);
      expect(await holdings(scene.target)).toContain(`registry.example:5000/team/web:latest ${web.id}`);
    });

    it('by id: it arrives without a name', async () => {
      await scene.target.docker(['image', 'rm', '--force', database.id]).catch(() => ''); // if it is there
      await using receiver = await receive();
      const id = database.id.slice('sha256:'.length, 'sha256:'.length + 12);
      await using sender = scene.send(receiver, [id], { host: hosts.a });
      await expectEnd(sender, 0, /goes by its id: it arrives without a name \(--as NAME:TAG gives one\)/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
      expect(await holdings(scene.target)).toContain(`<none>:<none> ${database.id}`);
      expect(String(await holdings(scene.target))).not.toContain('imgmv-incoming');
    });

    it('200 MB in less than 180 MB of memory on each side, with the code to be seen nowhere', async () => {
      await using receiver = await receive();
      const code = (await readFile(receiver.codeFile, 'utf8')).trim();
      await using sender = scene.send(receiver, ['big:1'], { host: hosts.a });
      const runs = [sender, receiver.imgmv];
      const seen = await Promise.all(runs.map(watch));
      expect(code).toMatch(/^([a-z]+-){5}[a-z]+$/);
      for (const [index, imgmv] of runs.entries()) {
        await expectEnd(imgmv, 0, /loaded/);
        const { text, peakBytes } = seen[index] ?? { text: '', peakBytes: 0 };
        expect(text).toContain(IMGMV);
        for (const shown of [text, imgmv.stdout, imgmv.stderr]) {
          expect(shown).not.toContain(code);
          expect(shown).not.toContain(code.replaceAll('-', ' '));
        }
        expect(peakBytes).toBeGreaterThan(40 * MIB);
        expect(peakBytes).toBeLessThan(MEMORY_MAX_BYTES);
      }
    });

    it('the receiver opens no file for writing but the code file', async () => {
      const directory = await mkdtemp(join(scene.directory, 'trace-'));
      const trace = join(directory, 'trace');
      const traced = [
        'strace',
        '-f',
        '-o',
        trace,
        '-e',
        'trace=open,openat,openat2,creat,rename,link,linkat,mkdir',
      ];
      const host = { argv: (command: readonly string[]) => hosts.b.argv([...traced, ...command]) };
      await using receiver = await scene.receive({ host, address: hosts.b.address });
      await using sender = scene.send(receiver, ['traced:1'], { host: hosts.a });
      await expectEnd(sender, 0, /loaded/);
      await expectEnd(receiver.imgmv, 0, /"done"/);
      const written = writtenFiles(await readFile(trace, 'utf8'));
      const codeFile = receiver.codeFile.slice(scene.directory.length + 1);
      const temporary = new RegExp(`^${scene.directory}/\\.${codeFile}\\.[0-9a-f]{12}$`);
      expect(written).toContainEqual(expect.stringMatching(temporary));
      const others = written.filter(
        (file) => !temporary.test(file) && file !== receiver.codeFile && !file.startsWith('/dev/'),
      );
      expect(others).toEqual([]);
      await rm(directory, { recursive: true });
      expect(await readdir(scene.directory)).toEqual([]);
    });
  },
  { required: true },
);

/** The arguments, the environment and the peak of memory of a process, looked at until it ends. */
async function watch({ pid, exit }: Imgmv): Promise<{ text: string; peakBytes: number }> {
  let ended = false;
  void exit.then(() => {
    ended = true;
  });
  let text = '';
  let peakBytes = 0;
  while (!ended) {
    try {
      const files = ['cmdline', 'environ', 'status'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8'));
      const [cmdline = '', environ = '', status = ''] = await Promise.all(files);
      if (cmdline !== '') text = cmdline + environ;
      const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
      if (kilobytes !== undefined) peakBytes = Math.max(peakBytes, Number(kilobytes) * 1024);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    }
    await sleep(LOOK_INTERVAL_MS);
  }
  return { text, peakBytes };
}

/** The paths in a log of strace that were opened for writing or made. */
function writtenFiles(trace: string): readonly string[] {
  const opened = trace
    .split('\n')
    .filter((line) => /O_WRONLY|O_RDWR|O_CREAT|(?:creat|rename|link|linkat|mkdir)\(/.test(line));
  return opened.flatMap((line) => /"([^"]+)"[^"]*$/.exec(line)?.[1] ?? []);
}
