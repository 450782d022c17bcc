/** What the hint of an error is, by what the error is about or its code, and by the command that shows it. */
import { describe, expect, it } from 'vitest';
import { errorEvent, tellError } from '../../agent/model/events.ts';
import { fromWire } from '../../agent/peer/failure.ts';
import { pushedFromWire } from '../../agent/peer/pushed.ts';
import { withHints } from '../../cli/hints.ts';
import { type About, type ErrorCode, errorToldByPeer, ImgmvError } from '../../proto/errors.ts';

type Command = Parameters<typeof withHints>[1];

function shownOf(error: ImgmvError, command: Command): unknown {
  return withHints(errorEvent(error), command);
}

function error(code: ErrorCode, about?: About): ImgmvError {
  return new ImgmvError(code, 'why', { about });
}

const A_NAME = 'a name such as registry.example/team/web:1.0 does';
const ALLOW_PUSH = "`imgmv receive --allow-push 'registry.example/team/*'`";

it.each<[ErrorCode, About | undefined, Command, string | null]>([
  ['code-expired', undefined, 'receive', 'run `imgmv receive` again; --ttl gives it a longer life'],
  ['code-expired', 'told-by-peer', 'send', 'start `imgmv receive` there again for a new code'],
  ['code-burnt', undefined, 'receive', expect.stringContaining('unless one follows by itself')],
  ['code-burnt', 'told-by-peer', 'send', 'look there for a new code, or start `imgmv receive` again'],
  ['session-too-long', undefined, 'receive', '--max-session allows more'],
  ['session-too-long', 'told-by-peer', 'send', 'see what it shows'],
  ['role-mismatch', undefined, 'send', 'one host runs `imgmv receive`, the other `imgmv send`'],
  ['role-mismatch', 'told-by-peer', 'send', 'one host runs `imgmv receive`, the other `imgmv send`'],
  ['handshake-failed', undefined, 'send', null],
  ['handshake-failed', 'altered-handshake', 'send', expect.stringContaining('older version')],
  ['handshake-failed', 'told-by-peer', 'send', expect.stringContaining('older version')],
  ['not-imgmv', undefined, 'send', expect.stringMatching(/^is something else on that port\?/)],
  ['not-imgmv', 'other-web-server', 'send', expect.stringMatching(/^is another web server on that port\?/)],
  ['usage', undefined, 'receive', null],
  ['usage', 'port-in-use', 'receive', expect.stringContaining('--listen ADDR:PORT')],
  ['usage', 'long-name', 'send', 'name the image by its id, and --as NAME'],
  ['usage', 'long-name', 'copy', expect.stringContaining('in DEST')],
  ['usage', 'long-name', undefined, expect.stringContaining('`imgmv send`')],
  ['image-not-found', undefined, 'send', null],
  ['image-not-found', 'engine-images', 'send', '`imgmv ls` lists what is there'],
  ['image-not-found', 'engine-images', undefined, expect.stringMatching(/^`imgmv ls` .*--docker-host ssh:/)],
  [
    'refused',
    'push-not-allowed',
    'send',
    `${ALLOW_PUSH} there allows it; the code is used, and that shows a new one`,
  ],
  ['refused', 'push-not-allowed', 'receive', expect.stringMatching(/allows it, with the credentials/)],
  ['push-failed', 'no-registry-named', 'send', `${A_NAME}; --as, --retag or --registry give it one`],
  ['push-failed', 'no-registry-named', 'receive', `${A_NAME}; --retag or --registry give it one`],
  ['push-failed', 'no-registry-named', 'copy', `${A_NAME}; --retag or --registry give it one`],
  ['push-failed', 'no-name', 'receive', expect.stringContaining('--as')],
  ['push-failed', 'no-name', 'copy', expect.stringContaining('as DEST')],
])('%s, %s, shown by %s', (code, about, command, hint) => {
  expect(shownOf(error(code, about), command)).toEqual({ ...errorEvent(error(code)), hint });
});

it.each<[ErrorCode, Command]>([
  ['peer-lost', 'send'],
  ['usage', 'receive'],
])('its own hint comes first: %s, shown by %s', (code, command) => {
  const own = new ImgmvError(code, 'why', { hint: 'do', about: 'port-in-use' });
  expect(shownOf(own, command)).toMatchObject({ hint: 'do' });
});

it('of what happened on the other host only that host gives one', () => {
  const told = { code: 'peer-lost', message: 'why' } as const;
  expect(shownOf(fromWire(told, 'host-b'), 'send')).toMatchObject({ hint: null });
  expect(shownOf(fromWire({ ...told, hint: 'do' }, 'host-b'), 'send')).toMatchObject({
    hint: 'hint from host-b: do',
  });
});

it('a close code with a time to wait says how long', () => {
  expect(shownOf(errorToldByPeer('try-later', 'wait 15 s'), 'send')).toMatchObject({
    hint: 'wait 15 s, then try again',
  });
  expect(shownOf(errorToldByPeer('try-later', 'rm -rf /'), 'send')).toMatchObject({
    hint: 'wait, then try again',
  });
});

describe('in the events of an image', () => {
  const id = `sha256:${'a'.repeat(64)}`;
  const lost = tellError(error('peer-lost'));
  const hint = 'run both commands again: `imgmv receive` on the target, `imgmv send` on the source';

  it('is that of its error, and of each push', () => {
    const [pushed] = pushedFromWire([{ target: 'web:1.0', problem: 'no-registry-named' }], 'host-b');
    const shown = withHints(
      {
        event: 'image',
        id,
        platform: 'linux/amd64',
        refs: [],
        status: 'failed',
        targetId: null,
        bytes: 0,
        wireBytes: 0,
        layersSent: 0,
        layersSkipped: 0,
        startedAt: 0,
        seconds: 0,
        phases: { transfer: 0, load: 0, push: null },
        kept: 0,
        error: lost,
        pushed: [
          { ref: 'web:1.0', digest: null, warning: null, error: tellError(pushed?.error as ImgmvError) },
          { ref: 'r.example/web:1.0', digest: id, warning: null, error: null },
        ],
      },
      'send',
    );
    const there = `on host-b: web:1.0 was not pushed: it names no registry`;
    // As it goes to a script: what an error is about is no part of that.
    expect(JSON.parse(JSON.stringify(shown))).toMatchObject({
      error: { code: 'peer-lost', message: 'why', hint },
      pushed: [
        { error: { code: 'push-failed', message: there, hint: expect.stringContaining('--as') } },
        { error: null },
      ],
    });
    expect(JSON.stringify(shown)).not.toContain('about');
  });

  it('is that of what is tried again', () => {
    const event = { event: 'retrying', id, refs: [], attempt: 1, waitSeconds: 1, error: lost } as const;
    expect(withHints(event, 'receive')).toEqual({ ...event, error: { ...lost, hint } });
  });
});
