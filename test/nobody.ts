/**
 * A place of the loopback where nobody listens, ever: the kernel hands ports below 1024 to nobody who asks for any port. The
 * port of a server that has just been closed is no such place: the next server of a test beside this one can be given it.
 */
export const NOBODY_PORT = 1;
export const NOBODY = `127.0.0.1:${NOBODY_PORT}`;
