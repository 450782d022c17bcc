/**
 * Pins what the container image and CI start from: writes the digest that a registry has for each image now, and the
 * commit that a tag of each action stands for now, into Dockerfile and .github/workflows/. Run it before a release, look
 * at the difference and commit it:
 *
 *     npm run pin [-- DIRECTORY]
 *
 * It needs skopeo and git, and access to the registry and to GitHub. Running it again updates the pins.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './program.ts';

const WORKFLOWS = '.github/workflows';
const TIMEOUT_MS = 60_000;

/** `ARG NODE_IMAGE=node:24` and `image: node:24`, pinned or not. */
const IMAGE = /^(ARG \w+_IMAGE=|\s+image: )([^\s@]+)(?:@\S+)?$/gm;
/** `uses: actions/checkout@v4`; pinned, it is `uses: actions/checkout@COMMIT # v4`. */
const ACTION = /^(\s*(?:- )?uses: )([\w.-]+\/[\w.-]+)((?:\/[\w./-]+)?)@(\S+)(?: # (\S+))?$/gm;

try {
  await pinAll(process.argv[2] ?? ROOT);
} catch (error) {
  console.error(`pin: ${error instanceof Error ? error.message.trim() : error}; nothing was changed`);
  process.exitCode = 1;
}

/** Writes all or nothing. */
async function pinAll(directory: string): Promise<void> {
  const workflows = (await readdir(join(directory, WORKFLOWS))).filter((name) => /\.ya?ml$/.test(name));
  const pinned = new Map<string, string>();
  for (const name of ['Dockerfile', ...workflows.map((workflow) => join(WORKFLOWS, workflow))]) {
    const path = join(directory, name);
    const images = await replace(await readFile(path, 'utf8'), IMAGE, pinImage);
    pinned.set(path, await replace(images, ACTION, pinAction));
  }
  for (const [path, text] of pinned) await writeFile(path, text);
}

async function pinImage([, start, image = '']: RegExpExecArray): Promise<string> {
  // The manifest as the registry has it, which for most images is an index of all platforms.
  const manifest = await run('skopeo', ['inspect', '--raw', `docker://${image}`]);
  const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
  console.log(`${image}: ${digest}`);
  return `${start}${image}@${digest}`;
}

async function pinAction([
  ,
  start,
  repository,
  path,
  pinned,
  tag = pinned,
]: RegExpExecArray): Promise<string> {
  const ref = `refs/tags/${tag}`;
  const url = `https://github.com/${repository}`;
  const answer = (await run('git', ['ls-remote', '--', url, ref, `${ref}^{}`])).toString();
  const commits = new Map(answer.split('\n').map((line) => line.split('\t').reverse() as [string, string]));
  // Behind an annotated tag, whose own id is not a commit's, stands the commit.
  const commit = commits.get(`${ref}^{}`) ?? commits.get(ref);
  if (commit === undefined) throw new Error(`${url} has no tag ${tag}`);
  console.log(`${repository}${path} ${tag}: ${commit}`);
  return `${start}${repository}${path}@${commit} # ${tag}`;
}

/** One after the other, so that an error names the first that fails. */
async function replace(
  text: string,
  pattern: RegExp,
  replacement: (match: RegExpExecArray) => Promise<string>,
): Promise<string> {
  let replaced = '';
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    replaced += text.slice(end, match.index) + (await replacement(match));
    end = match.index + match[0].length;
  }
  return replaced + text.slice(end);
}

async function run(program: string, args: readonly string[]): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(program, args, { encoding: 'buffer', timeout: TIMEOUT_MS });
  return stdout;
}
