/** Why this host cannot listen at a place. */
import type { ImgmvError } from '../../proto/errors.ts';
import { usage } from '../streams/errors.ts';

/** `address` undefined: all addresses. */
export function listenError(
  { address, port }: { readonly address: string | undefined; readonly port: number },
  error: NodeJS.ErrnoException,
): ImgmvError {
  const where =
    address === undefined ? `port ${port}` : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return usage(`${where} is in use`, { cause: error, about: 'port-in-use' });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EINVAL':
      return usage(`${where} is not an address of this host`, { cause: error });
    case 'EACCES':
      return usage(`no permission to listen on ${where}`, { cause: error });
    default:
      return usage(`cannot listen on ${where}: ${error.message}`, { cause: error });
  }
}
