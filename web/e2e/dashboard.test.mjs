// The dashboard in a real Chromium against a running cloud:
//
//   BASE_URL=http://127.0.0.1:5000 USER=demo PASSWORD=… npm run e2e
//
// OS_USERNAME and OS_PASSWORD of the cloud's openrc do as well. The steps build
// on each other, as a visit does; what they make they delete.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { base, findings, launch, open, password, shot, user } from './browser.mjs';

const slow = 90_000; // for what a guest does
const name = `e2e-${randomBytes(3).toString('hex')}`;
let browser;
let page;
let complaints;

const steps = [];
const step = (title, work) => steps.push({ title, work });

test('dashboard', async (t) => {
  assert.ok(user && password, 'set USER and PASSWORD, or source the openrc of the cloud');
  browser = await launch();
  ({ page, complaints } = await open(browser));
  try {
    for (const { title, work } of steps) {
      let failed = false;
      await t.test(title, async () => {
        try {
          await work();
        } catch (error) {
          failed = true;
          await shot(page, 'failed');
          throw error;
        }
      });
      if (failed) {
        t.diagnostic('the page is in e2e/out/failed.png; what follows builds on this step and was not run');
        break;
      }
    }
  } finally {
    await browser.close();
  }
});

async function signIn(on, secret = password) {
  await on.locator('#sign-in_user').fill(user);
  await on.locator('#sign-in_password').fill(secret);
  await on.getByRole('button', { name: /^(Sign in|登录)$/ }).click();
}

/** Looks at the page as it is: by axe, and into a file for people. */
async function look(title, on = page) {
  await on.waitForTimeout(300); // menus and dialogs finish appearing
  await shot(on, title);
  assert.deepEqual(await findings(on), [], `axe on ${title}`);
}

const row = (text = name) => page.locator('.ant-table-row', { hasText: text });
const status = (value, text = name) => row(text).locator(`[data-status="${value}"]`);
const settled = (value) =>
  page.waitForFunction(
    ([wanted, text]) =>
      [...document.querySelectorAll('.ant-table-row')].some(
        (r) => r.textContent.includes(text) && r.querySelector(`[data-status="${wanted}"]`) && !r.querySelector('.task'),
      ),
    [value, name],
    { timeout: slow },
  );
const menu = (title) => page.locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item', { hasText: title });
const to = (place) => page.locator(`.nav a[href="/dashboard${place}"]`).click();

async function choose(title) {
  await row().locator('button').last().click();
  await menu(title).first().click();
}

/** Whether the canvas shows more than one colour. */
const painted = (on) =>
  on.waitForFunction(
    () => {
      const canvas = document.querySelector('[data-testid=screen] canvas');
      if (canvas === null || canvas.width === 0 || canvas.height === 0) {
        return false;
      }
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const first = data[0] + 256 * data[1] + 65536 * data[2];
      for (let i = 4; i < data.length; i += 4) {
        if (data[i] + 256 * data[i + 1] + 65536 * data[i + 2] !== first) {
          return true;
        }
      }
      return false;
    },
    null,
    { timeout: 30_000 },
  );

step('signs in in Chinese, and remembers it', async () => {
  const chinese = await open(browser, { locale: 'zh-CN' });
  await chinese.page.goto(`${base}/dashboard`);
  await chinese.page.getByRole('heading', { name: '登录珠云' }).waitFor();
  await look('sign-in-zh', chinese.page);
  await signIn(chinese.page);
  await chinese.page.getByRole('link', { name: '云主机', exact: true }).waitFor();
  await chinese.page.locator('.usage').first().waitFor();
  await look('overview-zh', chinese.page);
  await chinese.page.getByTestId('language').click();
  await chinese.page.getByRole('menuitem', { name: 'English' }).click();
  await chinese.page.getByRole('link', { name: 'Instances', exact: true }).waitFor();
  await chinese.page.reload();
  await chinese.page.getByRole('link', { name: 'Instances', exact: true }).waitFor();
  assert.deepEqual(chinese.complaints, []);
  await chinese.context.close();
});

step('refuses a wrong password and says so', async () => {
  await page.goto(`${base}/dashboard/instances`);
  await page.getByRole('heading', { name: 'Sign in to Nacre' }).waitFor();
  await signIn(page, `${password}x`);
  await page.getByText('User name, password or domain is wrong').waitFor();
  await look('sign-in-refused');
});

step('signs in and stays at the address', async () => {
  await signIn(page);
  await page.getByRole('heading', { name: 'Instances' }).first().waitFor();
  assert.equal(new URL(page.url()).pathname, '/dashboard/instances');
  const cookies = await page.context().cookies();
  const session = cookies.find((c) => c.name.startsWith('nacre_session'));
  assert.ok(session?.httpOnly && session.sameSite === 'Strict', JSON.stringify(cookies));
});

step('shows quotas', async () => {
  await to('/');
  await page.locator('.usage').nth(7).waitFor();
  assert.equal(await page.locator('.ant-alert').count(), 0, 'a quota could not be read');
  await look('overview');
});

step('makes a key pair and launches an instance on one page', async () => {
  await page.getByRole('link', { name: 'Launch instance' }).first().click();
  await page.locator('.choices').first().waitFor();
  await look('launch');
  await page.getByRole('button', { name: 'Launch instance' }).click();
  await page.getByText('Give the instance a name.').waitFor();
  await page.locator('#name').fill(name);
  await page.getByRole('button', { name: 'Create key pair' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.locator('#name').fill(name);
  await dialog.getByRole('button', { name: 'Create key pair' }).click();
  await page.getByText('-----BEGIN OPENSSH PRIVATE KEY-----').waitFor();
  await look('private-key');
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Launch instance' }).click();
  await row().waitFor();
});

step('the list moves to active by itself', async () => {
  await settled('ACTIVE');
  await row().getByText(/\d+\.\d+\.\d+\.\d+/).first().waitFor();
  await look('instances');
});

step('stops and starts', async () => {
  await choose('Stop');
  await page.getByRole('dialog').getByText(`Stop ${name}?`).last().waitFor();
  await look('confirm-stop');
  await page.locator('#confirm').click();
  await settled('SHUTOFF');
  await choose('Start');
  await settled('ACTIVE');
});

step('filters by name, and has actions for many', async () => {
  await page.getByPlaceholder('Name, address or ID').fill('no such name');
  await page.getByText('No instance matches').waitFor();
  await page.getByPlaceholder('Name, address or ID').fill(name);
  await row().locator('input[type=checkbox]').check();
  await page.getByRole('toolbar').getByRole('button', { name: 'Reboot' }).click();
  await page.locator('#confirm').click();
  await page.getByText(`${name} is rebooting.`).waitFor();
  await settled('ACTIVE');
  await page.getByPlaceholder('Name, address or ID').fill('');
});

step('gives it a floating IP', async () => {
  await choose('Floating IP');
  await page.getByRole('dialog').getByRole('button', { name: 'Associate' }).waitFor();
  await look('floating-ip');
  await page.getByRole('dialog').getByRole('button', { name: 'Associate' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await row().locator('.tag').waitFor();
});

step('tells everything about it', async () => {
  await row().getByRole('link').first().click();
  await page.getByRole('heading', { name }).waitFor();
  await page.locator('.facts').first().waitFor();
  await page.getByText('floating', { exact: true }).waitFor();
  await look('instance');
});

step('shows its screen', async () => {
  await page.getByRole('tab', { name: 'Console', exact: true }).click();
  await page.locator('[data-status=connected]').waitFor();
  await painted(page);
  await look('console');
});

step('is typed to on its serial line, and answers', async () => {
  await page.getByRole('tab', { name: 'Serial console' }).click();
  await page.locator('[data-status=connected]').waitFor();
  const terminal = page.locator('.xterm-rows');
  await terminal.getByText(`${name} login:`).last().waitFor(); // the end of the log
  await page.keyboard.type('hello, guest');
  await page.keyboard.press('Enter');
  await terminal.getByText('You said "hello, guest". Nothing runs here.').waitFor();
  await page.keyboard.press('Tab'); // is the guest's
  assert.ok(await page.evaluate(() => document.activeElement.classList.contains('xterm-helper-textarea')), 'Tab left the terminal');
  await page.keyboard.press('Shift+Escape');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Copy selection');
  await look('serial');

  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.evaluate(() => navigator.clipboard.writeText('carried over'));
  await page.getByRole('button', { name: 'Paste' }).click();
  await terminal.getByText('carried over').waitFor(); // the clipboard takes its time
  await page.keyboard.press('Enter');
  await terminal.getByText('You said "carried over".').waitFor();
  const said = terminal.getByText('You said "carried over".');
  const box = await said.boundingBox();
  await page.mouse.dblclick(box.x + 12, box.y + box.height / 2); // the word "You"
  await page.keyboard.press('Control+Shift+C');
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith('You'));

  // A narrower place has fewer columns, and the guest can be told.
  await page.setViewportSize({ width: 700, height: 700 });
  await page.getByRole('button', { name: 'Tell guest the size' }).click();
  await terminal.getByText(/You said "stty rows \d+ cols \d+"/).waitFor();
  await look('serial-narrow');
  await page.setViewportSize({ width: 1280, height: 800 });
});

step('a serial line is shared, ends with the guest, and is there again', async () => {
  const [alone] = await Promise.all([page.context().waitForEvent('page'), page.getByRole('button', { name: 'New window' }).click()]);
  await alone.locator('[data-status=connected]').waitFor();
  await alone.keyboard.type('from the window');
  await page.locator('.xterm-rows').getByText('from the window').waitFor();
  await look('serial-alone', alone);
  await alone.close();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.locator('#confirm').click();
  await page.locator('.over').getByText('The serial line can be used when the instance is active.').waitFor();
  await look('serial-off');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.locator('[data-status=connected]').waitFor({ timeout: slow });
  await page.locator('.xterm-rows').getByText(`${name} login:`).last().waitFor();
});

step('a console address works once, for whoever has it', async () => {
  const id = new URL(page.url()).pathname.split('/')[3];
  const url = await page.evaluate(async (server) => {
    const reply = await fetch(`/compute/v2.1/servers/${server}/remote-consoles`, {
      method: 'POST',
      headers: { 'X-Nacre-Dashboard': '1', 'Content-Type': 'application/json', 'OpenStack-API-Version': 'compute 2.96' },
      body: JSON.stringify({ remote_console: { protocol: 'vnc', type: 'novnc' } }),
    });
    return (await reply.json()).remote_console.url;
  }, id);
  const stranger = await open(browser);
  await stranger.page.goto(url);
  await painted(stranger.page);
  await look('console-alone', stranger.page);
  assert.deepEqual(stranger.complaints, []);
  await stranger.page.reload();
  await stranger.page.getByText('used before or has expired').waitFor();
  await look('console-used', stranger.page);
  await stranger.context.close();
});

step('shows its log', async () => {
  await page.getByRole('tab', { name: 'Log' }).click();
  await page.waitForFunction(
    () => {
      const text = document.querySelector('.log')?.textContent ?? '';
      return text !== '' && !text.startsWith('The guest has written nothing');
    },
    null,
    { timeout: slow },
  );
  await look('log');
});

step('knows what was done with it, and by which steps', async () => {
  await page.getByRole('tab', { name: 'History' }).click();
  for (const action of ['Create', 'Stop', 'Start', 'Reboot']) {
    await page.locator('summary', { hasText: action }).first().waitFor();
  }
  await page.locator('summary', { hasText: 'Create' }).click();
  await page.locator('details', { has: page.locator('summary', { hasText: 'Create' }) }).locator('.steps li').first().waitFor();
  await look('history');
});

step('uploads an image, imports another, and says why it cannot', async () => {
  await to('/images');
  await row('cirros').waitFor();
  await page.getByRole('button', { name: 'Create image' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Upload' }).click();
  await dialog.getByText('Choose a file.').waitFor();
  await look('image-create');
  await dialog.locator('#file').setInputFiles({ name: `${name}.raw`, mimeType: 'application/octet-stream', buffer: Buffer.alloc(3 << 20, 7) });
  assert.equal(await dialog.locator('#name').inputValue(), name);
  await dialog.getByRole('button', { name: 'Upload' }).click();
  await status('active').waitFor({ timeout: slow });
  await row().getByText('3 MiB').waitFor();

  await page.getByRole('button', { name: 'Create image' }).first().click();
  await dialog.getByText('A URL').click();
  await dialog.locator('#uri').fill('http://127.0.0.1:9/other.qcow2');
  await dialog.locator('#name').fill('elsewhere');
  await look('image-import');
  await dialog.getByRole('button', { name: 'Import' }).click();
  await row('elsewhere').getByText('is not public').waitFor({ timeout: slow });
  await look('images');
  for (const one of [name, 'elsewhere']) {
    await row(one).getByRole('button', { name: 'Delete' }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await row(one).waitFor({ state: 'detached', timeout: slow });
  }
});

step('makes a volume, attaches and detaches it, deletes it', async () => {
  await to('/volumes');
  await page.getByRole('button', { name: 'Create volume' }).first().click();
  await page.getByRole('dialog').locator('#name').fill(name);
  await page.getByRole('dialog').locator('#size').fill('1');
  await look('volume-create');
  await page.getByRole('dialog').getByRole('button', { name: 'Create volume' }).click();
  await status('available').waitFor({ timeout: slow });
  await row().getByRole('button', { name: 'Attach' }).click();
  await page.getByRole('dialog').locator('.ant-select').click();
  await page.locator('.ant-select-item-option', { hasText: name }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Attach' }).click();
  await status('in-use').waitFor({ timeout: slow });
  await look('volumes');
  await row().getByRole('button', { name: 'Detach' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Detach' }).click();
  await status('available').waitFor({ timeout: slow });
  await row().getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await row().waitFor({ state: 'detached', timeout: slow });
});

step('deletes it, and releases its floating IP', async () => {
  await to('/instances');
  await row().waitFor();
  const address = await row().locator('.mono', { has: page.locator('.tag') }).evaluate((e) => e.firstChild.textContent.trim());
  await choose('Delete');
  await page.locator('#confirm').click();
  await row().waitFor({ state: 'detached', timeout: slow });
  await to('/networks');
  await row(address).waitFor();
  await look('networks');
  await row(address).getByRole('button', { name: 'Release' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click();
  await row(address).waitFor({ state: 'detached' });
});

step('keeps what was typed when the session ends', async () => {
  await to('/instances');
  await page.getByRole('link', { name: 'Launch instance' }).first().click();
  await page.locator('#name').fill('half typed');
  // As if the token had expired: the page finds out by itself.
  await page.evaluate(() => fetch('/dashboard/session', { method: 'DELETE', headers: { 'X-Nacre-Dashboard': '1' } }));
  await page.getByRole('button', { name: 'Launch instance' }).click();
  await page.getByText('Your session has ended').waitFor();
  await look('session-ended');
  await signIn(page);
  await page.getByText('Your session has ended').waitFor({ state: 'hidden' });
  assert.equal(await page.locator('#name').inputValue(), 'half typed');
});

step('says what is at a wrong address', async () => {
  await page.goto(`${base}/dashboard/instances/00000000-0000-4000-8000-000000000000/overview`);
  await page.getByText('This instance doesn’t exist').waitFor();
  await page.goto(`${base}/dashboard/nowhere`);
  await page.getByText('There is nothing at this address').waitFor();
});

step('offers to reload when the code of a page is gone', async () => {
  const stale = await open(browser);
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

step('is dark where the system is, and narrow where the screen is', async () => {
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  for (const [place, mark] of [
    ['', '.usage'],
    ['instances', '.panel'],
    ['launch', '.choices'],
    ['images', '.ant-table-row'],
    ['networks', '.ant-table-row'],
  ]) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${base}/dashboard/${place}`);
    await page.locator(mark).first().waitFor();
    await look(`dark-${place || 'overview'}`);
    await page.setViewportSize({ width: 390, height: 800 });
    await look(`narrow-${place || 'overview'}`);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(beyond <= 0, `${place} is ${beyond} pixels wider than the screen`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

step('signs out for good', async () => {
  await page.evaluate(async (pair) => {
    await fetch(`/compute/v2.1/os-keypairs/${pair}`, { method: 'DELETE', headers: { 'X-Nacre-Dashboard': '1' } });
  }, name);
  await page.getByTestId('user').click();
  await menu('Sign out').click();
  await page.getByRole('heading', { name: 'Sign in to Nacre' }).waitFor();
  const refused = await page.evaluate(async () => {
    const reply = await fetch('/compute/v2.1/servers', { headers: { 'X-Nacre-Dashboard': '1' } });
    return reply.status;
  });
  assert.equal(refused, 401);
});

step('complained about nothing', () => {
  assert.deepEqual(complaints, []);
});
