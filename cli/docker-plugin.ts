/**
 * `docker imgmv …`: docker runs programs that are called `docker-NAME` in its folder for plugins, with all that was typed
 * behind `docker`. docker/cli cli-plugins/manager and metadata.go have how.
 */
import { basename } from 'node:path';
import { VERSION } from '../agent/ends/host.ts';

const NAME = 'imgmv';
/** What docker asks where somebody presses Tab behind the plugin's name. */
const COMPLETE = '__complete';

/** Docker asks every plugin for this before it runs one. */
export const METADATA_COMMAND = 'docker-cli-plugin-metadata';

export const METADATA = JSON.stringify({
  SchemaVersion: '0.1.0',
  Vendor: 'imgmv',
  Version: VERSION,
  ShortDescription: 'Move images to another host, with no registry between',
});

/** Docker's own options that say which engine is meant, and what that is here. */
const ENGINE_OPTIONS: Readonly<Record<string, string>> = {
  '-H': '--docker-host',
  '--host': '--docker-host',
  '-c': '--context',
  '--context': '--context',
};
/** Those that docker reads for itself, with a value. */
const OTHERS_WITH_VALUE: ReadonlySet<string> = new Set(['--config', '-l', '--log-level']);
const CERTIFICATES: ReadonlySet<string> = new Set(['--tlscacert', '--tlscert', '--tlskey']);

/** Whether this was started under the name of a plugin. */
export function isPlugin(argv: readonly string[] = [process.argv0, process.argv[1] ?? '']): boolean {
  return argv.some((path) => /^docker-imgmv(\.js)?$/.test(basename(path)));
}

/**
 * What stands behind `imgmv`, with what stands before it of the engine. `env` gets the directory of docker's
 * configuration, if that is given. What cannot be taken over stays, and is an unknown option then.
 */
export function asPlugin(
  args: readonly string[],
  env: Record<string, string | undefined> = process.env,
): readonly string[] {
  const engine: string[] = [];
  const left = [...args];
  if (left[0] === COMPLETE) return left.filter((_, at) => at !== 1);
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === NAME) return left.length > 0 ? [left[0] as string, ...engine, ...left.slice(1)] : left;
    const [, long = word, joined] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    if (long in ENGINE_OPTIONS) engine.push(ENGINE_OPTIONS[long] as string, joined ?? left.shift() ?? '');
    else if (OTHERS_WITH_VALUE.has(long)) {
      const value = joined ?? left.shift();
      if (long === '--config') env.DOCKER_CONFIG = value;
    } else if (CERTIFICATES.has(long)) return [word];
    else if (long === '--tlsverify') env.DOCKER_TLS_VERIFY = '1';
  }
  return left;
}
