// What ends a visit: sessions, wrong addresses, small and dark screens.
import assert from 'node:assert/strict';
import { base, open } from './browser.mjs';
import { choose, drop, look, menu, name, row, signIn, slow, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('deletes it, and releases its floating IP', async () => {
  await to('/instances');
  await row().waitFor();
  const address = await row().locator('.mono', { has: page().locator('.tag') }).evaluate((e) => e.firstChild.textContent.trim());
  await choose('Delete');
  await page().locator('#confirm').click();
  await row().waitFor({ state: 'detached', timeout: slow });
  await to('/floating-ips');
  await drop(address, 'Release');
});

step('keeps what was typed when the session ends', async () => {
  await to('/instances');
  await page().getByRole('link', { name: 'Launch instance' }).first().click();
  await page().locator('#name').fill('half typed');
  // As if the token had expired: the page finds out by itself.
  await page().evaluate(() => fetch('/dashboard/session', { method: 'DELETE', headers: { 'X-Nacre-Dashboard': '1' } }));
  await page().getByRole('button', { name: 'Launch instance' }).click();
  await page().getByText('Your session has ended').waitFor();
  await look('session-ended');
  // The sign-in has a window of its own, and closes it.
  const [popup] = await Promise.all([page().waitForEvent('popup'), page().getByRole('button', { name: 'Sign in', exact: true }).click()]);
  await Promise.all([popup.waitForEvent('close'), signIn(popup)]);
  await page().getByText('Your session has ended').waitFor({ state: 'hidden' });
  assert.equal(await page().locator('#name').inputValue(), 'half typed');
});

step('says what is at a wrong address', async () => {
  await page().goto(`${base}/dashboard/instances/00000000-0000-4000-8000-000000000000/overview`);
  await page().getByText('This instance doesn’t exist').waitFor();
  await page().goto(`${base}/dashboard/nowhere`);
  await page().getByText('There is nothing at this address').waitFor();
});

step('offers to reload when the code of a page is gone', async () => {
  const stale = await open(walk.browser);
  await stale.context.route('**/assets/networks-*.js', (route) => route.fulfill({ status: 404 }));
  await stale.page.goto(`${base}/dashboard/`);
  await signIn(stale.page);
  await stale.page.locator('.nav a[href="/dashboard/networks"]').click();
  await stale.page.getByRole('button', { name: 'Reload the page' }).waitFor();
  await look('broken', stale.page);
  await stale.context.unroute('**/assets/networks-*.js');
  await stale.page.getByRole('button', { name: 'Reload the page' }).click();
  await stale.page.locator('.ant-table-row').first().waitFor();
  await stale.context.close();
});

step('signs out for good', async () => {
  await page().goto(`${base}/dashboard/`);
  await page().evaluate(async (pair) => {
    await fetch(`/compute/v2.1/os-keypairs/${pair}`, { method: 'DELETE', headers: { 'X-Nacre-Dashboard': '1' } });
  }, name);
  await page().getByTestId('user').click();
  await menu('Sign out').click();
  await page().getByRole('heading', { name: 'Sign in to Nacre' }).waitFor();
  const refused = await page().request.get(`${base}/compute/v2.1/servers`, { headers: { 'X-Nacre-Dashboard': '1' } });
  assert.equal(refused.status(), 401);
});
