/** The demo between two real engines: docker build here, imgmv, docker run there. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type Imgmv, type JsonEvent, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { type Support, supportOf } from '../rig/support.ts';
import { proved, say, size, title } from './say.ts';

const NAME = 'demo/hello:1.0';
const GREETING = 'hello from an image that no registry has seen';
const BUSYBOX = '/bin/busybox';
const ENGINE_BYTES = 2 * 2 ** 30;

/** The largest file that surely is on this machine is Node itself: it gives the image some weight. */
const DOCKERFILE = `
FROM scratch
COPY busybox /bin/busybox
COPY node /opt/node
RUN ["/bin/busybox", "sh", "-c", "echo '${GREETING}' > /greeting && /bin/busybox sha256sum /opt/node > /opt/node.sha256"]
CMD ["/bin/busybox", "sh", "-c", "/bin/busybox cat /greeting && /bin/busybox sha256sum -c /opt/node.sha256"]
`;

export async function engineDemoSupport(): Promise<Support> {
  const support = await engineSupport('host');
  return support.ok ? supportOf(busyboxLayer) : support;
}

export async function engineDemo(): Promise<void> {
  await using directory = await scratchDirectory();
  say('Starting two engines with data of their own, in memory …');
  await using source = await startEngine({ flavour: 'host', tmpfsBytes: ENGINE_BYTES });
  await using target = await startEngine({ flavour: 'host', tmpfsBytes: ENGINE_BYTES });
  say(`source: docker ${source.version} at ${source.dockerHost}`);
  say(`target: docker ${target.version} at ${target.dockerHost}`);

  say(`Building ${NAME} on the source, from ${BUSYBOX} and ${process.execPath} …`);
  await build(source, join(directory.path, 'context'));

  const codeFile = join(directory.path, 'code');
  title('Moving it: two imgmv processes, one for each host');
  const receiving = ['receive', '--once', '--listen', '127.0.0.1:0', '--code-file', codeFile];
  await using receiver = runImgmv([...receiving, '--json'], { env: { DOCKER_HOST: target.dockerHost } });
  const { port } = await receiver.waitFor('listening');
  say(`target$ imgmv ${receiving.slice(0, 2).join(' ')}      listens on 127.0.0.1:${port}`);
  const sending = ['send', NAME, '--to', `127.0.0.1:${port}`, '--code-file', codeFile];
  await using sender = runImgmv([...sending, '--json'], { env: { DOCKER_HOST: source.dockerHost } });
  say(`source$ imgmv ${sending.slice(0, 4).join(' ')}`);
  const image = await ended(sender);
  await ended(receiver);
  say(
    `${size(Number(image.bytes))} of image, ${size(Number(image.wireBytes))} on the wire, ${image.seconds} s`,
  );

  title('What came of it');
  proved('both processes ended with exit status 0', true);
  await prove(source, target);
}

async function build(source: Engine, context: string): Promise<void> {
  await mkdir(context);
  await copyFile(BUSYBOX, join(context, 'busybox'));
  await copyFile(process.execPath, join(context, 'node'));
  await writeFile(join(context, 'Dockerfile'), DOCKERFILE);
  await source.docker(['build', '--quiet', '--network', 'none', '--tag', NAME, context]);
}

/** The one image event of a run that ended well; throws for one that did not. */
async function ended(imgmv: Imgmv): Promise<JsonEvent> {
  const { code } = await imgmv.exit;
  if (code !== 0) throw new Error(`imgmv ended with exit status ${code}:\n${imgmv.stdout}${imgmv.stderr}`);
  return imgmv.waitFor('image');
}

async function prove(source: Engine, target: Engine): Promise<void> {
  const inspect = (engine: Engine, format: string) =>
    engine.docker(['image', 'inspect', '--format', format, NAME]).then((text) => text.trim());
  const [id, targetId] = [await inspect(source, '{{.Id}}'), await inspect(target, '{{.Id}}')];
  const layers = '{{range .RootFS.Layers}}{{.}} {{end}}';
  const [diffIds, targetDiffIds] = [await inspect(source, layers), await inspect(target, layers)];
  proved(`the image id is the same on both engines: ${id}`, id === targetId);
  proved(`so are the digests of its ${diffIds.split(' ').length} layers`, diffIds === targetDiffIds);
  const names = await target.docker(['image', 'ls', '--all', '--format', '{{.Repository}}:{{.Tag}}']);
  proved(`the target has ${NAME} and nothing else`, names.trim() === NAME);
  const output = await target.docker(['run', '--rm', '--network', 'none', NAME]);
  proved(
    'a container of it runs on the target, and its files are as they were built',
    output === `${GREETING}\n/opt/node: OK\n`,
  );
  for (const line of output.trim().split('\n')) say(`  container | ${line}`);
}
