/** Whatever a sink of files writes the source of the same place reads, image by image and byte by byte. */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { constants, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArchiveCatalogue } from '../../../agent/archive/archive-catalogue.ts';
