/** Each fault that `imgmv doctor` names, made real. */
import { once } from 'node:events';
import { statfs } from 'node:fs/promises';
import { createServer as createHttpServer, request } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NOBODY } from '../nobody.ts';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { CABLE, type Hosts, hostSupport, twoHosts } from '../rig/hosts.ts';
import { type ImgmvOptions, type JsonEvent, type Place, runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd } from './scene.ts';

const MIB = 2 ** 20;
const NO_ENGINE = ['--docker-host', 'unix:///nowhere/docker.sock'];

/** Whom no engine knows. */
const SOMEBODY: Place = {
  argv: (command) => ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...command],
};

/** An engine's data is on a tmpfs that only those see who share the daemon's mounts. */
const beside = ({ pid }: Engine): Place => ({
  argv: (command) => ['nsenter', `--mount=/proc/${pid}/ns/mnt`, ...command],
});

interface Diagnosis {
  readonly exit: number | null;
  /** The events by their names; `configuration` may come twice, and the last counts. */
  readonly checks: Readonly<Record<string, JsonEvent>>;
  readonly end: JsonEvent | undefined;
}

async function diagnose(args: readonly string[], options: ImgmvOptions = {}): Promise<Diagnosis> {
  await using imgmv = runImgmv(['doctor', '--json', ...args], options);
  const { code } = await imgmv.exit;
  const events: JsonEvent[] = [];
  for await (const event of imgmv.events) events.push(event);
  expect(imgmv.stderr).toBe('');
  const checks = events.filter(({ event }) => event === 'check');
  return {
    exit: code,
    checks: Object.fromEntries(checks.map((check) => [String(check.name), check])),
    end: events.find(({ event }) => event === 'checked'),
  };
}

/** At a free port of 127.0.0.1. */
async function listening(server: Server): Promise<AsyncDisposable & { readonly at: string }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    at: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** What is said of the host at `at`. */
async function hostAt(at: string, args: readonly string[] = []) {
  const { checks } = await diagnose(['--to', at, '--connect-timeout', '2s', ...args]);
  return checks.host;
}

let directory: ScratchDirectory;
beforeAll(async () => {
  directory = await scratchDirectory();
});
afterAll(() => directory?.[Symbol.asyncDispose]());

describe('this host', () => {
  it('no socket of an engine: 14, and nothing is asked of what is not there', async () => {
    const { checks, end, exit } = await diagnose([...NO_ENGINE, '--listen', '127.0.0.1:0']);
    expect(exit).toBe(14);
    expect(Object.keys(checks)).toEqual(['installation', 'configuration', 'engine', 'store', 'room', 'port']);
    expect(checks.engine).toMatchObject({
      status: 'fault',
      code: 'engine-unavailable',
      message: 'no docker engine: there is no socket unix:///nowhere/docker.sock (--docker-host)',
      hint: expect.stringMatching(/^is docker installed and running\?/),
    });
    for (const check of [checks.store, checks.room])
      expect(check).toMatchObject({
        status: 'warning',
        code: null,
        message: expect.stringMatching(/^not looked at: /),
      });
    expect(end).toMatchObject({ ok: 3, warnings: 2, faults: 1, exit: 14 });
  });

  it('an address that no engine can have: 2', async () => {
    const { checks, exit } = await diagnose(['--docker-host', 'ftp://x', '--listen', '127.0.0.1:0']);
    expect(exit).toBe(2);
    expect(checks.engine).toMatchObject({ status: 'fault', code: 'usage' });
  });

  it('a port in use is a fault for who receives, and a warning for who sends', async () => {
    await using taken = await listening(createServer());
    const port = taken.at.split(':')[1] ?? '';
    const { checks } = await diagnose([...NO_ENGINE, '--listen', taken.at]);
    expect(checks.port).toMatchObject({
      status: 'fault',
      code: 'usage',
      message: `127.0.0.1:${port} is in use`,
      hint: expect.stringMatching(/--listen ADDR:PORT takes another port/),
    });
    const env = { IMGMV_LISTEN: taken.at };
    const sending = await diagnose([...NO_ENGINE, '--to', taken.at, '--connect-timeout', '1s'], { env });
    expect(sending.checks.port).toMatchObject({ status: 'warning', code: null });
  });

  it('an address that is not of this host', async () => {
    const { checks } = await diagnose([...NO_ENGINE, '--listen', '192.0.2.1:7373']);
    expect(checks.port).toMatchObject({
      status: 'fault',
      message: expect.stringMatching(/is not an address of/),
    });
  });

  it('a configuration that cannot be used, and looks on', async () => {
    const env = { IMGMV_YES: 'canary', IMGMV_JBS: '3' };
    const { checks, exit } = await diagnose([...NO_ENGINE, '--listen', '127.0.0.1:0'], { env });
    expect(exit).toBe(2);
    expect(checks.configuration).toMatchObject({
      status: 'fault',
      message: 'IMGMV_YES: what loosens a guard is taken on the command line only',
    });
    expect(checks.engine).toMatchObject({ status: 'fault' });
  });

  it('for people: a mark, what was found, and what to do below it', async () => {
    await using imgmv = runImgmv(['doctor', ...NO_ENGINE, '--listen', '127.0.0.1:0'], {
      env: { IMGMV_JBS: '3' },
    });
    await expectEnd(
      imgmv,
      14,
      new RegExp(
        [
          '^ok       installation   version \\S+, with Node \\S+ and the zstd addon',
          'WARNING  configuration  "IMGMV_JBS" is no variable of imgmv: did you mean IMGMV_JOBS\\?',
          '         > `imgmv help config` shows every variable',
          'ok       configuration  none: there is no \\S+/config\\.yaml or /etc/imgmv/config\\.yaml',
          'FAULT    engine         no docker engine: there is no socket .*',
          '         > is docker installed and running\\? .*',
          'WARNING  store          not looked at: .*',
          'WARNING  room           not looked at: .*',
          'ok       port           a free one on 127\\.0\\.0\\.1',
          '1 fault, marked FAULT above\\.\n$',
        ].join('\n'),
      ),
    );
  });
});

describe('another host', () => {
  it('where an imgmv waits, whose code stays good', async () => {
    const codeFile = join(directory.path, 'code');
    const into = `oci:${join(directory.path, 'layout')}`;
    const args = ['--once', '--json', '--listen', '127.0.0.1:0', '--code-file', codeFile, '--into', into];
    await using receiver = runImgmv(['receive', ...args]);
    const { port } = await receiver.waitFor('listening');
    expect(await hostAt(`127.0.0.1:${port}`)).toMatchObject({
      status: 'ok',
      message: `at ws://127.0.0.1:${port}/ an imgmv waits for a sender (imgmv.2)`,
    });
    receiver.kill();
    await receiver.exit;
    const told = receiver.stdout.match(/"event":"\w+"/g);
    expect(told).toEqual(['"event":"writing"', '"event":"listening"', '"event":"error"']);
  });

  it('where nobody listens', async () => {
    expect(await hostAt(NOBODY)).toMatchObject({ status: 'fault', code: 'connection-refused' });
  });

  it('whose name does not resolve', async () => {
    expect(await hostAt('no-such-host.invalid')).toMatchObject({ status: 'fault', code: 'host-not-found' });
  });

  it('that speaks HTTP, or another version of imgmv', async () => {
    const web = createHttpServer((_, response) => response.end('hello'));
    const other = createHttpServer();
    other.on('upgrade', (_, socket) =>
      socket.end(
        'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Protocol: imgmv.9\r\nConnection: close\r\n\r\n',
      ),
    );
    await using one = await listening(web);
    await using two = await listening(other);
    expect(await hostAt(one.at)).toMatchObject({
      status: 'fault',
      code: 'not-imgmv',
      message: expect.stringMatching(/answered HTTP 200/),
      hint: expect.stringMatching(/another web server/),
    });
    expect(await hostAt(two.at)).toMatchObject({
      status: 'fault',
      code: 'version-mismatch',
      message: expect.stringMatching(/imgmv\.9/),
    });
  });

  it('that speaks ssh, or takes the connection and says nothing', async () => {
    await using ssh = await listening(createServer((socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n')));
    await using mute = await listening(createServer((socket) => void socket.resume()));
    expect(await hostAt(ssh.at)).toMatchObject({
      status: 'fault',
      code: 'not-imgmv',
      message: `${ssh.at} is an ssh server, not imgmv`,
      hint: expect.stringMatching(/something else on that port/),
    });
    expect(await hostAt(mute.at)).toMatchObject({
      code: 'no-answer',
      message: `${mute.at} takes the connection, but says nothing for 2 s`,
      hint: expect.stringMatching(/something else on that port/),
    });
  });
});

describeOn('another host behind a firewall', [await hostSupport()], () => {
  let hosts: Hosts;
  beforeAll(async () => {
    hosts = await twoHosts();
  });
  afterAll(() => hosts?.[Symbol.asyncDispose]());

  it('that drops, and that rejects', async () => {
    const args = ['--to', hosts.b.address, '--connect-timeout', '1s'];
    await hosts.blackHole(true);
    const dropped = await diagnose(args, { host: hosts.a });
    await hosts.blackHole(false);
    expect(dropped.checks.host).toMatchObject({
      status: 'fault',
      code: 'no-answer',
      message: expect.stringMatching(/did not answer within 1 s/),
    });
    const reject = ['--jump', 'REJECT', '--reject-with', 'icmp-admin-prohibited'];
    await run(hosts.b.argv(['iptables', '--insert', 'INPUT', '--in-interface', CABLE, ...reject]));
    const rejected = await diagnose(args, { host: hosts.a });
    expect(rejected.checks.host).toMatchObject({
      status: 'fault',
      code: 'no-answer',
      message: expect.stringMatching(/most likely a firewall rejects the connection/),
      hint: expect.stringMatching(/^open TCP port 7373 on .*ssh -N -L /),
    });
  });
});

const at = ({ dockerHost }: Engine) => ['--docker-host', dockerHost, '--listen', '127.0.0.1:0'];

describeOn(
  'an engine that keeps its data in a place of its own',
  [await engineSupport('28c')],
  () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ flavour: '28c' });
    });
    afterAll(() => engine?.[Symbol.asyncDispose]());

    it('its store is read, and its room cannot be seen from here', async () => {
      const { checks, end, exit } = await diagnose(at(engine));
      expect({ exit, end }).toMatchObject({ exit: 0, end: { warnings: 1, faults: 0 } });
      expect(checks).toMatchObject({
        engine: { message: `docker ${engine.version} at ${engine.dockerHost} (--docker-host)` },
        store: { status: 'ok', message: 'containerd store, read blob by blob' },
        room: { status: 'warning', hint: expect.stringMatching(/^on the engine.s host, run `df`/) },
      });
    });

    it('behind a proxy that does not upgrade its store cannot be read, which is a warning', async () => {
      const path = join(directory.path, 'proxy.sock');
      const proxy = createHttpServer((given, response) => {
        const { headers, method, url } = given;
        const asked = request({ socketPath: engine.socketPath, headers, method, path: url }, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
        });
        given.pipe(asked);
      });
      proxy.listen(path);
      await once(proxy, 'listening');
      const { checks, exit } = await diagnose(['--docker-host', `unix://${path}`, '--listen', '127.0.0.1:0']);
      proxy.closeAllConnections();
      proxy.close();
      expect(exit).toBe(0);
      expect(checks.store).toMatchObject({
        status: 'warning',
        hint: expect.stringMatching(/^this works, but takes longer/),
      });
    });
  },
  { required: true },
);

describeOn(
  'an engine of this host',
  [await engineSupport('20')],
  () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ flavour: '20', tmpfsBytes: 4096 * MIB });
    });
    afterAll(() => engine?.[Symbol.asyncDispose]());

    it('that is well: nothing stands in the way', async () => {
      await using imgmv = runImgmv(['doctor', ...at(engine)], { host: beside(engine) });
      await expectEnd(imgmv, 0, /^ok {7}room {11}[0-9.]+ [MG]B free under .*\n.*\nNo problems found\.\n$/m);
      expect(imgmv.stdout).toMatch(/^ok {7}store {10}classic store, whose layers are read where they lie$/m);
      // Its data is in mounts of its own.
      await using outside = runImgmv(['doctor', ...at(engine)]);
      await expectEnd(
        outside,
        0,
        /^ok {7}store {10}classic store, read by docker save: \S+ is not visible from here/m,
      );
      await using quiet = runImgmv(['doctor', '--quiet', ...at(engine)], { host: beside(engine) });
      await expectEnd(quiet, 0, /^No problems found\.\n$/);
    });

    it('that this user may not use: 14', async () => {
      const { checks, exit } = await diagnose(at(engine), { host: SOMEBODY, env: { HOME: '/nonexistent' } });
      expect(exit).toBe(14);
      expect(checks.engine).toMatchObject({
        status: 'fault',
        message: expect.stringMatching(/^no permission on the docker socket /),
        hint: expect.stringMatching(/member of the group/),
      });
    });

    it('that has no room: 16', async () => {
      const { bavail, bsize } = await statfs(engine.dataRoot);
      const filler = join(engine.dataRoot, 'filler');
      await run(['fallocate', '--length', String(bavail * bsize - 32 * MIB), filler]);
      const { checks, exit } = await diagnose(at(engine), { host: beside(engine) });
      expect(exit).toBe(16);
      expect(checks.room).toMatchObject({
        status: 'fault',
        code: 'refused',
        message: expect.stringMatching(/^only \d\d MB free under /),
      });
      // Who sends needs no room for layers that are read where they lie.
      const sending = await diagnose(['--docker-host', engine.dockerHost, '--to', NOBODY], {
        host: beside(engine),
      });
      expect(sending.checks.room).toMatchObject({ status: 'ok', code: null });
    });
  },
  { required: true },
);
