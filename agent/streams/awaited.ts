export { deferred as awaited } from '../../proto/deferred.ts';
