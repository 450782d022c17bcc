/** All mutations. A new promise in docs/SECURITY.md, or a new check that one rests upon, gets an entry here. */
import { ARCHIVES } from './list/archives.ts';
import { LAYERS } from './list/layers.ts';
import { PAIRING } from './list/pairing.ts';
import { PRIVATE_IMAGES } from './list/private-images.ts';
import { RECEIVER } from './list/receiver.ts';
import { SECRETS } from './list/secrets.ts';
import { SENDER } from './list/sender.ts';
import { SSH } from './list/ssh.ts';
import { TARGETS } from './list/targets.ts';
import { TEXT } from './list/text.ts';
import { WIRE } from './list/wire.ts';
import type { Mutation } from './mutation.ts';

export const MUTATIONS: readonly Mutation[] = [
  ...WIRE,
  ...PAIRING,
  ...SENDER,
  ...TARGETS,
  ...PRIVATE_IMAGES,
  ...RECEIVER,
  ...SSH,
  ...ARCHIVES,
  ...LAYERS,
  ...SECRETS,
  ...TEXT,
];
