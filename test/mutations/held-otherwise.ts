/**
 * Sentences of docs/SECURITY.md that no single edit of the code makes false. Each has a reason, and where there is
 * one, the test that would fail if the sentence were false.
 */
export interface HeldOtherwise {
  /** The beginning of the sentence. */
  readonly says: string;
  readonly reason: string;
  /** `test/…: title`; absent for a sentence that only says what is not promised. */
  readonly test?: { readonly file: string; readonly title: string };
}

export const HELD_OTHERWISE: readonly HeldOtherwise[] = [
  {
    says: 'The first message of a handshake, which anybody can make',
    reason: 'it says why answers are bounded, and promises nothing',
  },
  {
    says: "What a container shows on its terminal is in docker's log",
    reason: 'it is about the commands that docs/install.md gives, and no code',
    test: {
      file: 'test/packaging/documented.test.ts',
      title: '%s: each command for a container keeps out of the log of docker',
    },
  },
  {
    says: 'The first message of a handshake',
    reason: 'it says what a message costs, which the next sentences bound',
    test: {
      file: 'test/hostile/listener.test.ts',
      title: 'to five pairings of an address a second: the sixth waits, and one from elsewhere does not',
    },
  },
  {
    says: 'Whether an image arrived is its word',
    reason: 'it says what a receiver can do, not what it cannot',
    test: {
      file: 'test/hostile/evil-receiver.test.ts',
      title: 'what the result says is the outcome, whatever the receiver does',
    },
  },
];
