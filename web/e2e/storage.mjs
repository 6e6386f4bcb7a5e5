// Volumes and what is made of them.
import assert from 'node:assert/strict';
import { act, choose, command, confirm, dialog, drop, fill, look, make, name, row, slow, status, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('makes a volume, changes it, attaches and detaches it', async () => {
  await to('/volumes');
  await page().getByRole('button', { name: 'Create volume' }).first().click();
  await fill('volume-create', { name, size: '1' });
  assert.equal(await command(), `openstack volume create --size 1 ${name}`);
  assert.match(await command('curl'), /curl -X POST http\S+\/volume\/v3\/volumes -H "X-Auth-Token: \$TOKEN" .*-d '\{"volume":\{"name":"e2e/);
  await look('volume-create');
  await confirm();
  await status('available').waitFor({ timeout: slow });
  await act('Edit', 'volume-edit', { description: 'walked' });
  await act('Extend', 'volume-extend', { new_size: '2' });
  await row().getByText('2 GiB').waitFor({ timeout: slow });
  await status('available').waitFor({ timeout: slow });
  await act('Attach', 'volume-attach', { server: { choose: name } });
  await status('in-use').waitFor({ timeout: slow });
  await look('volumes');
  await choose('Detach');
  await dialog().getByText('Unmount it').waitFor();
  await confirm();
  await status('available').waitFor({ timeout: slow });
});

step('takes a snapshot, makes a volume of it, deletes them all', async () => {
  await row().getByRole('link', { name }).first().click();
  await page().getByRole('heading', { name }).waitFor();
  await make('Create snapshot', 'volume-snapshot', { name: `${name}-snap` }, `${name}-snap`);
  await status('available', `${name}-snap`).waitFor({ timeout: slow });
  await look('volume');
  await to('/snapshots');
  await act('Create volume', 'snapshot-volume', { name: `${name}-copy` }, `${name}-snap`);
  await look('snapshots');
  await to('/volumes');
  await status('available', `${name}-copy`).waitFor({ timeout: slow });
  await drop(`${name}-copy`);
  await to('/snapshots');
  await drop(`${name}-snap`);
});

step('backs a volume up, restores it, and hands it over', async () => {
  await to('/volumes');
  await act('Create backup', 'volume-backup', { name: `${name}-bak` });
  await to('/backups');
  await status('available', `${name}-bak`).waitFor({ timeout: slow });
  await look('backups');
  await act('Restore', 'backup-restore', { name: `${name}-back` }, `${name}-bak`);
  await status('available', `${name}-bak`).waitFor({ timeout: slow });
  await drop(`${name}-bak`);
  await to('/volumes');
  await status('available', `${name}-back`).waitFor({ timeout: slow });
  await choose('Create transfer', `${name}-back`);
  assert.match(await command(), /^openstack volume transfer request create [\da-f-]{36}$/);
  await page().locator('#confirm').click();
  await dialog().locator('code').nth(1).waitFor();
  const [id, key] = await dialog().locator('code').allTextContents();
  await look('transfer-secret');
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  await to('/transfers');
  await row(id.slice(0, 8)).waitFor();
  await look('transfers');
  await page().getByRole('button', { name: 'Accept transfer' }).click();
  await fill('transfer-accept', { id, auth_key: key });
  await confirm();
  await to('/volumes');
  await status('available', `${name}-back`).waitFor({ timeout: slow });
  for (const one of await row().all()) {
    await one.locator('input[type=checkbox]').check();
  }
  await page().getByRole('toolbar').getByRole('button', { name: 'Delete' }).click();
  await dialog().locator('#confirm').click();
  await dialog().locator('[data-status=ok]').nth(1).waitFor();
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await row().first().waitFor({ state: 'detached', timeout: slow });
});
