// The screen in SPICE, which the guests of some images have.
import assert from 'node:assert/strict';
import { base, open } from './browser.mjs';
import { api, launch, look, name, painted, row, slow, status, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('has a page for a screen in SPICE, of guests that have one', async () => {
  await page().goto(`${base}/dashboard/instances`);
  await status('ACTIVE').waitFor({ timeout: slow });
  await row().getByRole('link').first().click();
  await page().getByRole('tab', { name: 'Console', exact: true }).waitFor();
  await page().locator('.facts').first().waitFor();
  assert.equal(await page().getByRole('tab', { name: 'Console (SPICE)' }).count(), 0);

  const { id } = await api('POST', '/image/v2/images', { name: `${name}-qxl`, disk_format: 'raw', container_format: 'bare', hw_video_model: 'qxl' });
  await page().evaluate(
    ([where, bytes]) => fetch(where, { method: 'PUT', headers: { 'X-Nacre-Dashboard': '1', 'Content-Type': 'application/octet-stream' }, body: new Uint8Array(bytes).fill(7) }),
    [`/image/v2/images/${id}/file`, 1 << 20],
  );
  await launch(`${name}-qxl`, page(), `${name}-qxl`);
  await to('/instances');
  await status('ACTIVE', `${name}-qxl`).waitFor({ timeout: slow });
  await row(`${name}-qxl`).getByRole('link').first().click();
  await page().getByRole('tab', { name: 'Console (SPICE)' }).click();
  await page().locator('[data-status=connected]').waitFor();
  await painted(page());
  await look('spice');
});

step('gives it the whole place, and the keys until it is left', async () => {
  const target = await page().getByTestId('screen').boundingBox();
  const drawn = await page().locator('[data-testid=screen] canvas').boundingBox();
  assert.ok(Math.abs(drawn.height - target.height) < 1 || Math.abs(drawn.width - target.width) < 1, `it is drawn at ${JSON.stringify(drawn)} in ${JSON.stringify(target)}`);
  await page().locator('[data-testid=screen] canvas').click();
  const focused = () => page().evaluate(() => document.activeElement.tagName);
  assert.equal(await focused(), 'CANVAS');
  page().once('dialog', (box) => walk.complaints.push(`a box: ${box.message()}`));
  await page().keyboard.press('MediaPlayPause'); // that it doesn't know
  await page().keyboard.press('Tab');
  await page().mouse.move(1, 1); // away from it
  assert.equal(await focused(), 'CANVAS');
  await page().keyboard.press('Shift+Escape');
  assert.equal(await page().evaluate(() => document.activeElement.textContent), 'Ctrl+Alt+Del');
  await page().keyboard.press('Enter');
  const licence = await page().getByRole('link', { name: 'spice-html5' }).getAttribute('href');
  assert.match(await page().evaluate(async (at) => (await fetch(at)).text(), licence), /GNU LESSER GENERAL PUBLIC LICENSE/);
});

step('opens it in a window of its own, by an address that works once', async () => {
  const [alone] = await Promise.all([page().context().waitForEvent('page'), page().getByRole('button', { name: 'New window' }).click()]);
  await painted(alone);
  await alone.close();

  const id = new URL(page().url()).pathname.split('/')[3];
  const { remote_console: made } = await api('POST', `/compute/v2.1/servers/${id}/remote-consoles`, { remote_console: { protocol: 'spice', type: 'spice-html5' } });
  const stranger = await open(walk.browser, { locale: 'zh-CN' });
  await stranger.page.goto(made.url);
  await painted(stranger.page);
  await stranger.page.getByText('绘制').waitFor();
  await look('spice-alone-zh', stranger.page);
  assert.deepEqual(stranger.complaints, []);
  await stranger.page.reload();
  await stranger.page.getByText('此地址已被使用或已过期').waitFor();
  await stranger.context.close();
});

step('ends with the guest', async () => {
  await page().getByRole('button', { name: 'Stop', exact: true }).click();
  await page().locator('#confirm').click();
  await page().locator('.over').getByText('The screen is on when the instance is active.').waitFor();
  await page().getByRole('button', { name: 'Start', exact: true }).click();
  await page().locator('[data-status=connected]').waitFor({ timeout: slow });
  await painted(page());
  const { servers } = await api('GET', '/compute/v2.1/servers');
  const { images } = await api('GET', '/image/v2/images');
  await page().getByRole('tab', { name: 'Overview' }).click();
  await page().locator('.facts').first().waitFor();
  await api('DELETE', `/compute/v2.1/servers/${servers.find((each) => each.name === `${name}-qxl`).id}`);
  await to('/instances');
  await row(`${name}-qxl`).waitFor({ state: 'detached', timeout: slow });
  await api('DELETE', `/image/v2/images/${images.find((each) => each.name === `${name}-qxl`).id}`);
});
