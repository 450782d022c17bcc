/** What options mean, and what people see: text from elsewhere shows as text. */
import { Writable } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import fc from 'fast-check';
import type { Event } from '../../agent/model/events.ts';
import { escapeText } from '../../cli/escape.ts';
import { nameOf } from '../../cli/names.ts';
import {
  countUpTo,
  durationBetween,
  parseLevel,
  parseListen,
  parseReconnect,
  parseSize,
  parseTarget,
} from '../../cli/options.ts';
import { JsonRenderer } from '../../cli/renderer-json.ts';
import { TextRenderer } from '../../cli/renderer-text.ts';
import { htmlReport } from '../../cli/report/html.ts';
import { jsonReport } from '../../cli/report/json.ts';
import { markdownReport } from '../../cli/report/markdown.ts';
import type { ReportCommand } from '../../cli/report/model.ts';
import { Report } from '../../cli/report/report.ts';
import { UNSAFE } from '../unsafe-text.ts';
import { holds } from './refusal.ts';
import { target } from './target.ts';
import { nastyText, textLike } from './text.ts';

/** Commander's own error is how a value is refused: it makes a usage error of it. */
function value<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InvalidArgumentError) return undefined;
    throw new Error('threw what commander does not take', { cause: error });
  }
}

const durations = target({
  name: 'options/duration',
  share: 10,
  input: textLike(fc.constantFrom('90s', '10m', '2h', '7d', '999999d', '0s', '000001s')),
  check: (text) => {
    const ms = value(() => parseReconnect(text));
    const bounded = value(() => durationBetween(10_000, 86_400_000)(text));
    if (bounded !== undefined)
      holds(bounded === ms && bounded >= 10_000 && bounded <= 86_400_000, 'it is bounded');
    if (ms === undefined) return;
    holds(Number.isSafeInteger(ms) && ms > 0, 'a duration is a positive number of milliseconds');
    holds(ms < 2 ** 31, 'a timer can be set to it');
    holds(/^[0-9]{1,6}[smhd]$/.test(text), 'a duration is a number and a unit');
  },
});

const sizes = target({
  name: 'options/size',
  share: 5,
  input: textLike(fc.constantFrom('500MB', '2GiB', '1000TiB', '1001TiB', '999999TB', '0kB', '000001KiB')),
  check: (text) => {
    const bytes = value(() => parseSize(text));
    if (bytes === undefined) return;
    holds(Number.isSafeInteger(bytes) && bytes > 0 && bytes <= 1_000 * 2 ** 40, 'a size is bounded');
    holds(/^[0-9]{1,6}([kMGT]B|[KMGT]iB)$/.test(text), 'a size is a number and a unit');
  },
});

const numbers = target({
  name: 'options/number',
  share: 10,
  input: textLike(fc.nat(1_100).map(String)),
  check: (text) => {
    const level = value(() => parseLevel(text));
    const count = value(() => countUpTo(1_000)(text));
    for (const [number, max] of [
      [level, 19],
      [count, 1_000],
    ] as const) {
      if (number === undefined) continue;
      holds(Number.isInteger(number) && number >= 1 && number <= max, 'a number is within its bounds');
      holds(/^[0-9]+$/.test(text), `a number is written in digits: ${JSON.stringify(text)}`);
    }
  },
});

const listens = target({
  name: 'options/listen',
  share: 10,
  input: textLike(
    fc.constantFrom(
      '7373',
      ':7373',
      '0.0.0.0:80',
      '[::1]:7373',
      '[::]',
      '10.0.0.2',
      '*:1',
      'localhost:0',
      ':65535',
    ),
  ),
  check: (text) => {
    const listen = value(() => parseListen(text));
    if (!listen) return;
    const { address, port } = listen;
    holds(Number.isInteger(port) && port >= 0 && port <= 65_535, 'a port is one');
    holds(
      address === undefined || /^[^\s[\]]+$/.test(address),
      `an address is a word: ${JSON.stringify(address)}`,
    );
  },
});

const hosts = target({
  name: 'options/target',
  share: 10,
  input: textLike(
    fc.constantFrom(
      'host-b',
      'host-b:7400',
      '10.0.0.2',
      '[::1]:7373',
      '::1',
      'fe80::1',
      'ws://host:80',
      'wss://images.example.com/host-b?x=1',
      'WS://HOST/',
      'münchen.example',
    ),
  ),
  check: (text) => {
    const href = value(() => parseTarget(text));
    if (href === undefined) return;
    const url = new URL(href);
    holds(url.protocol === 'ws:' || url.protocol === 'wss:', 'it is a WebSocket');
    holds(
      url.hostname !== '' && url.hash === '' && url.username === '' && url.password === '',
      'it is a host',
    );
    holds(/^[\x21-\x7e]+$/.test(href), 'it shows');
    const typed = /:([0-9]+)(?:[/?].*)?$/.exec(text)?.[1];
    if (url.protocol === 'ws:' && url.port === '') holds(Number(typed) === 80, 'port 80 has to be asked for');
  },
});

const escapes = target({
  name: 'terminal/escape',
  share: 20,
  input: nastyText,
  check: (text) => {
    const shown = escapeText(text);
    holds(!UNSAFE.test(shown), `nothing unsafe is shown: ${JSON.stringify(shown)}`);
    if (!UNSAFE.test(text)) holds(shown === text, 'what is safe is shown as it is');
  },
});

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const name = fc.record({ source: nastyText, target: nastyText });
const refs = fc.array(name, { maxLength: 2 });
const bytes = fc.nat();
const optionally = <T>(some: fc.Arbitrary<T>) => fc.option(some);

const keeper = fc.record({ kind: nastyText, version: nastyText, store: nastyText });

/** All events that hold anything of the other host or of an engine; digests and numbers are checked before. */
const event = fc.oneof(
  fc.record({
    event: fc.constant('engine'),
    address: nastyText,
    foundBy: nastyText,
    kind: nastyText,
    version: nastyText,
    store: nastyText,
  }),
  fc.record({
    event: fc.constant('paired'),
    peer: fc.record({ name: nastyText, address: nastyText, key: fc.constant(''), engine: keeper }),
    role: fc.constant('sender'),
  }),
  fc.record({
    event: fc.constant('plan'),
    only: fc.boolean(),
    target: fc.constantFrom('host-b', undefined),
    images: fc.array(
      fc.record({
        id: fc.constant(DIGEST),
        platform: nastyText,
        refs: refs.map((all) => all.map((ref) => ({ ...ref, replaces: DIGEST }))),
        action: fc.constantFrom('send', 'present', 'refuse'),
        reason: optionally(nastyText),
        warning: optionally(nastyText),
        layers: fc.nat(3),
        layersMissing: fc.nat(2),
        bytes,
        bytesMissing: bytes,
        idChange: optionally(fc.constant('another store')),
        layerList: fc.constant([{ digest: DIGEST, bytes: 5, missing: true }]),
      }),
      { maxLength: 3 },
    ),
    needs: fc.option(
      fc.array(
        fc.record({
          kind: fc.constantFrom('build', 'env-file', 'volume', 'bind-mount', 'config', 'secret', 'network'),
          name: nastyText,
          external: fc.boolean(),
          from: optionally(nastyText),
          services: fc.array(nastyText, { maxLength: 2 }),
          file: nastyText,
          line: fc.nat(9),
        }),
        { maxLength: 3 },
      ),
      { nil: undefined },
    ),
  }),
  fc.record({
    event: fc.constant('image'),
    id: fc.constant(DIGEST),
    platform: nastyText,
    refs: refs.map((all) => all.map((ref) => ({ ...ref, replaced: DIGEST }))),
    status: fc.constantFrom('loaded', 'present', 'failed'),
    targetId: optionally(fc.constant(DIGEST)),
    bytes,
    wireBytes: bytes,
    layersSent: fc.nat(9),
    layersSkipped: fc.nat(9),
    startedAt: fc.nat(999),
    seconds: fc.nat(999),
    phases: fc.record({ transfer: fc.nat(99), load: fc.nat(99), push: optionally(fc.nat(99)) }),
    kept: fc.nat(5),
    error: optionally(
      fc.record({ code: fc.constant('refused'), message: nastyText, hint: optionally(nastyText) }),
    ),
    pushed: fc.array(
      fc.record({
        ref: nastyText,
        digest: fc.constant(DIGEST),
        warning: optionally(nastyText),
        error: optionally(
          fc.record({ code: fc.constant('push-failed'), message: nastyText, hint: optionally(nastyText) }),
        ),
      }),
      { maxLength: 2 },
    ),
  }),
  fc.record({
    event: fc.constant('progress'),
    id: fc.constant(DIGEST),
    refs,
    phase: fc.constantFrom('transfer', 'load', 'push'),
    bytes,
    bytesTotal: bytes,
    wireBytes: bytes,
    kept: bytes,
    rate: bytes,
    wireRate: bytes,
    bottleneck: fc.constantFrom('save', 'compress', 'network', 'load', null),
    limit: optionally(fc.record({ rate: bytes, by: fc.constantFrom('sender', 'receiver') })),
    stalledSeconds: fc.nat(9),
  }),
  fc.record({
    event: fc.constant('cleaned'),
    removed: fc.array(fc.record({ name: nastyText, image: fc.constant(null), bytes, since: nastyText }), {
      maxLength: 2,
    }),
    kept: fc.array(
      fc.record({
        name: nastyText,
        image: fc.constant(DIGEST),
        bytes,
        since: nastyText,
        reason: fc.constant('in use'),
      }),
      { maxLength: 2 },
    ),
    freedBytes: optionally(bytes),
  }),
  fc.record({
    event: fc.constant('check'),
    name: fc.constant('engine'),
    status: fc.constantFrom('ok', 'warning', 'fault'),
    message: nastyText,
    hint: optionally(nastyText),
    code: fc.constant(undefined),
  }),
  fc.record({
    event: fc.constant('error'),
    code: fc.constant('refused'),
    exit: fc.constant(16),
    message: nastyText,
    hint: optionally(nastyText),
  }),
) as unknown as fc.Arbitrary<Event>;

/** All that we colour with. */
const PAINT = ['0', '31', '32', '33'].map((color) => `\u001b[${color}m`);

class Shown extends Writable {
  text = '';

  override write(chunk: unknown): boolean {
    this.text += String(chunk);
    return true;
  }
}

const rendered = target<{ events: readonly Event[]; color: boolean }>({
  name: 'terminal/events',
  share: 10,
  input: fc.record({ events: fc.array(event, { minLength: 1, maxLength: 3 }), color: fc.boolean() }),
  check: ({ events, color }) => {
    const [stream, json] = [new Shown(), new Shown()];
    const renderer = new TextRenderer({
      stream: stream as unknown as NodeJS.WriteStream,
      result: stream,
      quiet: false,
      color,
    });
    const jsonRenderer = new JsonRenderer(json);
    for (const one of events) {
      renderer.render(one);
      jsonRenderer.render(one);
    }
    const shown = stream.text;
    const ours = color ? PAINT.reduce((text, paint) => text.replaceAll(paint, ''), shown) : shown;
    holds(!UNSAFE.test(ours.replaceAll('\n', '')), `nothing unsafe is shown: ${JSON.stringify(ours)}`);
    const lines = json.text.split('\n');
    holds(lines.length === events.length + 1 && lines.at(-1) === '', 'an event is one line');
    for (const [at, line] of lines.slice(0, -1).entries()) {
      const told = JSON.parse(line) as Event;
      holds(told.event === events[at]?.event, 'a line is its event');
    }
  },
});

/** The beginning of an element that is not whole, or of none: text that was not escaped. */
const ELEMENT = /<(?!\/?(?:[a-z]+[1-6]?)(?: [a-z-]+="[^"<>]*")*>|!doctype html>)/;

const reported = target<{ events: readonly Event[]; command: ReportCommand }>({
  name: 'report/forms',
  share: 20,
  input: fc.record({
    events: fc.array(event, { minLength: 1, maxLength: 5 }),
    command: fc.constantFrom('send', 'receive', 'copy'),
  }),
  check: ({ events, command }) => {
    const report = new Report({ command });
    for (const one of events) report.add(one);
    const data = report.data(1);
    const [json, markdown, page] = [jsonReport(data), markdownReport(data), htmlReport(data)];
    for (const form of [json, markdown, page])
      holds(!UNSAFE.test(form.replaceAll('\n', '')), 'nothing unsafe is shown');
    holds(JSON.stringify(JSON.parse(json)) === JSON.stringify(data), 'the JSON report is the report');
    holds(!ELEMENT.test(page.replace(/<style>[^<]*/, '')), 'the page has no element that is half one');
    const columns = markdown.split('\n').filter((line) => line.startsWith('|'));
    const widths = new Set(columns.map((line) => line.split('|').length));
    holds(widths.size <= 2, 'the tables have whole rows');
  },
});

const names = target<{ refs: readonly { source: string; target: string }[]; id: string }>({
  name: 'terminal/names',
  share: 10,
  input: fc.record({ refs, id: fc.oneof(fc.constant(DIGEST), nastyText) }),
  check: (image) => {
    holds(!UNSAFE.test(escapeText(nameOf(image))), 'a name shows');
  },
});

export const commandLineTargets = [
  durations,
  sizes,
  numbers,
  listens,
  hosts,
  escapes,
  rendered,
  reported,
  names,
];
