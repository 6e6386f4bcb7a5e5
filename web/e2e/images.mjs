// Images: upload, import, whom they are shared with. Key pairs and server groups.
import assert from 'node:assert/strict';
import { act, api, command, choose, confirm, dialog, drop, look, make, name, publicKey, row, slow, status, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('uploads an image, imports another, and says why it cannot', async () => {
  await to('/images');
  await row('cirros').waitFor();
  await page().getByRole('button', { name: 'Create image' }).first().click();
  await dialog().getByRole('button', { name: 'Upload' }).click();
  await dialog().getByText('Choose a file.').waitFor();
  await look('image-create');
  await dialog().locator('#file').setInputFiles({ name: `${name}.raw`, mimeType: 'application/octet-stream', buffer: Buffer.alloc(3 << 20, 7) });
  assert.equal(await dialog().locator('#name').inputValue(), name);
  await dialog().getByRole('button', { name: 'Upload' }).click();
  await status('active').waitFor({ timeout: slow });
  await row().getByText('3 MiB').waitFor();

  await page().getByRole('button', { name: 'Create image' }).first().click();
  await dialog().getByText('A URL').click();
  await dialog().locator('#uri').fill('http://127.0.0.1:9/other.qcow2');
  await dialog().locator('#name').fill('elsewhere');
  await look('image-import');
  await dialog().getByRole('button', { name: 'Import' }).click();
  await row('elsewhere').getByText('is not public').waitFor({ timeout: slow });
  await look('images');
});

step('shares an image, tags it, and deletes both together', async () => {
  await act('Edit', 'image-edit', { tags: 'walked', visibility: { choose: 'projects it is shared with' } });
  await choose('Members');
  await dialog().locator('#image-members_member').fill('0123456789abcdef0123456789abcdef');
  assert.match(await command(), /^openstack image add project [\da-f-]{36} 0123456789abcdef0123456789abcdef$/);
  await dialog().getByRole('button', { name: 'Share', exact: true }).click();
  await dialog().getByText('Not accepted yet').waitFor();
  await look('image-members');
  await dialog().getByRole('button', { name: 'Close' }).click();
  await row().getByRole('link').click();
  await page().locator('.facts').getByText('walked').waitFor();
  await look('image');
  await page().goBack();
  for (const one of [name, 'elsewhere']) {
    await row(one).locator('input[type=checkbox]').check();
  }
  await page().getByRole('toolbar').getByRole('button', { name: 'Delete' }).click();
  await dialog().locator('#confirm').click();
  await dialog().locator('[data-status=ok]').nth(1).waitFor();
  await look('result-per-row');
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await row().waitFor({ state: 'detached', timeout: slow });
});

step('keeps key pairs', async () => {
  await api('POST', '/compute/v2.1/os-keypairs', { keypair: { name, public_key: publicKey } });
  await to('/keypairs');
  await row().waitFor();
  await look('keypairs');
  await page().getByRole('button', { name: 'Import key pair' }).click();
  await dialog().locator('#name').fill(`${name}-too`);
  await dialog().locator('#publicKey').fill(publicKey);
  await look('key-import');
  await dialog().getByRole('button', { name: 'Import key pair' }).click();
  await row(`${name}-too`).waitFor();
  await drop(`${name}-too`);
  await page().getByRole('button', { name: 'Create key pair' }).click();
  await dialog().locator('#name').fill(`${name}-x509`);
  await dialog().getByText('X.509 certificate').click();
  await dialog().getByRole('button', { name: 'Create key pair' }).click();
  assert.match(await dialog().locator('pre.secret').textContent(), /^-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----/);
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  await row(`${name}-x509`).getByText('x509', { exact: true }).waitFor();
  await drop(`${name}-x509`);
  await drop();
});

step('makes a server group', async () => {
  await to('/server-groups');
  await make('Create server group', 'server-group-create', { name, policy: { choose: 'On one host, if possible' } });
  await row().getByText('On one host, if possible').waitFor();
  await look('server-groups');
  await choose('Delete');
  assert.match(await command(), /^openstack server group delete [\da-f-]{36}$/);
  await confirm();
  await row().waitFor({ state: 'detached' });
});
