import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sshConnection } from '../../../agent/docker/ssh.ts';

let bin: string;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'imgmv-ssh-'));
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(bin, { recursive: true });
});

it('leaves the terminal to each login, which may ask for a password', async () => {
  writeFileSync(join(bin, 'ssh'), '#!/bin/sh\necho no such host >&2\nexit 255\n', { mode: 0o755 });
  const connection = sshConnection({ address: 'ssh://somebody@nowhere.invalid', foundBy: 'a test' });
  const logins: string[] = [];
  const lendTerminal = async <T>(work: () => Promise<T>): Promise<T> => {
    logins.push('begins');
    return work().finally(() => logins.push('ends'));
  };
  await expect(connection.open({ lendTerminal })).rejects.toMatchObject({ code: 'engine-unavailable' });
  expect(logins).toEqual(['begins', 'ends']);
  // A connection that finds no login makes one.
  const failed = new Promise((resolve) => {
    request({ host: 'docker', agent: connection.callAgent }).once('error', resolve).end();
  });
  expect(await failed).toMatchObject({ code: 'engine-unavailable' });
  expect(logins).toEqual(['begins', 'ends', 'begins', 'ends']);
  connection.close();
});
