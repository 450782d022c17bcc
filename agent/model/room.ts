import { statfs } from 'node:fs/promises';

export interface Room {
  readonly path: string;
  readonly freeBytes: number;
}

export async function roomAt(path: string): Promise<Room> {
  const { bavail, bsize } = await statfs(path);
  return { path, freeBytes: bavail * bsize };
}
