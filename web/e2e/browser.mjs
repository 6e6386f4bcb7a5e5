// A real Chromium, started so that it asks nobody but the page under test. The
// walks are against a running cloud:
//
//   BASE_URL=http://127.0.0.1:5000 USER=demo PASSWORD=… ADMIN_PASSWORD=… npm run e2e
//
// OS_USERNAME and OS_PASSWORD of the cloud's openrc do as well. Several walks are
// under way at a time, each with a browser and names of its own; what they make
// they delete.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const base = (process.env.BASE_URL ?? 'http://127.0.0.1:5000').replace(/\/$/, '');
// USER is also what shells call the login name, so it counts only together with PASSWORD.
export const user = process.env.PASSWORD === undefined ? process.env.OS_USERNAME : process.env.USER;
export const adminPassword = process.env.ADMIN_PASSWORD;
export const password = process.env.PASSWORD ?? process.env.OS_PASSWORD;

const program = process.env.CHROMIUM ?? '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const shots = join(import.meta.dirname, 'out');

export async function browser() {
  if (!existsSync(program)) {
    throw new Error(`there is no ${program}: apt-get install chromium fonts-noto-cjk, or set CHROMIUM`);
  }
  mkdirSync(shots, { recursive: true });
  return chromium.launch({
    executablePath: program,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page that remembers what it complained about. */
export async function open(on, options = {}) {
  const context = await on.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
    ignoreHTTPSErrors: true,
    reducedMotion: 'reduce',
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // The browser reports each failed request; those are judged by what the page makes of them.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      complaints.push(`console: ${message.text()}`);
    }
  });
  return { context, page, complaints };
}

export const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), fullPage: false });

/** Whatever axe finds on the page as it is. */
export async function findings(page) {
  if (!(await page.evaluate(() => 'axe' in window))) {
    await page.evaluate(axe);
  }
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] }),
  );
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(' ')} (${n.failureSummary.split('\n')[1]?.trim()})`).slice(0, 4).join('; ')}`);
}
