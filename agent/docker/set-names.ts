/** Gives an image its names: all of them, or none. */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Digest, Name } from '../model/image.ts';
import { shownName } from '../model/plan.ts';
import { familiarName, parseTarget } from '../model/reference.ts';
import type { SetName } from '../model/sink.ts';
import type { Engine } from './engine.ts';

export type NamingEngine = Pick<Engine, 'inspect' | 'tag' | 'dropName'>;

export interface SetNamesOptions {
  /** Refuse to take a name from another image. */
  readonly noReplace: boolean;
}

interface Tried {
  readonly name: Name;
  /** The image that had it; undefined where there was none. */
  readonly holder: Digest | undefined;
}

/**
 * Gives the image that is `from` here its names; says which image lost one. Where one of them fails, the others are put
 * back as they were, and the error says which could not be.
 */
export async function setNames(
  engine: NamingEngine,
  from: string,
  names: readonly Name[],
  { noReplace }: SetNamesOptions,
): Promise<SetName[]> {
  const mine = (await engine.inspect(from))?.Id;
  const done: SetName[] = [];
  const tried: Tried[] = [];
  try {
    for (const name of names) {
      const holder = (await engine.inspect(name.target))?.Id;
      const replaced = holder === undefined || holder === mine ? undefined : holder;
      // The plan looked already; somebody may have given the name away since.
      if (noReplace && replaced !== undefined)
        throw new ImgmvError('refused', `${name.target} is ${replaced} here, and --no-replace was given`);
      tried.push({ name, holder });
      if (!(await tag(engine, from, name)))
        throw new ImgmvError(
          'engine-refused',
          `the image was removed on the target before it got its name ${name.target}`,
          {
            hint: 'did `docker image prune` run in the meantime? send it again',
          },
        );
      done.push({ ...name, ...(replaced && { replaced }) });
    }
  } catch (error) {
    throw mine === undefined ? error : await putBack(engine, mine, tried, toImgmvError(error));
  }
  return done;
}

function tag(engine: NamingEngine, from: string, { target }: Name): Promise<boolean> {
  const reference = parseTarget(target, 'the target name');
  return engine.tag(from, familiarName(reference), reference.tag as string);
}

/** Takes back what was set, last first; gives `error` as it is to be told then. */
async function putBack(
  engine: NamingEngine,
  mine: Digest,
  tried: readonly Tried[],
  error: ImgmvError,
): Promise<ImgmvError> {
  const left: string[] = [];
  for (const { name, holder } of tried.toReversed()) {
    if (holder === mine) continue;
    try {
      const why = await putOneBack(engine, mine, name, holder);
      if (why !== undefined) left.push(`${name.target} stays with the image: ${why}`);
    } catch (failure) {
      left.push(`${name.target} may stay with the image: ${toImgmvError(failure).message}`);
      // An engine that is gone would be waited for once more for each of the others.
      if (toImgmvError(failure).code === 'engine-unavailable') break;
    }
  }
  if (left.length === 0) return error;
  const { code, hint, noRoom, forPeer } = error;
  return new ImgmvError(code, [error.message, ...left].join('; '), { cause: error, hint, noRoom, forPeer });
}

/** Why it could not be put back; undefined where it is, or where the name is not this image's by now. */
async function putOneBack(
  engine: NamingEngine,
  mine: Digest,
  name: Name,
  holder: Digest | undefined,
): Promise<string | undefined> {
  const now = await engine.inspect(name.target);
  if (now?.Id !== mine) return undefined;
  if (holder !== undefined)
    return (await tag(engine, holder, name)) ? undefined : `${holder}, which had it, is gone`;
  // An image goes with its last name. One that is being loaded still has its private name.
  if ((now.RepoTags ?? []).every((one) => one === shownName(name)))
    return 'it had no name before, and removing its only name would remove the image';
  await engine.dropName(name.target);
  return undefined;
}
