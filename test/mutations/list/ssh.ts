/** Against what an address of `ssh://` may hold, and the host that it leads to. */
import { type Mutation, tests } from '../mutation.ts';

const users = (pattern: string) => tests('test/e2e/ssh-users.test.ts', pattern);
const engine = (pattern: string) => tests('test/e2e/ssh-engine.test.ts', pattern);

export const SSH: readonly Mutation[] = [
  {
    name: 'the path of a socket is for the shell there to read',
    file: 'agent/docker/ssh-question.ts',
    find: '[quoted(`unix://${socket}`)]',
    replace: '[`unix://${socket}`]',
    tests: users('is only a path'),
    says: ['User, host and socket path'],
  },
  {
    name: 'whoever says it first answers for the other host',
    file: 'agent/docker/ssh-question.ts',
    find: 'new RegExp(`${mark} (open|denied|sudo|missing) (.+) ${mark}`)',
    replace: 'new RegExp(`imgmv-\\\\S+ (open|denied|sudo|missing) (.+) imgmv-`)',
    tests: engine('what a shell there says first'),
    says: ['What the other host prints'],
  },
  {
    name: 'the socket of the engine lies where others can reach it',
    file: 'agent/docker/ssh-login.ts',
    find: "return mkdtempSync(join(base, 'imgmv-'));",
    replace: 'return base;',
    tests: engine('leaves no process'),
    says: ["The engine's"],
  },
  {
    name: 'a login stays when imgmv is gone',
    file: 'agent/docker/ssh-question.ts',
    find: "'exec cat >/dev/null',",
    replace: "'exec sleep 600',",
    tests: engine('leaves no process'),
    says: ['No process of ssh'],
  },
];
