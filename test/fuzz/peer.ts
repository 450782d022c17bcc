/** What the other host says once it has proven the code: offers, answers and results, checked against each other. */
import fc from 'fast-check';
import type { Digest, Image } from '../../agent/model/image.ts';
import { familiarName, parseReference } from '../../agent/model/reference.ts';
import type { Planned } from '../../agent/model/sink.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import type { Session } from '../../agent/peer/session.ts';
import { SinkServer } from '../../agent/peer/sink-server.ts';
import { ERROR_CODES, type ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { decodeMessage, encodeMessage, type Message } from '../../proto/messages.ts';
import { MemorySink } from '../memory.ts';
import { message } from './messages.ts';
import { decoded, decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, textLike } from './text.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' } as const;
const digestOf = (n: number): Digest => `sha256:${n.toString(16).padStart(64, '0')}`;
const digest = fc.nat(4).map(digestOf);
const name = textLike(fc.constantFrom('web:1.0', 'host:5000/team/web:2', 'sha256:1', `web@${digestOf(1)}`));

/** A session whose other side says these messages, those that the schema allows, and then ends. */
function sessionOf(all: readonly Buffer[]) {
  const abort = new AbortController();
  const messages = all.flatMap((json) => decoded(['protocol-violation'], () => decodeMessage(json)) ?? []);
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const session = {
    signal: abort.signal,
    peer: { name: 'host-b', engine: { store: 'classic' }, capabilities: ['image'] },
    heard: true,
    nextLane: () => new Promise(() => {}),
    during: (work: Promise<unknown>) =>
      work.catch((error: unknown) => {
        abort.abort(toImgmvError(error));
        throw error;
      }),
    fail: (error: ImgmvError) => abort.abort(error),
    send: async () => {},
    control: {
      sendList: async (list: Message) => {
        encodeMessage(list);
        begin();
      },
    },
    finish: async () => {},
    run: async (handler: (message: Message) => void) => {
      await begun;
      try {
        for (const one of messages) handler(one);
      } catch (error) {
        abort.abort(toImgmvError(error));
      }
    },
  } as unknown as Session;
  return { session, signal: abort.signal, begin };
}

const offer: fc.Arbitrary<Json> = fc
  .record({
    items: fc.array(
      fc.record({
        id: digest,
        store: fc.constantFrom('classic', 'containerd'),
        names: fc.array(fc.record({ source: name, wanted: name }), { maxLength: 2 }),
        diffIds: fc.array(digest, { maxLength: 3 }),
        bytes: fc.nat(),
      }),
      { maxLength: 2 },
    ),
    last: fc.constant(true),
  })
  .map(({ items, last }) => ({
    type: 'offer',
    last,
    items: items.map((one, at) => ({
      ...one,
      item: at,
      kind: 'image',
      root: { mediaType: 'x', digest: one.id, size: 1 },
      platform: PLATFORM,
    })),
  }));

/** Looks at what is offered. */
class OfferSink extends MemorySink {
  offered: readonly Image[] = [];

  override plan(images: readonly Image[]): Promise<readonly Planned[]> {
    this.offered = images;
    return super.plan(images);
  }
}

const offers = target<{ messages: readonly Buffer[]; asks: boolean }>({
  name: 'peer/offers',
  share: 12,
  input: fc.record({
    asks: fc.boolean(),
    messages: fc.array(
      jsonLike(fc.oneof({ weight: 6, arbitrary: offer }, { weight: 1, arbitrary: message })),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
  }),
  check: async ({ messages, asks }) => {
    const { session, begin } = sessionOf(messages);
    begin();
    const server = new SinkServer(session);
    const sink = new OfferSink();
    const shown = asks ? sink : undefined;
    await decodedLater(['protocol-violation'], () =>
      server.serve(sink, { emit: () => {}, planOnly: true, shown }),
    );
    for (const { id, names, diffIds } of sink.offered) {
      holds(
        [id, ...diffIds].every((one) => /^sha256:[0-9a-f]{64}$/.test(one)),
        'ids are digests',
      );
      for (const { source: from, target: to } of names) {
        const reference = parseReference(to);
        holds(
          reference?.tag !== undefined && reference.digest === undefined,
          'a target is a name with a tag',
        );
        holds(reference !== undefined && familiarName(reference) !== 'sha256', 'a target is no id');
        holds(/^[\x21-\x7e]+$/.test(from), 'a source is a word');
      }
    }
  },
});

const OFFERED: readonly Image[] = [0, 1].map((number) => ({
  id: digestOf(number),
  root: { mediaType: 'x', digest: digestOf(number), size: 1 },
  store: 'classic',
  platform: PLATFORM,
  names: number === 0 ? [{ source: 'web:1.0', target: 'web:1.0' }] : [],
  diffIds: [digestOf(2), digestOf(3)],
  layers: [2, 3].map((layer) => ({ digest: digestOf(layer), size: 1 })),
  bytes: 2,
}));

const given = OFFERED.map(({ names }) => names.map((one) => ({ wanted: one.target })));
const said: fc.Arbitrary<Json> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom('send', 'present', 'refuse'), fc.array(digest, { maxLength: 2 })).map(
      ([action, missing]): Json => ({
        type: 'answer',
        items: given.map((names, item) => ({ item, action, names, missing })),
        last: true,
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(2), fc.constantFrom('loaded', 'failed')).map(
      ([item, status]): Json => ({
        type: 'result',
        item,
        status,
        targetId: digestOf(1),
        names: given[item] ?? [],
      }),
    ),
  },
  { weight: 1, arbitrary: message },
);

/** A sender believes no answer or result that goes beyond its own offer. */
const answers = target<{ messages: readonly Buffer[] }>({
  name: 'peer/answers',
  share: 12,
  input: fc.record({ messages: fc.array(jsonLike(said), { minLength: 1, maxLength: 4 }) }),
  check: async ({ messages }) => {
    const { session, signal } = sessionOf(messages);
    const sink = new PeerSink({ session });
    const planned = await decodedLater(['protocol-violation'], () => sink.plan(OFFERED));
    holds(planned !== undefined || signal.aborted, 'what is refused ends the session');
    if (!planned) return;
    holds(planned.length === OFFERED.length, 'each image is answered');
    for (const [at, { answer, open }] of planned.entries()) {
      holds(answer.image === OFFERED[at], 'answers are in the order of the offer');
      const layers = answer.image.layers?.map((layer) => layer.digest) ?? [];
      holds(
        (answer.missing ?? []).every((one) => layers.includes(one)),
        'only offered layers are asked for',
      );
      const names = new Set(answer.refs.map(({ target: given, offered = given }) => offered));
      const renamed = answer.refs.some(({ offered }) => offered !== undefined);
      const left = answer.image.names.map((one) => one.target).filter((one) => names.has(one) || !renamed);
      holds([...names].join() === left.join(), 'only offered names are given, and all where none is another');
      if (answer.action !== 'present') continue;
      const writer = await open(signal);
      const committed = await decodedLater(ANY_FAILURE, () => writer.commit());
      if (!committed || !('targetId' in committed)) continue;
      const given = committed.refs.map(({ target: last, offered: first = last }) => first);
      const offered: readonly string[] = answer.image.names.map((one) => one.target);
      holds(
        given.every((one) => offered.includes(one)),
        'a result is of offered names',
      );
    }
  },
});

/** A receiver may tell of any failure of its own. */
const ANY_FAILURE = ERROR_CODES;

export const peerTargets = [offers, answers];
