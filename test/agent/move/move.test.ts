import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { RenamingSink } from '../../../agent/ends/renaming-sink.ts';
import type { Event } from '../../../agent/model/events.ts';
import type { Blob, Image } from '../../../agent/model/image.ts';
import type {
  Answer,
  Committed,
  ImageWriter,
  Outcome,
  Pushed,
  Retry,
  Sink,
} from '../../../agent/model/sink.ts';
import { exitOf, type Settled } from '../../../agent/move/ledger.ts';
import { type MoveOptions, move } from '../../../agent/move/move.ts';
import { longestWait } from '../../../agent/move/passage.ts';
import { retryPauseMs } from '../../../agent/streams/retry-pause.ts';
import { deferred } from '../../../proto/deferred.ts';
import { type ErrorCode, ImgmvError } from '../../../proto/errors.ts';
import { type MemoryImage, MemorySink, MemorySource, testImage } from '../../memory.ts';

vi.mock(import('../../../agent/streams/retry-pause.ts'), () => ({ retryPauseMs: vi.fn(() => 10) }));
beforeEach(() => {
  vi.mocked(retryPauseMs).mockReset();
});

interface Run {
  readonly ledger: Settled;
  readonly events: readonly Event[];
}

async function moved(
  source: MemorySource,
  sink: Sink,
  { signal = new AbortController().signal, jobs = 2, retries = 0 }: Partial<MoveOptions> = {},
): Promise<Run> {
  const events: Event[] = [];
  const ledger = await move(source, sink, {
    signal,
    jobs,
    retries,
    emit: (event) => events.push(event),
    wireBytes: () => 0,
  });
  return { ledger, events };
}

const images = (...names: readonly string[]): Promise<MemoryImage[]> =>
  Promise.all(names.map((name) => testImage({ name, layers: [{ base: name }, { top: name }] })));

describe('a move', () => {
  it('plans first, then settles image by image, then sums up', async () => {
    const [one, two] = await images('one:1', 'two:1');
    if (!one || !two) throw new Error('no images');
    const source = new MemorySource([one, two]);
    const sink = new MemorySink();
    const { ledger, events } = await moved(source, sink);
    expect(events.map(({ event }) => event)).toEqual(['plan', 'image', 'image', 'done']);
    expect(source.expected.map(({ from }) => from.image)).toEqual([one.image, two.image]);
    expect(ledger.outcomes.map(({ image, status }) => [image.id, status])).toEqual([
      [one.image.id, 'loaded'],
      [two.image.id, 'loaded'],
    ]);
    const bytes = [one, two].flatMap(({ blobs }) => blobs).reduce((sum, blob) => sum + blob.bytes.length, 0);
    expect(events.at(-1)).toMatchObject({ event: 'done', images: 2, failed: 0, bytes, exit: 0 });
    expect(ledger.exit).toBe(0);
    expect(sink.images.size).toBe(2);
  });

  describe('into a sink that has to be finished', () => {
    const sinkThat = (finish: () => Promise<void>) => new MemorySink({ finish });

    it('finishes it once, behind the last image and before any is told', async () => {
      const source = new MemorySource(await images('one:1', 'two:1', 'three:1'));
      const told: number[] = [];
      const events: Event[] = [];
      const sink: MemorySink = sinkThat(async () => {
        told.push(sink.images.size, events.filter(({ event }) => event === 'image').length);
      });
      const { signal } = new AbortController();
      const emit = (event: Event) => void events.push(event);
      const { exit } = await move(source, sink, { signal, emit, jobs: 2, retries: 0, wireBytes: () => 0 });
      expect([exit, told]).toEqual([0, [3, 0]]);
      expect(events.filter(({ event }) => event === 'image')).toHaveLength(3);
    });

    it('finishes it behind the last try', async () => {
      const made = await images('bad:1', 'good:1');
      const steps: string[] = [];
      let tries = 0;
      const sink = new (class extends MemorySink {
        override async writer(...[answer, until]: Parameters<MemorySink['writer']>): Promise<ImageWriter> {
          const writer = await super.writer(answer, until);
          const commit = async () => {
            if (answer.image === made[0]?.image && tries++ === 0)
              throw new ImgmvError('engine-refused', 'no');
            steps.push(answer.image.names[0]?.source ?? '');
            return writer.commit();
          };
          return { ...writer, commit };
        }
      })({ finish: async () => void steps.push('finish') });
      const { ledger } = await moved(new MemorySource(made), sink, { retries: 1 });
      expect([ledger.exit, steps]).toEqual([0, ['good:1', 'bad:1', 'finish']]);
    });

    it('fails every image that had arrived where that fails', async () => {
      const source = new MemorySource(await images('one:1', 'two:1'));
      const full = new ImgmvError('refused', 'no room', { hint: 'make room' });
      const { ledger, events } = await moved(
        source,
        sinkThat(() => Promise.reject(full)),
      );
      expect(ledger.outcomes.map(({ status, error }) => [status, error?.message, error?.hint])).toEqual([
        ['failed', 'no room', 'make room'],
        ['failed', 'no room', 'make room'],
      ]);
      expect(events.filter(({ event }) => event === 'image')).toMatchObject([
        { status: 'failed' },
        { status: 'failed' },
      ]);
      expect([ledger.exit, events.at(-1)]).toMatchObject([16, { failed: 2 }]);
    });

    it('does not, when the run is stopped', async () => {
      const stop = new AbortController();
      const reason = new ImgmvError('sigint', 'stopped by the test');
      const sink = new (class extends MemorySink {
        override async writer(...args: Parameters<MemorySink['writer']>): Promise<ImageWriter> {
          const writer = await super.writer(...args);
          const commit = async () => {
            const end = await writer.commit();
            stop.abort(reason);
            return end;
          };
          return { ...writer, commit };
        }
      })({ finish: () => Promise.reject(new Error('it was finished')) });
      const source = new MemorySource(await images('one:1', 'two:1'));
      const { ledger } = await moved(source, sink, { signal: stop.signal, jobs: 1 });
      expect(ledger.outcomes.map(({ error }) => error)).toEqual([reason, reason]);
      expect(ledger.exit).toBe(130);
    });
  });

  it('asks no blobs of an image that is present or refused', async () => {
    const [there, refused, sent] = await images('there:1', 'refused:1', 'sent:1');
    if (!there || !refused || !sent) throw new Error('no images');
    const sink = new MemorySink({ refusal: (image) => (image === refused.image ? 'not here' : undefined) });
    await moved(new MemorySource([there]), sink);
    const asked: Image[] = [];
    const source = new (class extends MemorySource {
      override blobs(...[one, ...rest]: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
        asked.push(one.image);
        return super.blobs(one, ...rest);
      }
    })([there, refused, sent]);
    const { ledger, events } = await moved(source, sink);
    expect(asked).toEqual([sent.image]);
    expect(ledger.outcomes.map(({ status }) => status)).toEqual(['present', 'refused', 'loaded']);
    expect(ledger.outcomes[1]?.error).toMatchObject({ code: 'refused', message: 'not here' });
    expect(events.filter(({ event }) => event === 'image')).toMatchObject([
      { bytes: 0, layersSent: 0, layersSkipped: 2, error: null },
      { bytes: 0, error: { code: 'refused', message: 'not here', hint: null } },
      { layersSent: 2, layersSkipped: 0, error: null },
    ]);
    expect(ledger.exit).toBe(17);
  });

  it('tells the source of the next image once one travels, and not of one that is not to be sent', async () => {
    const [one, refused, two] = await images('one:1', 'refused:1', 'two:1');
    if (!one || !refused || !two) throw new Error('no images');
    const steps: string[] = [];
    const source = new (class extends MemorySource {
      override async *blobs(...[image, ...rest]: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
        yield* super.blobs(image, ...rest);
        steps.push(`${image.image.names[0]?.source} sent`);
      }
      override prepare(image: Image): void {
        steps.push(`${image.names[0]?.source} next`);
      }
    })([one, refused, two]);
    await moved(source, new MemorySink({ refusal: (image) => (image === refused.image ? 'no' : undefined) }));
    expect(steps).toEqual(['two:1 next', 'one:1 sent', 'two:1 sent']);
  });

  it('gives up an image whose layers vanish as fast as they come', async () => {
    const [one] = await images('one:1');
    if (!one) throw new Error('no image');
    let rounds = 0;
    const sink = new (class extends MemorySink {
      override async writer(...args: Parameters<MemorySink['writer']>): Promise<ImageWriter> {
        const writer = await super.writer(...args);
        return {
          ...writer,
          write: async (blob) => {
            for await (const _ of blob.body);
          },
          commit: async () => {
            rounds++;
            return { missing: one.image.diffIds };
          },
        };
      }
    })();
    const { ledger } = await moved(new MemorySource([one]), sink);
    expect(rounds).toBe(4);
    expect(ledger.outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'engine-refused' } });
    expect(sink.names.size).toBe(0);
  });

  it('goes on with the next image when a source fails one', async () => {
    const [bad, good] = await images('bad:1', 'good:1');
    if (!bad || !good) throw new Error('no images');
    const source = new (class extends MemorySource {
      override async *blobs(...[image, ...rest]: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
        for await (const blob of super.blobs(image, ...rest)) {
          yield blob;
          if (image === bad) throw new ImgmvError('engine-unavailable', 'lost');
        }
      }
    })([bad, good]);
    const sink = new MemorySink();
    const { ledger } = await moved(source, sink);
    expect(ledger.outcomes).toMatchObject([
      { status: 'failed', error: { code: 'engine-unavailable' } },
      { status: 'loaded' },
    ]);
    expect([...sink.names.keys()]).toEqual(['good:1']);
    expect(ledger.exit).toBe(17);
  });

  it('aborts the writer with what failed it, once', async () => {
    const [image] = await images('slow:1');
    if (!image) throw new Error('no image');
    const failure = new ImgmvError('engine-refused', 'no space');
    const sink = new MemorySink({ beforeChunk: () => Promise.reject(failure) });
    const aborted: ImgmvError[] = [];
    const open = sink.writer.bind(sink);
    const watched = Object.assign(sink, {
      writer: async (...given: Parameters<typeof open>) => {
        const writer = await open(...given);
        return { ...writer, abort: async (error: ImgmvError) => void aborted.push(error) };
      },
    });
    const { ledger } = await moved(new MemorySource([image]), watched);
    expect(aborted).toEqual([failure]);
    expect(ledger).toMatchObject({ outcomes: [{ status: 'failed', error: failure }], exit: 14 });
  });

  it('stops with the reason of the signal, whatever else breaks of it', async () => {
    const [first, second] = await images('first:1', 'second:1');
    if (!first || !second) throw new Error('no images');
    const stop = new AbortController();
    const reason = new ImgmvError('sigint', 'stopped by SIGINT');
    const sink = new MemorySink({
      beforeChunk: async () => {
        stop.abort(reason);
        throw new Error('a socket broke');
      },
    });
    const { ledger, events } = await moved(new MemorySource([first, second]), sink, { signal: stop.signal });
    expect(ledger.outcomes.map(({ status, error }) => [status, error])).toEqual([
      ['failed', reason],
      ['failed', reason],
    ]);
    expect(ledger.exit).toBe(130);
    expect(events.at(-1)).toMatchObject({ event: 'done', failed: 2, exit: 130 });
    expect(sink.names.size).toBe(0);
  });
});

describe('images that failed', () => {
  /** A sink whose images fail as often as told, by name, with `code`. */
  function failing(
    times: Readonly<Record<string, number>>,
    { code = 'engine-unavailable', noRoom }: { readonly code?: ErrorCode; readonly noRoom?: true } = {},
  ) {
    const left = new Map(Object.entries(times));
    return new (class extends MemorySink {
      override async writer(...[answer, signal]: Parameters<MemorySink['writer']>): Promise<ImageWriter> {
        const writer = await super.writer(answer, signal);
        const name = answer.image.names[0]?.source ?? '';
        const commit = async () => {
          const more = left.get(name) ?? 0;
          if (more === 0) return writer.commit();
          left.set(name, more - 1);
          throw new ImgmvError(code, `${name} cannot now`, { noRoom });
        };
        return { ...writer, commit };
      }
    })();
  }
  const told = (events: readonly Event[]) =>
    events.flatMap((event) => {
      if (event.event === 'image') return `${event.refs[0]?.source} ${event.status}`;
      return event.event === 'retrying' ? `${event.refs[0]?.source} again ${event.attempt}` : [];
    });

  it('are tried again after the others, and told once', async () => {
    vi.mocked(retryPauseMs).mockReturnValue(2_000);
    const made = await images('bad:1', 'good:1');
    const { ledger, events } = await moved(new MemorySource(made), failing({ 'bad:1': 1 }), { retries: 3 });
    expect(told(events)).toEqual(['bad:1 again 1', 'good:1 loaded', 'bad:1 loaded']);
    expect(ledger).toMatchObject({ outcomes: [{ status: 'loaded' }, { status: 'loaded' }], exit: 0 });
    expect(events.filter(({ event }) => event === 'plan')).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ event: 'done', images: 2, failed: 0, exit: 0 });
    expect(events).toContainEqual(expect.objectContaining({ event: 'retrying', waitSeconds: 2 }));
    // What every try took counts.
    expect(events.at(-2)).toMatchObject({ layersSent: 4, layersSkipped: 0 });
    // The pause before the second try is none of its phases.
    const bad = events.at(-2);
    if (bad?.event !== 'image') throw new Error('no image');
    expect(bad.startedAt + bad.seconds).toBeGreaterThan(1.9);
    expect(bad.phases.push).toBe(null);
    expect(bad.phases.transfer + bad.phases.load).toBeLessThan(bad.seconds - 1.9);
  });

  it('tell the time of each phase, over all tries', async () => {
    const slow = new (class extends MemorySink {
      override async writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
        const writer = await super.writer(answer, signal);
        const commit = async () => {
          await sleep(120);
          return writer.commit();
        };
        return { ...writer, commit };
      }
    })();
    const { events } = await moved(new MemorySource(await images('one:1', 'two:1')), slow, { jobs: 1 });
    const [one, two] = events.filter((event) => event.event === 'image');
    for (const image of [one, two]) {
      expect(image?.phases.load).toBeGreaterThanOrEqual(0.115);
      expect(image?.phases.load).toBeLessThanOrEqual((image?.seconds ?? 0) + 0.001);
    }
    // It waited for its turn, and that is told as its later start.
    expect((two?.startedAt ?? 0) - (one?.startedAt ?? 0)).toBeGreaterThanOrEqual(0.115);
  });

  it('are not, where one image by itself finds a disk full', async () => {
    const full = failing({ 'big:1': 1 }, { noRoom: true });
    const { events } = await moved(new MemorySource(await images('big:1')), full, { retries: 3 });
    expect(told(events)).toEqual(['big:1 failed']);
    const made = await images('a:1', 'big:1');
    const { events: alone } = await moved(new MemorySource(made), failing({ 'big:1': 1 }, { noRoom: true }), {
      retries: 3,
      jobs: 1,
    });
    expect(told(alone)).toEqual(['a:1 loaded', 'big:1 failed']);
  });

  it('are once, and one by one, where others have taken room beside them', async () => {
    let underWay = 0;
    let most = 0;
    const full = failing({ 'a:1': 1, 'b:1': 9 }, { noRoom: true });
    const open = full.writer.bind(full);
    const counting = Object.assign(full, {
      writer: async (...given: Parameters<typeof open>) => {
        most = Math.max(most, ++underWay);
        const writer = await open(...given);
        return { ...writer, commit: () => writer.commit().finally(() => underWay--) };
      },
      retrying: async () => {
        most = 0;
      },
    });
    const { events } = await moved(new MemorySource(await images('a:1', 'b:1')), counting, { retries: 3 });
    expect(told(events)).toEqual(['a:1 again 1', 'b:1 again 1', 'a:1 loaded', 'b:1 failed']);
    expect(most).toBe(1);
  });

  it('are failed when the tries are used up', async () => {
    const run = moved(new MemorySource(await images('bad:1')), failing({ 'bad:1': 9 }), { retries: 1 });
    const { ledger, events } = await run;
    expect(told(events)).toEqual(['bad:1 again 1', 'bad:1 failed']);
    expect(ledger).toMatchObject({ outcomes: [{ status: 'failed' }], exit: 14 });
    expect(events.at(-1)).toMatchObject({ failed: 1, exit: 14 });
  });

  it.each(['refused', 'image-not-found', 'protocol-violation', 'internal'] as const)(
    'are left at that where it was %s',
    async (code) => {
      const sink = failing({ 'bad:1': 1 }, { code });
      const { events } = await moved(new MemorySource(await images('bad:1')), sink, { retries: 3 });
      expect(told(events)).toEqual(['bad:1 failed']);
    },
  );

  it('are not tried again once the run is stopped, and told all the same', async () => {
    const stop = new AbortController();
    const source = new MemorySource(await images('bad:1'));
    const sink = Object.assign(failing({ 'bad:1': 9 }), {
      retrying: async () => {
        setTimeout(() => stop.abort(new ImgmvError('sigint', 'stopped by SIGINT')), 10);
      },
    });
    const { ledger, events } = await moved(source, sink, { retries: 3, signal: stop.signal });
    expect(told(events)).toEqual(['bad:1 again 1', 'bad:1 failed']);
    expect(events.at(-1)).toMatchObject({ event: 'done', failed: 1, exit: 130 });
    expect(ledger.exit).toBe(130);
  });

  it('are told to the sink, and tried once more while it cannot even plan', async () => {
    const [bad, good] = await images('bad:1', 'good:1');
    if (!bad || !good) throw new Error('no images');
    const sink = failing({ 'bad:1': 2 });
    const plan = sink.plan.bind(sink);
    const retries: Retry[] = [];
    let plans = 0;
    const away = Object.assign(sink, {
      retrying: async (retry: Retry) => void retries.push(retry),
      plan: async (offered: readonly Image[]) => {
        if (++plans === 2) throw new ImgmvError('engine-unavailable', 'still away');
        return plan(offered);
      },
    });
    const source = new MemorySource([bad, good]);
    const { ledger, events } = await moved(source, away, { retries: 3 });
    expect(retries.map(({ images: again, attempt }) => [again, attempt])).toEqual([
      [[bad.image], 1],
      [[bad.image], 2],
      [[bad.image], 3],
    ]);
    expect(told(events)).toEqual([
      'bad:1 again 1',
      'good:1 loaded',
      'bad:1 again 2',
      'bad:1 again 3',
      'bad:1 loaded',
    ]);
    expect(source.expected.map(({ from }) => from.image)).toEqual([
      bad.image,
      good.image,
      bad.image,
      bad.image,
    ]);
    expect(ledger.exit).toBe(0);
  });

  it('are called as the sink calls them, also while it is away', async () => {
    const sink = failing({ 'bad:1': 1 });
    const plan = sink.plan.bind(sink);
    let plans = 0;
    const away = Object.assign(sink, {
      plan: async (offered: readonly Image[]) => {
        if (++plans === 2) throw new ImgmvError('engine-unavailable', 'away');
        return plan(offered);
      },
    });
    const renaming = new Renaming({ retag: [parseRetag('bad=team/good')], keepNames: false });
    const { events } = await moved(
      new MemorySource(await images('bad:1')),
      new RenamingSink(away, renaming),
      { retries: 2 },
    );
    const names = events.flatMap((event) =>
      event.event === 'retrying' || event.event === 'image'
        ? [[event.event, ...event.refs.map(({ source, target }) => `${source} ${target}`)]]
        : [],
    );
    expect(names).toEqual([
      ['retrying', 'bad:1 team/good:1'],
      ['retrying', 'bad:1 team/good:1'],
      ['image', 'bad:1 team/good:1'],
    ]);
  });

  it('are given up by a plan that fails for good', async () => {
    const sink = failing({ 'bad:1': 1 });
    const plan = sink.plan.bind(sink);
    let plans = 0;
    const broken = Object.assign(sink, {
      plan: async (offered: readonly Image[]) => {
        if (++plans === 2) throw new ImgmvError('internal', 'a fault of ours');
        return plan(offered);
      },
    });
    const run = moved(new MemorySource(await images('bad:1')), broken, { retries: 3 });
    await expect(run).rejects.toThrow('a fault of ours');
  });
});

describe('several images at once', () => {
  /** Tells what happens to which image, and holds every commit until it is let go. */
  async function watched(...names: readonly string[]) {
    const made = await images(...names);
    const steps: string[] = [];
    const commits = new Map(names.map((name) => [name, deferred<void>()]));
    const nameOf = ({ names: [name] }: Image) => name?.source ?? '';
    const source = new (class extends MemorySource {
      override async *blobs(...[image, ...rest]: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
        steps.push(`${nameOf(image.image)} travels`);
        yield* super.blobs(image, ...rest);
      }
      override prepare(image: Image): void {
        steps.push(`${nameOf(image)} is prepared`);
      }
    })(made);
    const sink = new (class extends MemorySink {
      override async writer(...[answer, signal]: Parameters<MemorySink['writer']>): Promise<ImageWriter> {
        const writer = await super.writer(answer, signal);
        const name = nameOf(answer.image);
        const commit = async () => {
          steps.push(`${name} loads`);
          await commits.get(name)?.promise;
          steps.push(`${name} is there`);
          return writer.commit();
        };
        return { ...writer, commit };
      }
    })();
    const letGo = (name: string) => commits.get(name)?.resolve();
    return { made, source, sink, steps, letGo };
  }

  it('lets one travel while one is loaded, and readies the one behind', async () => {
    const { source, sink, steps, letGo } = await watched('one:1', 'two:1', 'three:1');
    const run = moved(source, sink);
    await expect.poll(() => steps.at(-1)).toBe('two:1 loads');
    expect(steps).toEqual([
      'one:1 travels',
      'two:1 is prepared',
      'one:1 loads',
      'two:1 travels',
      'three:1 is prepared',
      'two:1 loads',
    ]);
    letGo('two:1');
    await expect.poll(() => steps.slice(6)).toEqual(['two:1 is there', 'three:1 travels', 'three:1 loads']);
    letGo('three:1');
    letGo('one:1');
    const { ledger, events } = await run;
    expect(ledger.outcomes.map(({ image, status }) => `${image.names[0]?.source} ${status}`)).toEqual([
      'one:1 loaded',
      'two:1 loaded',
      'three:1 loaded',
    ]);
    expect(events.flatMap((event) => (event.event === 'image' ? event.refs[0]?.source : []))).toEqual([
      'two:1',
      'three:1',
      'one:1',
    ]);
  });

  it('takes one after the other with one job, and readies none', async () => {
    const { source, sink, steps, letGo } = await watched('one:1', 'two:1');
    const run = moved(source, sink, { jobs: 1 });
    await expect.poll(() => steps.length).toBe(2);
    letGo('one:1');
    letGo('two:1');
    await run;
    expect(steps).toEqual([
      'one:1 travels',
      'one:1 loads',
      'one:1 is there',
      'two:1 travels',
      'two:1 loads',
      'two:1 is there',
    ]);
  });

  it('brings layers that are gone before it begins another image', async () => {
    const { made, source, sink, steps, letGo } = await watched('one:1', 'two:1', 'three:1');
    const open = sink.writer.bind(sink);
    let again = true;
    const forgetful = Object.assign(sink, {
      writer: async (...given: Parameters<typeof open>): Promise<ImageWriter> => {
        const writer = await open(...given);
        const commit = async () => {
          if (!again || given[0].image !== made[0]?.image) return writer.commit();
          again = false;
          return { missing: [] };
        };
        return { ...writer, commit };
      },
    });
    const run = moved(source, forgetful);
    const travels = () => steps.filter((step) => step.endsWith('travels'));
    await expect.poll(() => travels().length).toBe(3);
    for (const name of ['one:1', 'two:1', 'three:1']) letGo(name);
    expect((await run).ledger.exit).toBe(0);
    expect(travels()).toEqual(['one:1', 'two:1', 'one:1', 'three:1'].map((name) => `${name} travels`));
  });

  it('refuses what its own source withholds, if it is not there already', async () => {
    const [there, lost, good] = await images('there:1', 'lost:1', 'good:1');
    if (!there || !lost || !good) throw new Error('no images');
    const withheld = (one: MemoryImage) => ({ ...one, image: { ...one.image, withheld: 'no room here' } });
    const sink = new MemorySink();
    await moved(new MemorySource([there]), sink);
    const source = new MemorySource([withheld(there), withheld(lost), good]);
    const { ledger, events } = await moved(source, sink);
    expect(ledger.outcomes).toMatchObject([
      { status: 'present' },
      { status: 'refused', error: { code: 'refused', message: 'no room here' } },
      { status: 'loaded' },
    ]);
    expect(source.expected.map(({ from }) => from.image)).toEqual([good.image]);
    const plan = [{ action: 'present' }, { action: 'refuse', reason: 'no room here' }, { action: 'send' }];
    expect(events[0]).toMatchObject({ event: 'plan', images: plan });
  });

  it('lets the next one travel while one is pushed on, and tells it behind that', async () => {
    const { source, sink, steps, letGo } = await watched('one:1', 'two:1');
    const pushed = deferred<readonly Pushed[]>();
    const open = sink.writer.bind(sink);
    const pushing = Object.assign(sink, {
      writer: async (...given: Parameters<typeof open>): Promise<ImageWriter> => {
        const writer = await open(...given);
        const push = { done: pushed.promise, progress: () => ({ bytes: 0, bytesTotal: 0 }) };
        const commit = async () => ({ ...((await writer.commit()) as Committed), push });
        return { ...writer, commit };
      },
    });
    letGo('one:1');
    letGo('two:1');
    const run = moved(source, pushing, { jobs: 1 });
    await expect.poll(() => steps.at(-1)).toBe('two:1 is there');
    pushed.resolve([{ target: 'one:1', error: new ImgmvError('push-failed', 'no') }]);
    const { ledger, events } = await run;
    expect(ledger.outcomes).toMatchObject([
      { status: 'loaded', pushed: [{ target: 'one:1' }] },
      { status: 'loaded', pushed: [{ target: 'one:1' }] },
    ]);
    expect(events.filter(({ event }) => event === 'image')).toMatchObject([
      {
        status: 'loaded',
        pushed: [{ error: { code: 'push-failed' } }],
        phases: { push: expect.any(Number) },
      },
      { status: 'loaded' },
    ]);
    expect(ledger.exit).toBe(17);
  });
});

describe('the exit status', () => {
  const outcome = (code?: ErrorCode) => ({ ...(code && { error: new ImgmvError(code, '') }) }) as Outcome;

  it.each<[readonly (ErrorCode | undefined)[], number]>([
    [[], 0],
    [[undefined, undefined], 0],
    [['integrity'], 13],
    [['engine-refused', 'engine-unavailable'], 14],
    [['integrity', 'engine-refused'], 17],
    [['refused', undefined], 17],
    [['refused', 'refused'], 16],
  ])('of %j is %d', (codes, exit) => {
    expect(exitOf(codes.map(outcome))).toBe(exit);
  });
});

describe('the longest wait', () => {
  it('is what was waited for longest since the last look', () => {
    const before = { save: 9_000, network: 100, load: 0 };
    expect(longestWait(before, { save: 9_100, network: 900, load: 50 }, 1_000)).toBe('network');
    expect(longestWait({}, { load: 700 }, 1_000)).toBe('load');
    expect(longestWait({}, { network: 400, ownLimit: 500, peerLimit: 450 }, 1_000)).toBe('ownLimit');
  });

  it('is nothing where all were quick', () => {
    expect(longestWait({ save: 5 }, { save: 5 }, 1_000)).toBeNull();
    expect(longestWait({}, { save: 1, compress: 2 }, 1_000)).toBeNull();
  });
});
