// What only operators see.
import assert from 'node:assert/strict';
import { adminPassword, base, open } from './browser.mjs';
import { act, api, choose, drop, look, make, name, row, signIn, slow, status, step, to, walk } from './walk.mjs';

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

  await to('/zones');
  await row('nova').getByText('node-1').waitFor();
  await look('zones');

  await to('/flavors');
  await make('Create flavor', 'flavor-create', { name, 'os-flavor-access:is_public': false });
  await act('Set specs', 'flavor-specs', { extra_specs: 'hw:cpu_policy=shared' });
  await act('Give access', 'flavor-access', { tenant: { choose: 'demo' } });
  await row().getByRole('link').first().click();
  await page.locator('.panel[aria-label="Who may use it"]').getByText('demo').waitFor();
  await look('flavor');
  await to('/flavors');
  await drop();

  await to('/instances');
  await page.getByRole('switch').click();
  await row().getByText('demo').waitFor();
  await look('all-projects');
  await row().getByRole('link').first().click();
  await page.locator('.scores .tag', { hasText: 'chosen' }).waitFor(); // its score and the three factors
  assert.equal(await page.locator('.scores thead th').count(), 5);
  await look('scores');
  await page.getByRole('tab', { name: 'Diagnostics' }).click();
  await page.getByText('Running for').waitFor();
  await look('diagnostics');
  await to('/instances');
  await choose('Migrate');
  await page.locator('#confirm').click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await to('/migrations');
  await row('Migration').locator('[data-status=finished]').first().waitFor({ timeout: slow });
  await look('migrations');
  const { servers } = await api('GET', `/compute/v2.1/servers/detail?all_tenants=1&name=${name}`);
  const [{ id, 'OS-EXT-SRV-ATTR:host': host }] = servers;
  await to('/hosts');
  await row(host).getByRole('link').first().click();
  await act('Keep new size', 'server-confirm-resize', {}); // it is among the guests of the host
  await status('ACTIVE').waitFor({ timeout: slow });
  await look('guests');
  await to('/migrations');
  await page.locator(`.ant-table-row:has(a[href*="${id}"]) [data-status=confirmed]`).waitFor({ timeout: slow });
  await api('POST', `/compute/v2.1/servers/${id}/action`, { 'os-migrateLive': { host: null, block_migration: 'auto' } }); // its guest is too busy to leave
  await row('Live migration').locator('[data-status=running]').waitFor({ timeout: slow });
  await act('Abort migration', 'migration-abort', {}, 'Live migration');
  await row('Live migration').locator('[data-status=cancelled]').waitFor({ timeout: slow });
  await to('/quotas');
  await page.locator('.panel[aria-label="Compute"]').getByRole('button', { name: 'Change quotas' }).click();
  await page.locator('#quota-compute_instances').fill('11');
  await page.locator('#confirm').click();
  await page.getByText('of 11').waitFor();

  assert.deepEqual(operator.complaints, []);
  await operator.context.close();
  Object.assign(walk, member);
});

step('offers readers nothing that they may not do', async () => {
  const [operator, reader] = await Promise.all([open(walk.browser), open(walk.browser)]);
  await operator.page.goto(`${base}/dashboard/`);
  await signIn(operator.page, adminPassword, 'admin');
  await operator.page.locator('.usage').first().waitFor();
  const admin = (method, path, body) => api(method, `/identity/v3${path}`, body, operator.page);
  const [{ projects }, { roles }] = await Promise.all([admin('GET', '/projects?name=demo'), admin('GET', '/roles?name=reader')]);
  const { user } = await admin('POST', '/users', { user: { name: `${name}-reader`, password: 'only looks', default_project_id: projects[0].id } });
  await admin('PUT', `/projects/${projects[0].id}/users/${user.id}/roles/${roles[0].id}`);

  const { page } = reader;
  await page.goto(`${base}/dashboard/instances`);
  await signIn(page, 'only looks', `${name}-reader`);
  await page.locator('.ant-table-row', { hasText: name }).getByRole('link').first().waitFor();
  await look('reader', page);
  assert.equal(await page.getByRole('link', { name: 'Launch instance' }).count(), 0);
  assert.equal(await page.locator('input[type=checkbox], button[aria-label^="Actions for"]').count(), 0);
  await page.locator('.ant-table-row', { hasText: name }).getByRole('link').first().click();
  await page.getByRole('tab', { name: 'History' }).waitFor();
  assert.deepEqual(await page.getByRole('tab').allTextContents(), ['Overview', 'Diagnostics', 'History']);
  assert.equal(await page.locator('.page-head button').count(), 0);
  const go = (place) => page.locator(`.nav a[href="/dashboard${place}"]`).click();
  await go('/volumes');
  await page.getByRole('heading', { name: 'Volumes' }).first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Create volume' }).count(), 0);
  await go('/keypairs'); // are the user's own
  await page.getByRole('button', { name: 'Create key pair' }).first().waitFor();
  await page.goto(`${base}/dashboard/launch`);
  await page.getByText('Your role lets you look at this project').waitFor();
  await look('reader-launch', page);

  assert.deepEqual(reader.complaints, []);
  await admin('DELETE', `/users/${user.id}`);
  await Promise.all([operator.context.close(), reader.context.close()]);
});
