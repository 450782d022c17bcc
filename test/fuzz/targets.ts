/** Every decoder, by the part it belongs to. */
import { archiveCompressionTargets } from './archive-compression.ts';
import { archiveImageTargets } from './archive-images.ts';
import { archiveNameTargets } from './archive-names.ts';
import { archiveTarTargets } from './archive-tar.ts';
import { channelTargets } from './channel.ts';
import { choosingTargets } from './choosing.ts';
import { codeTargets } from './code.ts';
import { commandLineTargets } from './command-line.ts';
import { contentTargets } from './engine-content.ts';
import { endpointTargets } from './engine-endpoint.ts';
import { loadTargets } from './engine-load.ts';
import { metadataTargets } from './engine-metadata.ts';
import { pushTargets } from './engine-push.ts';
import { saveTargets } from './engine-save.ts';
import { entryTargets } from './entries.ts';
import { jsonTargets } from './json.ts';
import { laneTargets } from './lane.ts';
import { messageTargets } from './messages.ts';
import { moveFileTargets } from './move-file.ts';
import { nameTargets } from './names.ts';
import { peerTargets } from './peer.ts';
import type { Target } from './target.ts';
import { websocketTargets } from './websocket.ts';

export const TARGETS: readonly Target[] = [
  ...websocketTargets,
  ...channelTargets,
  ...codeTargets,
  ...laneTargets,
  ...messageTargets,
  ...entryTargets,
  ...jsonTargets,
  ...metadataTargets,
  ...saveTargets,
  ...loadTargets,
  ...pushTargets,
  ...contentTargets,
  ...endpointTargets,
  ...nameTargets,
  ...peerTargets,
  ...commandLineTargets,
  ...choosingTargets,
  ...moveFileTargets,
  ...archiveTarTargets,
  ...archiveCompressionTargets,
  ...archiveNameTargets,
  ...archiveImageTargets,
];
