/** `imgmv clean`: which of the layers that sessions kept it removes. */
import { expect, it } from 'vitest';
import { clean } from '../../../agent/commands/clean.ts';
import { Helpers } from '../../../agent/docker/helpers.ts';
import type { Event } from '../../../agent/model/events.ts';
import { fakeEngine } from '../docker/fake-engine.ts';

const { signal } = new AbortController();
const DAY_S = 24 * 3_600;

/** Private names by who left them. */
function privateNames(running: Helpers) {
  const secondsAgo = (name: string, ago: number) =>
    name.replace(/-[0-9]{10}-/, `-${Math.floor(Date.now() / 1000) - ago}-`);
  using ended = new Helpers('fedcba987654');
  return {
    running: secondsAgo(running.nextName(), DAY_S - 60),
    elsewhere: running.nextName().replace(/-[0-9a-f]{8}-/, '-01234567-'),
    tooLong: secondsAgo(running.nextName(), DAY_S + 60),
    elsewhereTooLong: secondsAgo(running.nextName().replace(/-[0-9a-f]{8}-/, '-01234567-'), DAY_S + 60),
    ended: ended.nextName(),
  };
}

/** The names that `clean` has had the engine remove, and what it tells of those that stay. */
async function cleaned(names: readonly string[], force: boolean) {
  const asked: string[] = [];
  const listed = names.map((name) => ({ Id: `sha256:${'0'.repeat(64)}`, RepoTags: [name], Size: 1 }));
  await using fake = await fakeEngine(
    () => {},
    (_request, response) => void response.end(JSON.stringify(listed)),
    undefined,
    ({ method, url = '' }, response) => {
      asked.push(`${method} ${decodeURIComponent(url)}`);
      response.end('[]');
    },
  );
  const events: Event[] = [];
  const engine = { dockerHost: fake.dockerHost, env: {} };
  await clean({ engine, force, emit: (event) => events.push(event), signal });
  const told = events.find(({ event }) => event === 'cleaned') as Extract<Event, { event: 'cleaned' }>;
  expect(asked).toEqual(told.removed.map(({ name }) => `DELETE /images/${name}?noprune=1`));
  return { removed: told.removed.map(({ name }) => name), kept: told.kept };
}

it.each([false, true])(
  'removes what a session may use only once it is over or with force: %s',
  async (force) => {
    using session = new Helpers('0123456789ab');
    // The session of this name still runs, for which it has to be there when `clean` looks.
    const { running, elsewhere, ...others } = privateNames(session);
    const inUse = [running, elsewhere];
    const over = Object.values(others);
    const { removed, kept } = await cleaned([...inUse, 'web:1', 'imgmv-incoming:mine', ...over], force);
    expect(removed).toEqual(force ? [...inUse, ...over] : over);
    expect(kept.map(({ name, reason }) => [name, reason])).toEqual(
      force
        ? []
        : [
            [running, expect.stringContaining('is still running: --force')],
            [elsewhere, expect.stringContaining('cannot be seen from here')],
          ],
    );
  },
);
