import { Command } from 'commander';
import { IMAGE_HELP } from './choosing.ts';
import { addSenderOptions, type SenderFlags, sendImages } from './sender.ts';

export function planCommand(): Command {
  const command = new Command('plan')
    .description('show what `imgmv send` would send, and send nothing')
    .argument('[IMAGE...]', IMAGE_HELP);
  return addSenderOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv plan web:1.0 db:16 --to 10.0.0.2
  $ imgmv plan web:1.0 --to host-b --json | jq '.images[]? | {id, bytesMissing}'

It pairs as \`imgmv send\` does, and uses the code up: the move itself needs another
one. The exit status is 16 where the target refuses all images, 17 where it
refuses some.`,
    )
    .action((images: readonly string[], flags: SenderFlags) =>
      sendImages({ ...flags, images }, { planOnly: true }),
    );
}
