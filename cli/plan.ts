import { Command } from 'commander';
import { IMAGE_HELP } from './choosing.ts';
import { sendImages } from './sender.ts';
import { addSenderOptions, type SenderFlags } from './sender-options.ts';

export function planCommand(): Command {
  const command = new Command('plan')
    .description('show what `imgmv send` would send; at a terminal, offer to send it')
    .argument('[IMAGE...]', IMAGE_HELP);
  return addSenderOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv plan web:1.0 db:16 --to 10.0.0.2
  $ imgmv plan web:1.0 --to host-b --json | jq '.images[]? | {id, bytesMissing}'

It uses the pairing code up. At a terminal it then offers to send what it has shown, in
the same session. In a pipe, and with --json or --quiet, it does not: the move needs
another code. The exit status is 16 if the target refuses all images, 17 if it
refuses some. To say how long the move takes,
it measures the link with up to 17 MB of random bytes.`,
    )
    .action((images: readonly string[], flags: SenderFlags) =>
      sendImages({ ...flags, images }, { planOnly: true }),
    );
}
