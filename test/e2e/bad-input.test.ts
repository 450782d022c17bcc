/** What goes wrong before or while a session begins: its exit status, its words, and that it leaves nothing. */
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { type Relay, startRelay } from './relay.ts';
import { expectEnd, expectGone, holdings, type Receiver, type Scene, startScene } from './scene.ts';
import { chatServer, type FakeServer, receiverOfVersion, silentServer, webServer } from './servers.ts';

interface UsageCase {
  readonly args: readonly string[];
  readonly says: RegExp;
}

const usage: readonly UsageCase[] = [
  { args: ['receive', '--once'], says: /no terminal to show the pairing code on\n\s+--code-file FILE/ },
  { args: ['receive', '--ttl', '9s'], says: /'--ttl <duration>'.*between 10s and 7d/ },
  { args: ['receive', '--ttl', 'soon'], says: /'--ttl <duration>'.*such as 90s/ },
  { args: ['receive', '--listen', '1.2.3.4:99999'], says: /'--listen <addr:port>'.*0 to 65535/ },
  { args: ['receive', '--listen', ''], says: /'--listen <addr:port>'.*Expected ADDR:PORT/ },
  {
    args: ['receive', '--code-flie', 'x'],
    says: /unknown option '--code-flie'\s+did you mean --code-file\?/,
  },
  { args: ['receive', 'web:1.0'], says: /too many arguments/ },
  {
    args: ['send', 'web:1.0'],
    says: /no host to send to\n\s+name the one .* --to HOST, or to: in a move file/,
  },
  { args: ['plan', 'web:1.0'], says: /no host to plan for\n\s+name the one .* --to HOST/ },
  { args: ['send', '--to', 'b'], says: /no image is named\n\s+name one or more, or give --all/ },
  { args: ['send', '--compose', '-', '--to', 'b'], says: /not read from standard input\n\s+name the file/ },
  { args: ['send', 'a', '--to', 'b', '--jobs', '17'], says: /Expected a number from 1 to 16/ },
  { args: ['send', 'a', '--to', 'b:99999'], says: /A port is a number from 1 to 65535\.$/m },
  { args: ['send', 'a', '--to', 'b', '--from', 'web.tar'], says: /did you mean docker-archive:web\.tar\?/ },
  { args: ['send', 'move.yaml'], says: /did you mean `imgmv send --move move\.yaml`\?/ },
  { args: ['send', 'a', '-to', 'b'], says: /unknown option '-to'\n {2}did you mean --to\?/ },
  { args: ['doctor', 'b'], says: /too many arguments[^\n]*\n {2}did you mean `imgmv doctor --to b`\?/ },
  { args: ['doctor', '--to', 'b', '7400'], says: /did you mean `--to b:7400`\?/ },
  { args: ['-v'], says: /`imgmv -V` shows the version; .*--verbose/ },
  { args: ['help', 'foo'], says: /^imgmv: unknown command 'foo'\n {2}`imgmv help` lists all commands\n$/ },
  { args: ['help', 'conifg'], says: /^imgmv: unknown command 'conifg'\n {2}did you mean config\?\n$/ },
  {
    args: ['send', 'a', '--to', 'b', '--as', 'c:1', '--retag', 'a=d'],
    says: /--as and --retag exclude each other: both name the image\n {2}did you mean only --as c:1\?/,
  },
  { args: ['send', 'a', 'b', '--as', 'c', '--to', 'b'], says: /--as gives one name, and there are 2 images/ },
  { args: ['send', 'a', '--as', 'UP:1', '--to', 'b'], says: /--as "UP:1" is not NAME or NAME:TAG/ },
  { args: ['send', 'a', '--to', 'http://b'], says: /'--to <host\[:port\]>'.*Expected ws:\/\/ or wss:\/\// },
  {
    args: ['send', 'a', '--to', 'b', '--to', 'c'],
    says: /'--to <host.*It may be given once: a run goes to one host/,
  },
  {
    args: ['doctor', '--to', 'b', '--to', 'c'],
    says: /'--to <host.*It may be given once: a run goes to one host/,
  },
  { args: ['send', '-m', 'x'], says: /unknown option '-m'\n {2}`--move FILE` takes a move file/ },
  { args: ['--to', 'b', 'send', 'a'], says: /unknown option '--to'\n {2}the command stands first, and its/ },
  { args: ['receive', '--to', 'b'], says: /unknown option '--to'\n {2}`imgmv receive` waits for a sender: / },
  {
    args: ['send', 'a', '--to', 'me@b'],
    says: /A host takes no user.*Did you mean b, where `imgmv receive` waits, or ssh:\/\/me@b, the engine/,
  },
  { args: ['send', 'a', '--to', 'b', '--level', '20'], says: /zstd level from 1 to 19/ },
  { args: ['send', 'a', '--to', 'b', '--level', '0x3'], says: /zstd level from 1 to 19/ },
  {
    args: ['send', 'a', '--to', 'b', '--context', 'no-such'],
    says: /docker context "no-such", which does not exist/,
  },
  {
    args: ['send', 'a', '--to', 'b', '--docker-host', 'b'],
    says: /--docker-host gives "b", which is not a docker host/,
  },
  {
    args: ['send', 'a', '--to', 'b', '--docker-host', 'tcp://b:99999'],
    says: /--docker-host gives "tcp:\/\/b:99999", which is not a docker host/,
  },
  {
    args: ['receive', '--once', '--code-file', 'x', '--push', '--allow-push'],
    says: /--push pushes whatever fits, .*\n\s+give one of them/,
  },
  {
    args: ['receive', '--once', '--code-file', 'x', '--push'],
    says: /--push without a pattern pushes only names .*\n\s+say where images may go: --push 'registry\.example\/team\/\*'/,
  },
  {
    args: ['receive', '--code-file', 'x', '--allow-push', '--registry', '127.0.0.1:5000'],
    says: /--allow-push pushes to 127\.0\.0\.1:5000, an address .*\n\s+say .*: --allow-push '127\.0\.0\.1:5000\/\*'/,
  },
  {
    args: ['receive', '--once', '--code-file', 'x', '--push', '*.example/team/*'],
    says: /--push "\*\.example\/team\/\*": \*\.example is a registry, which has to be written out/,
  },
  {
    args: ['receive', '--once', '--code-file', 'x', '--push', '--into', 'docker-archive:x.tar'],
    says: /--push is only for images in an engine/,
  },
  {
    args: ['receive', '--code-file', 'x', '--allow-push', '--each', 'x'],
    says: /--allow-push is only for images in an engine/,
  },
  {
    args: ['copy', 'docker-daemon:a', 'docker-archive:x.tar', '--push'],
    says: /--push is only for images in an engine, .*\n\s+`imgmv copy ARCHIVE docker-daemon: --push`/,
  },
  {
    args: ['copy', 'docker-daemon:a', '--each', 'x', '--push'],
    says: /--push is only for images in an engine/,
  },
  {
    args: ['load'],
    says: /unknown command 'load'\n\s+`imgmv copy docker-archive:FILE docker-daemon:` loads a file/,
  },
  {
    args: ['save', 'web:1.0'],
    says: /unknown command 'save'\n\s+`imgmv copy docker-daemon:NAME docker-archive:FILE`/,
  },
  { args: ['pull', 'web:1.0'], says: /unknown command 'pull'\n\s+the host that has the image sends it/ },
  { args: ['push', 'web:1.0'], says: /unknown command 'push'\n\s+`imgmv send NAME --to HOST`/ },
  { args: ['help', 'sned'], says: /unknown command 'sned'\s+did you mean send\?/ },
  {
    args: ['send', 'a', '--to', 'b', '--cod-file', 'x'],
    says: /unknown option '--cod-file'\s+did you mean --code-file\?/,
  },
  {
    args: ['send', 'a', '--to', 'b', '--code', 'one-two-three'],
    says: /unknown option '--code'\n\s+a code is never given as an argument, .*--code-file FILE/,
  },
  {
    args: ['plan', 'a:1', 'host-b'],
    says: /no host to plan for\n.*did you mean `imgmv plan a:1 --to host-b`\?/,
  },
  { args: ['send', 'a', '--to', 'b:/srv'], says: /a path needs ws:\/\/.*Did you mean b, / },
  {
    args: ['copy', 'web:1.0', 'web.tar'],
    says: /"web:1\.0" is not a place for images\n\s+did you mean `imgmv copy docker-daemon:web:1\.0 docker-archive:web\.tar`\?/,
  },
  { args: ['sned'], says: /unknown command 'sned'\s+did you mean send\?/ },
];

describe('usage', () => {
  it.each(usage)('$args', async ({ args, says }) => {
    await using imgmv = runImgmv(args);
    await expectEnd(imgmv, 2, says);
    expect(imgmv.stdout).toBe('');
    expect(imgmv.stderr).toMatch(/^imgmv: \S.*\n( {2}\S.*\n)?$/);
  });
});

interface Want {
  readonly exit: number;
  readonly says: RegExp;
}

/** A sender that never comes to a session. */
interface AloneCase extends Want {
  readonly title: string;
  readonly args: readonly string[];
}

const code = () => `${generateCode().reveal()}\n`;
const send = (...args: readonly string[]) => ['send', ...args, '--code-file', '-'];

const alone: readonly AloneCase[] = [
  {
    title: 'no such image, with names that come close',
    args: send('wbe:1.0', '--to', '127.0.0.1'),
    exit: 10,
    says: /no such image on this host: "wbe:1\.0"\n\s+did you mean web:1\.0\?/,
  },
  {
    title: 'no such image, one among several',
    args: send('web:1.0', 'nothing-like-it', '--to', '127.0.0.1'),
    exit: 10,
    says: /no such image on this host: "nothing-like-it"\n\s+`imgmv ls` lists/,
  },
  {
    title: 'an image name with control characters',
    args: send('a\u001b[2Jb', '--to', '127.0.0.1'),
    exit: 10,
    says: /no such image on this host: "a\\u001b\[2Jb"/,
  },
  {
    title: 'a host that has no address',
    args: send('web:1.0', '--to', 'no-such-host.invalid'),
    exit: 11,
    says: /no address is known for host no-such-host\.invalid\n\s+check the name/,
  },
  {
    title: 'a port on which nothing listens',
    args: send('web:1.0', '--to', '127.0.0.1:1'),
    exit: 11,
    says: /127\.0\.0\.1:1 refused the connection: nothing listens there, or a firewall rejects it\n\s+run `imgmv receive --once`/,
  },
];

/** A sender and what answers it in place of a receiver. */
interface ServerCase extends Want {
  readonly title: string;
  readonly server: () => Promise<FakeServer>;
}

const servers: readonly ServerCase[] = [
  {
    title: 'a silent port',
    server: silentServer,
    exit: 11,
    says: /takes the connection, but says nothing for 4 s\n\s+is something else on that port\?/,
  },
  {
    title: 'a web server',
    server: webServer,
    exit: 11,
    says: /answered HTTP 404: this is not an imgmv receiver/,
  },
  {
    title: 'another WebSocket server',
    server: chatServer,
    exit: 11,
    says: /does not answer as an imgmv receiver/,
  },
  {
    title: 'a receiver of a newer protocol',
    server: () => receiverOfVersion(3),
    exit: 15,
    says: /speaks "imgmv\.3", this imgmv imgmv\.2\n\s+install the same version/,
  },
];

interface CodeCase extends Want {
  readonly title: string;
  readonly typed: (code: string) => string;
}

const typos: readonly CodeCase[] = [
  {
    title: 'a word that is none',
    typed: (code) => code.replace(/^\w+/, 'qqqq'),
    exit: 12,
    says: /word 1 is not in the word list\n\s+type the 6 words/,
  },
  {
    title: 'a word too few',
    typed: (code) => code.replace(/^\w+-/, ''),
    exit: 12,
    says: /want 6 words, got 5/,
  },
  { title: 'nothing', typed: () => '', exit: 12, says: /want 6 words, got 0/ },
];

describeOn(
  'bad input',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      await loadImage(scene.source, { name: 'web:1.0', layers: [await busyboxLayer(), { 'srv/v': '1' }] });
      await loadImage(scene.source, { name: 'web:arm', layers: [{ 'srv/v': 'arm' }], architecture: 'arm64' });
      await loadImage(scene.target, { name: 'web:1.0', layers: [{ 'srv/v': 'of the target' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    /** Runs `test`, then fails if an engine has changed or the receiver has left anything. */
    async function unchanged(test: () => Promise<Receiver | undefined>): Promise<void> {
      const before = await scene.look();
      const receiver = await test();
      await scene.expectUnchanged(before, receiver);
    }

    /** Stops a receiver that goes on waiting, as it should. */
    async function stillWaits(receiver: Receiver): Promise<void> {
      receiver.imgmv.kill('SIGTERM');
      await expectEnd(receiver.imgmv, 143, /stopped by SIGTERM/);
    }

    it.each(alone)('$title', async ({ args, exit, says }) => {
      await unchanged(async () => {
        await using sender = runImgmv([...args, '--docker-host', scene.source.dockerHost], { input: code() });
        await expectEnd(sender, exit, says);
        return undefined;
      });
    });

    it.each(servers)('$title', async ({ server, exit, says }) => {
      await using fake = await server();
      const to = ['--to', `127.0.0.1:${fake.port}`, '--connect-timeout', '4s'];
      const args = [...send('web:1.0', ...to), '--docker-host', scene.source.dockerHost];
      await using sender = runImgmv(args, { input: code() });
      await expectEnd(sender, exit, says);
    });

    it.each(typos)('$title in place of the code costs no try', async ({ typed, exit, says }) => {
      await unchanged(async () => {
        await using receiver = await scene.receive();
        const codeFile = join(scene.directory, 'typed');
        await writeFile(codeFile, typed(await readFile(receiver.codeFile, 'utf8')));
        await using sender = scene.send(receiver, ['web:1.0'], { codeFile });
        await expectEnd(sender, exit, says);
        expect(receiver.imgmv.stdout).not.toContain('"attempt"');
        await stillWaits(receiver);
        return receiver;
      });
    });

    it('no code file', async () => {
      const args = ['send', 'web:1.0', '--to', '127.0.0.1:1', '--code-file', join(scene.directory, 'none')];
      await using sender = runImgmv([...args, '--docker-host', scene.source.dockerHost]);
      await expectEnd(sender, 2, /cannot read the code file .*none: there is no such file/);
    });

    it('a code file without an end', async () => {
      const args = ['send', 'web:1.0', '--to', '127.0.0.1:1', '--code-file', '/dev/zero'];
      await using sender = runImgmv([...args, '--docker-host', scene.source.dockerHost]);
      await expectEnd(sender, 2, /\/dev\/zero holds more than a pairing code/);
    });

    it('neither a terminal nor a code file to send with', async () => {
      const args = ['send', 'web:1.0', '--to', '127.0.0.1:1', '--docker-host', scene.source.dockerHost];
      await using sender = runImgmv(args);
      await expectEnd(
        sender,
        2,
        /no terminal to ask for the pairing code on\n\s+give it with --code-file FILE/,
      );
    });

    it('a wrong code: 12, a penalty, and the receiver goes on', async () => {
      await unchanged(async () => {
        await using receiver = await scene.receive();
        await using wrong = scene.send(receiver, ['web:1.0', '--code-file', '-'], {
          codeFile: '-',
          input: code(),
        });
        await expectEnd(wrong, 12, /says that the pairing code is wrong\n\s+check the code/);
        expect(await receiver.imgmv.waitFor('attempt')).toMatchObject({ left: 4, address: '127.0.0.1' });
        await using again = scene.send(receiver, ['web:1.0']);
        await expectEnd(again, 12, /refuses this address for now[^\n]*\n\s+wait 1[0-5] s, then try again/);
        await stillWaits(receiver);
        return receiver;
      });
    });

    it('five wrong codes from five addresses: the code is burnt', async () => {
      await unchanged(async () => {
        await using receiver = await scene.receive();
        for (const from of [1, 2, 3, 4, 5].map((last) => `127.0.0.${last}`)) {
          await using relay = await startRelay({ port: receiver.port, from });
          const options = { to: `127.0.0.1:${relay.port}`, codeFile: '-', input: code() };
          await using wrong = scene.send(receiver, ['web:1.0'], options);
          await expectEnd(wrong, 12, /says that the pairing code is wrong/);
        }
        await expectEnd(receiver.imgmv, 12, /somebody gave 5 wrong codes: the pairing code no longer works/);
        return receiver;
      });
    });

    it('a code that nobody uses, and a sender that comes too late', async () => {
      await unchanged(async () => {
        await using receiver = await scene.receive({ args: ['--once', '--ttl', '10s'] });
        const input = await readFile(receiver.codeFile, 'utf8');
        await expectEnd(receiver.imgmv, 12, /the pairing code expired before anybody used it/);
        await using late = scene.send(receiver, ['web:1.0'], { codeFile: '-', input });
        await expectEnd(late, 11, /refused the connection: nothing listens there/);
        return receiver;
      });
    });

    it('two senders at once: one is served', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive();
      const { port } = receiver;
      // The one that is first stays until the other one was told so.
      await using one = await startRelay({ port, holdAfterBytes: 100_000 });
      await using other = await startRelay({ port, holdAfterBytes: 100_000 });
      const sendBy = (relay: Relay, name: string) =>
        scene.send(receiver, ['web:1.0', '--as', name], { to: `127.0.0.1:${relay.port}` });
      await using first = sendBy(one, 'raced:1');
      await using second = sendBy(other, 'raced:2');
      await Promise.race([first.exit, second.exit]);
      for (const relay of [one, other]) relay.release();
      const exits = (await Promise.all([first.exit, second.exit])).map(({ code }) => code);
      expect(exits.toSorted(), first.stderr + second.stderr).toEqual([0, 12]);
      const loser = exits[0] === 12 ? first : second;
      expect(loser.stderr).toMatch(/says that its code is used: another sender is connected, or was/);
      expect((await receiver.imgmv.exit).code).toBe(0);
      await expectGone(receiver);
      await scene.target.docker(['image', 'rm', `raced:${exits.indexOf(0) + 1}`]);
      await scene.expectUnchanged(before);
    });

    it('a sender of another protocol version, then a right one', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive();
      const answer = await offer(receiver.port, 'imgmv.9');
      expect(answer).toEqual({ status: 426, protocol: 'imgmv.2' });
      await using sender = scene.send(receiver, ['web:1.0', '--as', 'versions:1']);
      await expectEnd(sender, 0, /loaded/);
      await scene.target.docker(['image', 'rm', 'versions:1']);
      await scene.expectUnchanged(before, receiver);
    });

    it('--no-replace: 16 on both sides, and the name stays', async () => {
      await unchanged(async () => {
        await using receiver = await scene.receive({ args: ['--once', '--no-replace'] });
        await using sender = scene.send(receiver, ['web:1.0']);
        await expectEnd(sender, 16, /web:1\.0 is [0-9a-f]{12} here, and --no-replace was given/);
        await expectEnd(receiver.imgmv, 16, /web:1\.0 is sha256:[0-9a-f]{64} here, and --no-replace/);
        return receiver;
      });
    });

    it('another architecture moves, with a warning', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['web:arm']);
      await expectEnd(sender, 0, /warning: web:arm: on \S+: made for arm64, but this engine runs amd64/);
      await expectEnd(receiver.imgmv, 0, /made for arm64/);
      await scene.target.docker(['image', 'rm', 'web:arm']);
      await scene.expectUnchanged(before, receiver);
    });

    it('a code file that exists is left as it is', async () => {
      await unchanged(async () => {
        const codeFile = join(scene.directory, 'mine');
        await writeFile(codeFile, 'mine');
        const where = ['--listen', '127.0.0.1:0', '--code-file', codeFile];
        await using receiver = runImgmv([
          'receive',
          '--once',
          ...where,
          '--docker-host',
          scene.target.dockerHost,
        ]);
        await expectEnd(receiver, 2, /cannot write the code file .*mine: it exists already\n\s+remove it/);
        expect(await readFile(codeFile, 'utf8')).toBe('mine');
        return undefined;
      });
    });

    it('a port that is taken', async () => {
      await using fake = await silentServer();
      const where = ['--listen', `127.0.0.1:${fake.port}`, '--code-file', join(scene.directory, 'taken')];
      await using receiver = runImgmv(['receive', ...where, '--docker-host', scene.target.dockerHost]);
      await expectEnd(receiver, 2, /127\.0\.0\.1:\d+ is in use\n\s+is another `imgmv receive` running\?/);
    });

    it.each([
      {
        title: 'no engine',
        address: 'unix:///no/such.sock',
        place: undefined,
        says: /no docker engine: there is no socket/,
      },
      {
        title: 'no permission on the socket',
        address: undefined,
        place: nobody(),
        says: /no permission on the docker socket/,
      },
    ])('$title: 14 on either side', async ({ address, place, says }) => {
      const options = place === undefined ? {} : { host: place };
      const { source, target, directory } = scene;
      const to = ['--to', '127.0.0.1:1', '--code-file', '-'];
      await using sender = runImgmv(
        ['send', 'web:1.0', ...to, '--docker-host', address ?? source.dockerHost],
        options,
      );
      await expectEnd(sender, 14, says);
      const where = ['--listen', '127.0.0.1:0', '--code-file', join(directory, 'never')];
      const args = ['receive', ...where, '--docker-host', address ?? target.dockerHost];
      await using receiver = runImgmv(args, options);
      await expectEnd(receiver, 14, says);
    });
  },
  { required: true },
);

describeOn('a windows image', [await engineSupport('20'), await engineSupport('28c')], () => {
  it('is refused: 16 on both sides', async () => {
    await using scene = await startScene({ source: '28c', target: '20' });
    await loadImage(scene.source, { name: 'win:1', layers: [{ 'Files/a': 'a' }], os: 'windows' });
    await using receiver = await scene.receive();
    await using sender = scene.send(receiver, ['win:1']);
    await expectEnd(sender, 16, /win:1: on \S+: an image for windows cannot be loaded on linux/);
    await expectEnd(receiver.imgmv, 16, /an image for windows/);
    expect(await holdings(scene.target)).toEqual(['']);
    await expectGone(receiver);
  });
});

/** As a user that may not use docker. */
function nobody() {
  return {
    argv: (command: readonly string[]) => [
      'setpriv',
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      ...command,
    ],
  };
}

/** What a receiver answers to a WebSocket client that offers `protocol`. */
function offer(port: number, protocol: string): Promise<{ status: number | undefined; protocol: unknown }> {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': protocol,
  };
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, headers }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, protocol: response.headers['sec-websocket-protocol'] });
    });
    asked.on('error', reject);
    asked.end();
  });
}
