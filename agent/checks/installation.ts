/** What imgmv itself runs on. */
import { Compressor } from '../../proto/compression.ts';
import { VERSION } from '../ends/host.ts';
import { type Check, faultOf, ok } from './check.ts';

export function checkInstallation(): Check {
  try {
    // Its addon is there if it can be made.
    new Compressor(1);
    return ok('installation', `version ${VERSION}, with Node ${process.versions.node} and the zstd addon`);
  } catch (error) {
    return faultOf('installation', error);
  }
}
