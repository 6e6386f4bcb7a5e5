// Signing in, and all that is done with an instance.
import assert from 'node:assert/strict';
import { base, open, password } from './browser.mjs';
import { choose, command, look, name, painted, row, settled, signIn, slow, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('signs in in Chinese, and remembers it', async () => {
  const chinese = await open(walk.browser, { locale: 'zh-CN' });
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
  await page().goto(`${base}/dashboard/instances`);
  await page().getByRole('heading', { name: 'Sign in to Nacre' }).waitFor();
  await signIn(page(), `${password}x`);
  await page().getByText('User name, password or domain is wrong').waitFor();
  await look('sign-in-refused');
});

step('signs in and stays at the address', async () => {
  await signIn(page());
  await page().getByRole('heading', { name: 'Instances' }).first().waitFor();
  assert.equal(new URL(page().url()).pathname, '/dashboard/instances');
  const cookies = await page().context().cookies();
  const session = cookies.find((c) => c.name.startsWith('nacre_session'));
  assert.ok(session?.httpOnly && session.sameSite === 'Strict', JSON.stringify(cookies));
});

step('shows quotas', async () => {
  await to('/');
  await page().locator('.usage').nth(7).waitFor();
  assert.equal(await page().locator('.ant-alert').count(), 0, 'a quota could not be read');
  await look('overview');
});

step('makes a key pair and launches an instance on one page', async () => {
  await page().getByRole('link', { name: 'Launch instance' }).first().click();
  await page().locator('.choices').first().waitFor();
  const fit = page().getByTestId('fit');
  await fit.getByText('have room for it').waitFor();
  await look('launch');
  await page().locator('.choices').getByText('m1.xlarge').click();
  await page().locator('#count').fill('100');
  await fit.getByText(/^Only \d+ of 100 find a host now$/).waitFor();
  await fit.getByText('2 hosts: not enough free cores, memory or disk').waitFor();
  await page().getByText('This is more than the quota allows').waitFor();
  await look('launch-no-host');
  await page().locator('#count').fill('2');
  await page().locator('.choices').getByText('m1.tiny').click();
  await fit.getByText('All 2 find a host').waitFor();
  await page().locator('#count').fill('1');
  await fit.getByText('have room for it').waitFor();
  await page().getByRole('button', { name: 'Launch instance' }).click();
  await page().getByText('Give the instance a name.').waitFor();
  await page().locator('#name').fill(name);
  await page().getByRole('button', { name: 'Create key pair' }).click();
  const dialog = page().getByRole('dialog');
  await dialog.locator('#name').fill(name);
  await dialog.getByRole('button', { name: 'Create key pair' }).click();
  await page().getByText('-----BEGIN OPENSSH PRIVATE KEY-----').waitFor();
  await look('private-key');
  await page().getByRole('button', { name: 'I have kept it' }).click();
  await page().getByRole('dialog').waitFor({ state: 'hidden' });
  await page().locator('.command summary').click();
  assert.match(await page().locator('[data-command=openstack]').textContent(), new RegExp(`^openstack server create --flavor \\S+ --image \\S+ --network \\S+ --key-name ${name} .*${name}$`));
  await page().getByRole('button', { name: 'Launch instance' }).click();
  await row().waitFor();
});

step('the list moves to active by itself', async () => {
  await settled('ACTIVE');
  await row().getByText(/\d+\.\d+\.\d+\.\d+/).first().waitFor();
  await look('instances');
});

step('stops and starts', async () => {
  await choose('Stop');
  await page().getByRole('dialog').getByText(`Stop: ${name}`).last().waitFor();
  assert.match(await command(), /^openstack server stop [\da-f-]{36}$/);
  await look('confirm-stop');
  await page().locator('#confirm').click();
  await settled('SHUTOFF');
  await choose('Start');
  await settled('ACTIVE');
});

step('filters by name, and has actions for many', async () => {
  await page().getByPlaceholder('Name, address or ID').fill('no such name');
  await page().getByText('No instance matches').waitFor();
  await page().getByPlaceholder('Name, address or ID').fill(name);
  await look('instances-filtered');
  await row().locator('input[type=checkbox]').check();
  await page().getByRole('toolbar').getByRole('button', { name: 'Reboot' }).click();
  await page().locator('#confirm').click();
  await page().getByText(`Reboot: ${name}`).last().waitFor();
  await settled('ACTIVE');
  await page().getByPlaceholder('Name, address or ID').fill('');
});

step('gives it a floating IP', async () => {
  await choose('Floating IP');
  await page().getByRole('dialog').getByRole('button', { name: 'Associate' }).waitFor();
  await page().getByRole('dialog').getByText('public').click(); // not an address that another walk has
  await look('floating-ip');
  await page().getByRole('dialog').getByRole('button', { name: 'Associate' }).click();
  await page().getByRole('dialog').waitFor({ state: 'hidden' });
  await row().locator('.tag').waitFor();
  await choose('Floating IP');
  await page().getByText('Show as command: Release').click();
  assert.match(await page().locator('[data-command=openstack]:visible').first().textContent(), /^openstack floating ip delete [\da-f-]{36}$/);
  await look('floating-ip-associated');
  await page().keyboard.press('Escape');
  await page().getByRole('dialog').waitFor({ state: 'hidden' });
});

step('tells everything about it', async () => {
  await row().getByRole('link').first().click();
  await page().getByRole('heading', { name }).waitFor();
  await page().locator('.facts').first().waitFor();
  await page().getByText('floating', { exact: true }).waitFor();
  await look('instance');
});

step('shows its screen', async () => {
  await page().getByRole('tab', { name: 'Console', exact: true }).click();
  await page().locator('[data-status=connected]').waitFor();
  await painted(page());
  await look('console');
});

step('is typed to on its serial line, and answers', async () => {
  await page().getByRole('tab', { name: 'Serial console' }).click();
  await page().locator('[data-status=connected]').waitFor();
  const terminal = page().locator('.xterm-rows');
  await terminal.getByText(`${name} login:`).last().waitFor(); // the end of the log
  await page().keyboard.type('hello, guest');
  await page().keyboard.press('Enter');
  await terminal.getByText('You said "hello, guest". Nothing runs here.').waitFor();
  await page().keyboard.press('Tab'); // is the guest's
  assert.ok(await page().evaluate(() => document.activeElement.classList.contains('xterm-helper-textarea')), 'Tab left the terminal');
  await page().keyboard.press('Shift+Escape');
  assert.equal(await page().evaluate(() => document.activeElement.textContent), 'Copy selection');
  await look('serial');

  await page().context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page().evaluate(() => navigator.clipboard.writeText('carried over'));
  await page().getByRole('button', { name: 'Paste' }).click();
  await terminal.getByText('carried over').waitFor(); // the clipboard takes its time
  await page().keyboard.press('Enter');
  await terminal.getByText('You said "carried over".').waitFor();
  const said = terminal.getByText('You said "carried over".');
  const box = await said.boundingBox();
  await page().mouse.dblclick(box.x + 12, box.y + box.height / 2); // the word "You"
  await page().keyboard.press('Control+Shift+C');
  await page().waitForFunction(async () => (await navigator.clipboard.readText()).startsWith('You'));

  // A narrower place has fewer columns, and the guest can be told.
  await page().setViewportSize({ width: 700, height: 700 });
  await page().getByRole('button', { name: 'Tell guest the size' }).click();
  await terminal.getByText(/You said "stty rows \d+ cols \d+"/).waitFor();
  await look('serial-narrow');
  await page().setViewportSize({ width: 1280, height: 800 });
});

step('a serial line is shared, ends with the guest, and is there again', async () => {
  const [alone] = await Promise.all([page().context().waitForEvent('page'), page().getByRole('button', { name: 'New window' }).click()]);
  await alone.locator('[data-status=connected]').waitFor();
  await alone.keyboard.type('from the window');
  await page().locator('.xterm-rows').getByText('from the window').waitFor();
  await look('serial-alone', alone);
  await alone.close();
  await page().getByRole('button', { name: 'Stop', exact: true }).click();
  await page().locator('#confirm').click();
  await page().locator('.over').getByText('The serial line can be used when the instance is active.').waitFor();
  await look('serial-off');
  await page().getByRole('button', { name: 'Start', exact: true }).click();
  await page().locator('[data-status=connected]').waitFor({ timeout: slow });
  await page().locator('.xterm-rows').getByText(`${name} login:`).last().waitFor();
});

step('a console address works once, for whoever has it', async () => {
  const id = new URL(page().url()).pathname.split('/')[3];
  const url = await page().evaluate(async (server) => {
    const reply = await fetch(`/compute/v2.1/servers/${server}/remote-consoles`, {
      method: 'POST',
      headers: { 'X-Nacre-Dashboard': '1', 'Content-Type': 'application/json', 'OpenStack-API-Version': 'compute 2.98' },
      body: JSON.stringify({ remote_console: { protocol: 'vnc', type: 'novnc' } }),
    });
    return (await reply.json()).remote_console.url;
  }, id);
  const stranger = await open(walk.browser);
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
  await page().getByRole('tab', { name: 'Log' }).click();
  await page().waitForFunction(
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
  await page().getByRole('tab', { name: 'History' }).click();
  for (const action of ['Create', 'Stop', 'Start', 'Reboot']) {
    await page().locator('summary', { hasText: action }).first().waitFor();
  }
  await page().locator('summary', { hasText: 'Create' }).click();
  await page().locator('details', { has: page().locator('summary', { hasText: 'Create' }) }).locator('.steps li').first().waitFor();
  await look('history');
});


step('pauses it and goes on, by the menu of its page', async () => {
  await page().getByRole('tab', { name: 'Overview' }).click();
  const press = async (title) => {
    await page().locator('main button[aria-label^="Actions for"]').click();
    await page().locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item', { hasText: title }).first().click();
  };
  await press('Pause');
  await page().locator('#confirm').click();
  await page().locator('[data-status=PAUSED]').first().waitFor({ timeout: slow });
  await press('Unpause');
  await page().locator('[data-status=ACTIVE]').first().waitFor({ timeout: slow });
});
