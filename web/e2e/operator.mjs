// What only operators see.
import assert from 'node:assert/strict';
import { adminPassword, base, open } from './browser.mjs';
import { act, drop, look, make, name, row, signIn, step, to, walk } from './walk.mjs';

step('shows quotas', async () => {
  await to('/quotas');
  await walk.page.locator('.usage').nth(14).waitFor();
  await look('quotas');
});

step('shows operators the hosts, and all projects', async () => {
  assert.ok(adminPassword, 'set ADMIN_PASSWORD');
  const member = { page: walk.page, context: walk.context, complaints: walk.complaints };
  const operator = await open(walk.browser);
  Object.assign(walk, operator);
  const { page } = operator;
  await page.goto(`${base}/dashboard/hosts`);
  await signIn(page, adminPassword, 'admin');
  await row('node-1').waitFor();
  await look('hosts');
  await row('node-1').getByRole('link').first().click();
  await page.getByText('Certificate').waitFor();
  await look('host');

  await to('/services');
  await row('node-2').first().waitFor();
  const compute = row('nova-compute').filter({ hasText: 'node-2' });
  const change = async (what, fields = {}) => {
    await compute.locator('button[aria-label^="Actions for"]').click();
    await page.locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item', { hasText: what }).first().click();
    for (const [field, value] of Object.entries(fields)) {
      await page.locator(`#${field}`).fill(value);
    }
    await page.locator('#confirm').click();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  };
  await change('Disable', { 'service-disable_disabled_reason': 'walked' });
  await compute.getByText('walked').waitFor();
  await look('services');
  await change('Enable');
  await compute.getByText('walked').waitFor({ state: 'detached' });

  await to('/aggregates');
  await make('Create host aggregate', 'aggregate-create', { name });
  await act('Add host', 'aggregate-add', { host: { choose: 'node-1' } });
  await row().getByText('node-1').waitFor();
  await look('aggregates');
  await act('Remove host', 'aggregate-remove', { host: { choose: 'node-1' } });
  await drop();

  await to('/instances');
  await page.getByRole('switch').click();
  await row().getByText('demo').waitFor();
  await look('all-projects');
  await to('/quotas');
  await page.locator('.panel[aria-label="Compute"]').getByRole('button', { name: 'Change quotas' }).click();
  await page.locator('#quota-compute_instances').fill('11');
  await page.locator('#confirm').click();
  await page.getByText('of 11').waitFor();

  assert.deepEqual(operator.complaints, []);
  await operator.context.close();
  Object.assign(walk, member);
});
