import { Command } from 'commander';
import { JOBS, JOBS_MAX } from '../proto/limits.ts';
import { CHOOSING_HELP, IMAGE_HELP } from './choosing.ts';
import { countUpTo, parseLevel, parseRetries, RETRIES_HELP } from './options.ts';
import { REPORT_HELP } from './report/report-run.ts';
import { sendImages } from './sender.ts';
import { addSenderOptions, type SenderFlags } from './sender-options.ts';

export function sendCommand(): Command {
  const command = new Command('send')
    .description(
      'send images to the host where `imgmv receive` waits; without IMAGE, at a terminal, pick from a list',
    )
    .argument('[IMAGE...]', IMAGE_HELP);
  return addSenderOptions(command)
    .option(
      '--jobs <n>',
      `how many images to move at once: one travels while another is loaded (default: ${JOBS}, at most ${JOBS_MAX})`,
      countUpTo(JOBS_MAX),
    )
    .option('--retries <n>', RETRIES_HELP, parseRetries)
    .option('--level <n>', 'zstd level, 1 to 19 (default: follows the link)', parseLevel)
    .option('--confirm', 'show the plan on this terminal, and ask before anything is sent')
    .option('--report <file>', REPORT_HELP)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv send web:1.0 db:16 --to 10.0.0.2
  $ imgmv send web --as registry.example/team/web:1.0 --to host-b:7400
  $ imgmv send --all --except 'test/*' --registry registry.example --project team --to host-b
  $ imgmv send 'team/*' --since 7d --retag 'team/*=new/*' --to host-b
  $ imgmv send 4f5c8ab5e3b1 --as web:old --to host-b --code-file /run/imgmv-code
  $ ssh host-b cat /run/imgmv-code | imgmv send web:1.0 --to host-b --code-file -
  $ imgmv send web:1.0 --to ssh://ops@host-b
  $ imgmv send web:1.0 db:16 --to host-b --report moved.html
  $ imgmv send --compose compose.yaml --then-push --registry registry.example --to host-b
  $ imgmv send 'team/*' --to host-b --confirm
  $ imgmv send --move move.yaml
  $ imgmv send --from docker-archive:images.tar.zst --to host-b
  $ docker save web:1.0 | imgmv send --from docker-archive:- --to host-b

${CHOOSING_HELP}

--then-push needs \`imgmv receive --allow-push\` at the target, which pushes with its own credentials.
Only layers that the target lacks are sent; \`imgmv plan\` and --confirm show them beforehand.
The code is asked for without echo, and never taken from an argument or the environment.`,
    )
    .action((images: readonly string[], flags: SenderFlags) => sendImages({ ...flags, images }));
}
