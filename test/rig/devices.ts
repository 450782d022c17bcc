import { join } from 'node:path';
import { run } from './command.ts';
import { scratchDirectory } from './scratch.ts';

/** Makes a character device of the kernel's memory driver: 3 is /dev/null, 5 is /dev/zero. */
export async function makeDevice(path: string, minor: 3 | 5): Promise<void> {
  await run(['mknod', path, 'c', '1', `${minor}`]);
}

/** Whether this process may make devices: root does, unless that right was taken from it. Anything else is an error. */
export async function makesDevices(): Promise<boolean> {
  await using directory = await scratchDirectory();
  try {
    await makeDevice(join(directory.path, 'device'), 3);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes('Operation not permitted')) return false;
    throw error;
  }
}
