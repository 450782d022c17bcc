#!/usr/bin/env node
/** Entry: argv to one agent call, and its outcome to an exit status. */
import { setFlagsFromString } from 'node:v8';
import { exitStatusOf } from '../proto/errors.ts';
import { asPlugin, isPlugin, METADATA, METADATA_COMMAND } from './docker-plugin.ts';
import { makeProgram, runProgram } from './program.ts';

// The heap stays near 10 MB, and a full mark of it takes milliseconds. What comes and goes by the gigabyte are
// buffers outside of it, for which V8 would otherwise be marking all the time: a fifth of the processor time.
setFlagsFromString('--no-incremental-marking');

// A reader that went away must not end a transfer: `imgmv send … | head`.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

// Where nothing settles, and nothing keeps the process.
process.exitCode = exitStatusOf('internal');
void main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  if (!isPlugin()) return runProgram(makeProgram('imgmv'), args);
  if (args[0] === METADATA_COMMAND) {
    process.stdout.write(`${METADATA}\n`);
    process.exitCode = 0;
    return;
  }
  return runProgram(makeProgram('docker imgmv'), asPlugin(args));
}
