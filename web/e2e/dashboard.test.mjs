// The dashboard in a real Chromium against a running cloud:
//
//   BASE_URL=http://127.0.0.1:5000 USER=demo PASSWORD=… npm run e2e
//
// OS_USERNAME and OS_PASSWORD of the cloud's openrc do as well; what operators
// see is walked through with ADMIN_PASSWORD. The steps build on each other, as a
// visit does; what they make they delete.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open, password, shot, user } from './browser.mjs';
import './instances.mjs';
import './images.mjs';
import './storage.mjs';
import './network.mjs';
import './objects.mjs';
import './palette.mjs';
import './operator.mjs';
import './frame.mjs';
import { steps, walk } from './walk.mjs';

test('dashboard', async (t) => {
  assert.ok(user && password, 'set USER and PASSWORD, or source the openrc of the cloud');
  walk.browser = await launch();
  Object.assign(walk, await open(walk.browser));
  try {
    for (const { title, work } of steps) {
      let failed = false;
      await t.test(title, async () => {
        try {
          await work();
        } catch (error) {
          failed = true;
          await shot(walk.page, 'failed');
          throw error;
        }
      });
      if (failed) {
        t.diagnostic(`axe: ${walk.findings.join('\n')}`);
        t.diagnostic('the page is in e2e/out/failed.png; what follows builds on this step and was not run');
        break;
      }
    }
  } finally {
    await walk.browser.close();
  }
});
