/** For people: lines, and on a terminal a live bar for each image under way. */
import type {
  Event,
  EventOf,
  KeptImage,
  PlanImage,
  PlanNeed,
  PushedRef,
  ToldError,
} from '../agent/model/events.ts';
import { counted } from '../proto/counted.ts';
import { writeAbove } from './ask-line.ts';
import { type BarWords, wordsText } from './bar-line.ts';
import { Bars } from './bars.ts';
import { checkedText, checkText } from './check-text.ts';
import { escapeText } from './escape.ts';
import { listText } from './list-text.ts';
import { nameOf, namingLines, short, shortSource, sourceNameOf } from './names.ts';
import { needsText } from './needs-text.ts';
import { changedIds, nothingToSend, planText } from './plan-text.ts';
import { Ends, share } from './progress-words.ts';
import { PLAIN_INTERVAL_MS, ReadingProgress } from './reading-progress.ts';
import type { Renderer } from './renderer.ts';
import { columnsOf } from './screen.ts';
import { etaOf, onTheWire, paceText, size } from './sizes.ts';
import { statusWord } from './status-word.ts';
import { wrap } from './wrap.ts';

const ALL = 'all';
const ARCHIVE = 'archive';

export interface TextRendererOptions {
  readonly stream: NodeJS.WriteStream;
  /** For what a command was asked for: standard output. */
  readonly result: NodeJS.WritableStream;
  readonly quiet: boolean;
  readonly color: boolean;
}

interface UnderWay {
  readonly event: EventOf<'progress'>;
  /** Smoothed, in bytes a second. */
  readonly rate: number;
  readonly wireRate: number;
  readonly saidAt: number;
}

/** What was planned, and what has become of it so far. */
function newSession(images: readonly PlanImage[], planOnly: boolean) {
  const underWay = new Map<string, UnderWay>();
  return { images, planOnly, underWay, settled: 0, settledBytes: 0, namesPushed: 0, namesNotPushed: 0 };
}

export class TextRenderer implements Renderer {
  readonly #options: TextRendererOptions;
  readonly #bars: Bars;
  readonly #archives = new ReadingProgress();
  readonly #ends = new Ends();
  /** Shown already. */
  #needs: readonly PlanNeed[] | undefined;
  /** What was sent to measure the link. */
  #measuredBytes = 0;
  /** A receiver has one after the other. */
  #session = newSession([], false);
  readonly #shows: { readonly [E in Event['event']]: (event: EventOf<E>) => void } = {
    engine: ({ kind, version, store, address, foundBy }) =>
      this.say(`${kind} ${version} (${store} store) at ${address} (${foundBy})`),
    reading: (event) => this.#reading(event),
    writing: ({ archive }) => {
      this.#ends.writing();
      this.say(`Writing ${archive}.`);
    },
    listening: () => {},
    paired: (event) => {
      this.#ends.paired(event);
      this.say(`Paired with ${event.peer.name} (${event.peer.address}).`);
    },
    confirming: ({ peer }) => this.say(`Waiting for somebody on ${peer} to confirm.`),
    attempt: ({ address, left }) =>
      this.#warn(`${address} gave a wrong code; ${counted(left, 'try', 'tries')} left`),
    plan: (event) => this.#plan(event),
    estimate: (event) => this.#estimate(event),
    progress: (event) => this.#progress(event),
    silent: ({ seconds }) => this.#warn(`no answer from the other host for ${seconds} s; waiting`),
    reconnecting: ({ attempt, kept }) => {
      const how = attempt === 0 ? 'waiting for it to come back' : `reconnecting (${attempt})`;
      this.#warn(`the connection was lost; ${how}${kept === 0 ? '' : `, ${size(kept)} kept`}`);
    },
    retrying: (event) => this.#retrying(event),
    image: (event) => this.#image(event),
    done: (event) => this.#done(event),
    images: (event) => this.#result((columns) => listText(event, new Date(), columns)),
    warning: ({ message }) => this.#warn(message),
    cleaned: (event) => this.#cleaned(event),
    check: (event) => this.#result((columns) => checkText(event, this.#options.quiet, columns)),
    checked: (event) => this.#result((columns) => wrap(checkedText(event), columns)),
    error: (event) => this.#error(event),
  };

  constructor(options: TextRendererOptions) {
    this.#options = options;
    this.#bars = new Bars(options.stream);
  }

  render(event: Event): void {
    (this.#shows[event.event] as (event: Event) => void)(event);
  }

  say(text: string): void {
    if (!this.#options.quiet) this.#line(escapeText(text));
  }

  step(text: string): void {
    this.#line(escapeText(text));
  }

  end(): void {
    this.#bars.clear();
  }

  #reading(event: EventOf<'reading'>): void {
    this.#ends.reading();
    if (event.done) return this.end();
    const bar = this.#options.stream.isTTY && !this.#options.quiet ? this.#archives.bar(event) : undefined;
    if (bar) return this.#bars.draw(ARCHIVE, bar);
    const line = this.#archives.line(event);
    if (line !== undefined) this.say(line);
  }

  #plan(event: EventOf<'plan'>): void {
    const { images, needs, only, target } = event;
    this.#session = newSession(images, only);
    // The plan is the command's own result, and the other host's business here.
    if (only && target !== undefined) {
      this.#result((columns) => planText(images, { columns }) + wrap(needsText(needs), columns));
      this.#needs = needs;
      return;
    }
    if (only)
      return this.say(
        `The sender asked for a plan only, of ${counted(images.length, 'image')}. Nothing is sent, and the code is used up.`,
      );
    const several = images.filter(({ action }) => action === 'send').length > 1;
    const others = several ? 'are there already or come with another image' : 'are there already';
    for (const image of images) {
      const name = sourceNameOf(image);
      if (image.action === 'refuse') continue;
      const what =
        image.layersMissing === image.layers
          ? `${size(image.bytes)} in ${counted(image.layers, 'layer')}`
          : `${size(image.bytesMissing)} in ${image.layersMissing} of ${counted(image.layers, 'layer')}, the others ${others}`;
      const notes = [
        ...namingLines(image),
        ...image.refs.flatMap(({ target, replaces }) =>
          replaces === null ? [] : [`${target} is ${short(replaces)} there now, which will lose this name`],
        ),
        ...(image.refs.length > 0
          ? []
          : [
              `goes by its id: it arrives without a name${target === undefined ? '' : ' (--as NAME:TAG gives one)'}`,
            ]),
      ];
      // That an image is there, and nothing else, is said when it is verified.
      if (image.action === 'send') this.say(`${name} (${image.platform}): ${what}`);
      else if (notes.length > 0) this.say(`${name} (${image.platform}): its layers are there already`);
      for (const note of notes) this.say(`  ${note}`);
      if (image.warning !== null) this.#warn(`${name}: ${image.warning}`);
    }
    for (const line of changedIds(images)) this.#out(line);
    // A plan that is carried out has shown them.
    if (needs?.length && needs !== this.#needs) this.#out(needsText(needs).trimEnd());
  }

  #estimate({ bytes, rate, seconds, wireBytes }: EventOf<'estimate'>): void {
    this.#measuredBytes = wireBytes;
    const how = `${size(bytes)}, ${etaOf(seconds)} at ${size(rate)}/s before compression`;
    const cost = wireBytes === 0 ? '' : ` ${size(wireBytes)} were sent to measure the link.`;
    this.#result((columns) =>
      wrap(bytes === 0 ? nothingToSend(this.#session.images) : `To send: ${how}.${cost}\n`, columns),
    );
  }

  #progress(event: EventOf<'progress'>): void {
    if (this.#options.quiet) return;
    const before = this.#session.underWay.get(event.id);
    // The last half second alone jumps too much for an ETA.
    const smooth = (key: 'rate' | 'wireRate') => (before ? 0.7 * before[key] + 0.3 * event[key] : event[key]);
    const now = performance.now();
    const saidAt = before?.saidAt ?? now;
    const due = !this.#options.stream.isTTY && now - saidAt >= PLAIN_INTERVAL_MS;
    const saidNow = due ? now : saidAt;
    const underWay = { event, rate: smooth('rate'), wireRate: smooth('wireRate'), saidAt: saidNow };
    this.#session.underWay.set(event.id, underWay);
    if (this.#options.stream.isTTY) this.#drawBars(underWay);
    else if (due)
      this.say(`${this.#count(event)}${sourceNameOf(event)}: ${wordsText(this.#words(underWay))}`);
  }

  #words({ event, rate, wireRate }: UnderWay): BarWords {
    // A terminal has one line for all of it.
    const wire = this.#options.stream.isTTY ? '' : onTheWire(event);
    return this.#ends.words({ event, rate, wireRate, wire });
  }

  /** As it was planned. */
  #bytesMissing({ id }: { readonly id: string }): number {
    return this.#session.images.find((image) => image.id === id)?.bytesMissing ?? 0;
  }

  #count({ id }: { readonly id: string }): string {
    if (this.#session.images.length < 2) return '';
    return `[${this.#session.images.findIndex((image) => image.id === id) + 1}/${this.#session.images.length}] `;
  }

  #drawBars(underWay: UnderWay): void {
    const { event } = underWay;
    if (this.#session.images.length > 1) this.#drawSum();
    this.#bars.draw(event.id, {
      name: this.#count(event) + escapeText(sourceNameOf(event)),
      shortName: escapeText(sourceNameOf(event)),
      bytes: event.bytes,
      bytesTotal: event.bytesTotal,
      words: this.#words(underWay),
    });
  }

  #drawSum(): void {
    const travelling = [...this.#session.underWay.values()];
    const sent = ({ event }: UnderWay) =>
      ({ transfer: event.bytes, load: event.bytesTotal, push: this.#bytesMissing(event) })[event.phase];
    const bytes = travelling.reduce((sum, one) => sum + sent(one), this.#session.settledBytes);
    const planned = this.#session.images.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
    const bytesTotal = Math.max(planned, bytes);
    const rate = travelling.reduce((sum, one) => sum + (one.event.phase === 'transfer' ? one.rate : 0), 0);
    this.#bars.draw(ALL, {
      name: `${this.#session.settled} of ${counted(this.#session.images.length, 'image')}`,
      shortName: `${this.#session.settled}/${this.#session.images.length}`,
      bytes,
      bytesTotal,
      words: {
        state: `${size(bytes)} of ${size(bytesTotal)}`,
        shortState: share(bytes, bytesTotal),
        pace: paceText(bytesTotal - bytes, rate),
      },
    });
  }

  #retrying(event: EventOf<'retrying'>): void {
    this.#session.underWay.delete(event.id);
    const { error, attempt, waitSeconds, phase } = event;
    const when =
      this.#session.images.length > 1 && phase !== 'push'
        ? `after the others, in ${waitSeconds} s`
        : `in ${waitSeconds} s`;
    this.#warn(`${nameOf(event)}: ${error.message}; trying again ${when} (retry ${attempt})`);
  }

  #image(event: EventOf<'image'>): void {
    this.#session.settled++;
    this.#session.settledBytes += this.#bytesMissing(event);
    this.#session.underWay.delete(event.id);
    const name = escapeText(nameOf(event));
    const word = statusWord(event, this.#ends.intoFiles);
    if (event.error) {
      this.#fail(word, name, event.error);
      const here = event.target === undefined;
      if (event.kept > 0)
        this.#line(
          `  ${size(event.kept)} of its layers stay ${here ? 'here' : 'at the target'}: the next run does not move them again, \`imgmv clean\`${here ? '' : ' there'} removes them`,
        );
      return;
    }
    const id = event.targetId ?? event.id;
    const changed = id === event.id ? '' : ` (${short(event.id)} at the source)`;
    const how =
      event.status === 'present'
        ? 'there already, verified'
        : `${size(event.bytes)}${onTheWire(event)}, ${event.seconds.toFixed(1)} s, verified`;
    this.#out(`${this.#paint('32', word)} ${name} ${short(id)}${changed}: ${how}`);
    for (const { target, replaced } of event.refs)
      if (replaced !== null)
        this.#out(`  ${escapeText(target)} was ${short(replaced)}, which has lost this name`);
    for (const one of event.pushed ?? []) this.#pushed(one);
  }

  #pushed({ ref, digest, warning, error }: PushedRef): void {
    // Without a name it is told by its id.
    const name = escapeText(shortSource(ref));
    if (error) {
      this.#session.namesNotPushed++;
      return this.#fail('NOT pushed', name, error);
    }
    this.#session.namesPushed++;
    this.#out(`${this.#paint('32', 'pushed')} ${name} ${escapeText(digest ?? '')}`);
    if (warning !== null) this.#warn(`${name}: ${warning}`);
  }

  #done(event: EventOf<'done'>): void {
    const { images, failed, bytes, seconds } = event;
    this.end();
    if (this.#session.planOnly) return;
    const count = counted(images, 'image');
    const missed = this.#ends.local ? 'not copied' : 'not moved';
    if (failed > 0 && images > 1) this.#line(`${failed} of ${images} images were ${missed}.`);
    if (this.#session.namesNotPushed > 0 && (failed > 0 || images > 1))
      return this.#line(
        `${counted(this.#session.namesNotPushed, 'name')} NOT pushed, ${this.#session.namesPushed} pushed.`,
      );
    if (failed > 0) return;
    // The line of a single image has said it all.
    if (images === 1) return;
    const pushed =
      this.#session.namesPushed === 0 ? '' : `, ${counted(this.#session.namesPushed, 'name')} pushed`;
    const measured = this.#measuredBytes;
    const spent = measured === 0 ? '' : `, ${size(measured)} of it to measure the link`;
    this.#out(
      `${count} done and verified${pushed}: ${size(bytes)}${onTheWire(event)}${spent}, ${seconds.toFixed(1)} s.`,
    );
  }

  #cleaned({ removed, kept, freedBytes }: EventOf<'cleaned'>): void {
    const told = ({ name, image, bytes, since }: KeptImage) =>
      `${name} (${image === null ? 'an image that was being loaded' : `of image ${short(image)}`}, ${size(bytes)}, since ${since.slice(0, 19)}Z)`;
    for (const one of removed) this.#out(`removed ${escapeText(told(one))}`);
    for (const one of kept) this.#out(`kept ${escapeText(told(one))}: ${one.reason}`);
    if (removed.length > 0)
      this.#out(
        freedBytes === null ? 'The engine does not say how much that freed.' : `Freed ${size(freedBytes)}.`,
      );
    if (removed.length + kept.length === 0) this.#out('Nothing is left of interrupted runs.');
  }

  #error({ code, message, hint }: EventOf<'error'>): void {
    // Of what is wrong with a file of this host there may be several lines; nobody else's text makes any.
    const lines = code === 'usage' ? message.split('\n') : [message];
    this.#line(`${this.#paint('31', 'imgmv:')} ${lines.map(escapeText).join('\n  ')}`);
    if (hint !== null) this.#line(`  ${escapeText(hint)}`);
  }

  #fail(status: string, name: string, { message, hint }: ToldError): void {
    this.#line(`${this.#paint('31', status)} ${name}: ${escapeText(message)}`);
    if (hint !== null) this.#line(`  ${escapeText(hint)}`);
  }

  #warn(text: string): void {
    this.#line(`${this.#paint('33', 'warning:')} ${escapeText(text)}`);
  }

  #out(text: string): void {
    if (!this.#options.quiet) this.#line(text);
  }

  /** In place of the bar, where there is one: the next progress draws it again below. */
  #line(text: string): void {
    this.end();
    const { stream } = this.#options;
    writeAbove(stream, `${wrap(text, columnsOf(stream))}\n`);
  }

  /** What a command was asked for, made for the columns that there are. */
  #result(textFor: (columns: number) => string): void {
    const { result } = this.#options;
    result.write(textFor(columnsOf(result)));
  }

  #paint(color: string, text: string): string {
    return this.#options.color ? `\u001b[${color}m${text}\u001b[0m` : text;
  }
}
