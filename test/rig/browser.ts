/** Debian's Chromium without a window, with a profile of its own that is gone afterwards, and no way out to any network. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { scratchDirectory } from './scratch.ts';
import { requirePrograms, type Support, supportOf } from './support.ts';

const PROGRAM = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND',
];

/** A page and all that it has asked for or complained of. */
export interface Visit extends AsyncDisposable {
  readonly page: Page;
  readonly requests: readonly string[];
  /** Messages of the console, faults of scripts, and what the page's policy has kept from happening. */
  readonly complaints: readonly string[];
}

export interface Browser extends AsyncDisposable {
  visit(url: string, look: Look): Promise<Visit>;
}

export interface Look {
  readonly width: number;
  readonly scheme?: 'light' | 'dark';
}

export function browserSupport(): Promise<Support> {
  return supportOf(() => requirePrograms('chromium'));
}

export async function startBrowser(): Promise<Browser> {
  const scratch = await scratchDirectory();
  const profile = join(scratch.path, 'profile');
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM,
    headless: true,
    args: FLAGS,
  });
  return {
    async visit(url, { width, scheme = 'light' }) {
      const page = await context.newPage();
      const requests: string[] = [];
      const complaints: string[] = [];
      page.on('request', (request) => requests.push(request.url()));
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: scheme });
      await page.goto(url, { waitUntil: 'load' });
      return { page, requests, complaints, [Symbol.asyncDispose]: () => page.close() };
    },
    async [Symbol.asyncDispose]() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      await scratch[Symbol.asyncDispose]();
    },
  };
}
