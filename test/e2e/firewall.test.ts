/** What a sender says of a firewall, by how it keeps the connection out. Real ones, between two hosts. No engine is needed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { classicTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { CABLE, type Hosts, hostSupport, twoHosts } from '../rig/hosts.ts';
import { IMGMV, runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';
import { startTmux } from '../rig/tmux.ts';
import { expectEnd } from './scene.ts';

const A_IPV6 = 'fd00:7373::1';
const B_IPV6 = 'fd00:7373::2';

describeOn(
  'a firewall',
  [await hostSupport(), await supportOf(() => requirePrograms('ip6tables', 'tmux'))],
  () => {
    let hosts: Hosts;
    let scratch: ScratchDirectory;
    let archive: string;

    const on = (host: 'a' | 'b', ...command: string[]) => run(hosts[host].argv(command));

    beforeAll(async () => {
      hosts = await twoHosts();
      scratch = await scratchDirectory();
      archive = join(scratch.path, 'image.tar');
      await writeFile(archive, classicTar(await testImage()));
      for (const [host, address] of [
        ['a', A_IPV6],
        ['b', B_IPV6],
      ] as const)
        await on(host, 'ip', 'address', 'add', `${address}/64`, 'dev', CABLE, 'nodad');
    });
    afterAll(async () => {
      await hosts?.[Symbol.asyncDispose]();
      await scratch?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      for (const tables of ['iptables', 'ip6tables']) await on('b', tables, '--flush', 'INPUT');
    });

    const sending = (to: string) => ['send', '--from', `docker-archive:${archive}`, '--to', to];
    const send = (to: string, ...more: readonly string[]) =>
      runImgmv([...sending(to), ...more, '--code-file', '-'], {
        host: hosts.a,
        input: generateCode().reveal(),
      });
    const rule = (...jump: readonly string[]) => [
      'INPUT',
      '--protocol',
      'tcp',
      '--dport',
      '7373',
      '--jump',
      ...jump,
    ];
    const wayThrough = (host: string) =>
      `open TCP port 7373 on ${host} for this host, or run \`ssh -N -L 7373:localhost:7373 ${host}\` here and give localhost:7373 as the host\n`;

    it.each(['icmp-admin-prohibited', 'icmp-host-prohibited', 'icmp-host-unreachable'])(
      'that rejects with %s is called one, with two ways through',
      async (how) => {
        await on('b', 'iptables', '--append', ...rule('REJECT', '--reject-with', how));
        const { address } = hosts.b;
        await using sender = send(address);
        const { code } = await sender.exit;
        expect([code, sender.stderr]).toEqual([
          11,
          expect.stringContaining(
            `imgmv: ${address}:7373 cannot be reached: most likely a firewall rejects the connection\n  ${wayThrough(address)}`,
          ),
        ]);
      },
    );

    it('of IPv6 that prohibits is called one, too', async () => {
      await on('b', 'ip6tables', '--append', ...rule('REJECT', '--reject-with', 'icmp6-adm-prohibited'));
      await using sender = send(`[${B_IPV6}]`);
      await expectEnd(
        sender,
        11,
        /^imgmv: \[fd00:7373::2\]:7373 cannot be reached: most likely a firewall rejects/m,
      );
      expect(sender.stderr).toContain(wayThrough(B_IPV6));
    });

    it.each([['icmp-port-unreachable'], ['tcp-reset']])(
      'that rejects with %s cannot be told from a port on which nothing listens',
      async (how) => {
        await on('b', 'iptables', '--append', ...rule('REJECT', '--reject-with', how));
        await using sender = send(hosts.b.address);
        await expectEnd(
          sender,
          11,
          /refused the connection: nothing listens there, or a firewall rejects it\n.* if it runs, open that port in the firewall/,
        );
      },
    );

    it('that drops is guessed from the silence', async () => {
      await on('b', 'iptables', '--append', ...rule('DROP'));
      await using sender = send(hosts.b.address, '--connect-timeout', '2s');
      await expectEnd(
        sender,
        11,
        /did not answer within 2 s\n {2}a firewall may drop the connection: open TCP port 7373/,
      );
    });

    it('is told before the code is asked for', async () => {
      await on('b', 'iptables', '--append', ...rule('REJECT', '--reject-with', 'icmp-admin-prohibited'));
      const command = hosts.a.argv([process.execPath, IMGMV, ...sending(hosts.b.address)]);
      await using terminal = await startTmux(command.join(' '), { columns: 120, rows: 30 });
      const end = await terminal.shows(/exit status 11$/);
      expect(end).toContain('most likely a firewall rejects');
      expect(end).not.toContain('hidden');
    });

    it('is not what keeps a host out that is down', async () => {
      await on('a', 'ip', 'address', 'add', '192.0.2.1/24', 'dev', CABLE);
      await using sender = send('192.0.2.77');
      await expectEnd(sender, 11, /192\.0\.2\.77:7373 cannot be reached: nothing answers at that address\n/);
    });

    it('is not what keeps a host out to which there is no route', async () => {
      await using sender = send('198.51.100.1');
      await expectEnd(sender, 11, /198\.51\.100\.1:7373 cannot be reached from here: there is no route/);
    });
  },
  { required: true },
);
