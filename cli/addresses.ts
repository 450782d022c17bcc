/** The address of this host that the other one most likely reaches it by. */
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

const BRIDGES = /^(docker|br-|veth|cni|flannel|cali|virbr|podman|lxc)/;

/** The default route's own address; without one the first of an interface that is no bridge; else loopback. */
export async function ownAddress(): Promise<string> {
  return (await defaultRouteAddress()) ?? interfaceAddress() ?? '127.0.0.1';
}

/** Connecting a UDP socket sends nothing; it makes the kernel choose a route (connect(2)). */
function defaultRouteAddress(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const done = (address: string | undefined) => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => done(undefined));
    socket.once('connect', () => done(socket.address().address));
    // TEST-NET-3 (RFC 5737): nobody's address, so only a default route leads there. A callback here would
    // also take the error of a host without one, and then the address would be 0.0.0.0.
    socket.connect(9, '203.0.113.1');
  });
}

function interfaceAddress(): string | undefined {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !BRIDGES.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .sort((a, b) => a.family.localeCompare(b.family))[0]?.address;
}

export function withPort(host: string, port: number): string {
  return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}
