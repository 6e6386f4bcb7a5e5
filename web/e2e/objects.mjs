// Object storage: containers, and files in folders.
import assert from 'node:assert/strict';
import { base } from './browser.mjs';
import { act, choose, command, confirm, dialog, drop, fill, look, name, row, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('makes a container and drops files into it', async () => {
  await to('/containers');
  await page().getByRole('button', { name: 'Create container' }).first().click();
  await fill('container-create', { name });
  assert.equal(await command(), `openstack container create ${name}`);
  await confirm();
  await row().getByRole('link').click();
  await page().getByText('Nothing is here yet.').waitFor();
  await page().getByRole('button', { name: 'Create folder' }).click();
  await dialog().getByLabel('Name').fill('reports');
  await dialog().getByRole('button', { name: 'Create folder' }).click();
  await page().getByRole('heading', { name: 'reports' }).waitFor();
  const dropped = await page().evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(['what was dropped'], 'dropped.txt', { type: 'text/plain' }));
    return data;
  });
  await page().getByTestId('drop').dispatchEvent('drop', { dataTransfer: dropped });
  await row('dropped.txt').waitFor();
  await page().getByTestId('files').setInputFiles({ name: 'picked ä#?.txt', mimeType: 'text/plain', buffer: Buffer.alloc(1 << 20, 65) });
  await row('picked ä#?.txt').getByText('1 MiB').waitFor();
  await look('objects');
});

step('downloads, describes and shares an object', async () => {
  const [file] = await Promise.all([page().waitForEvent('download'), choose('Download', 'dropped.txt')]);
  assert.equal(file.suggestedFilename(), 'dropped.txt');
  await choose('Details', 'dropped.txt');
  await dialog().locator('#object-metadata_metadata').fill('Colour=blue');
  assert.match(await command(), new RegExp(`^openstack object set --property Colour=blue ${name} reports/dropped.txt$`));
  await look('object');
  await dialog().getByRole('button', { name: 'Save metadata' }).click();
  await page().getByRole('dialog').waitFor({ state: 'hidden' });
  await choose('Share', 'dropped.txt');
  await dialog().getByText('The container is not public').waitFor();
  await dialog().getByRole('button', { name: 'Make address' }).click();
  const url = (await dialog().getByTestId('temporary').textContent()).trim();
  await look('object-share');
  const reply = await fetch(url.replace(/^https?:\/\/[^/]+/, base));
  assert.equal(await reply.text(), 'what was dropped');
  await dialog().getByRole('button', { name: 'Close' }).click();
});

step('opens the container to everybody, and empties it', async () => {
  for (const one of ['dropped.txt', 'picked']) {
    await row(one).locator('input[type=checkbox]').check();
  }
  await page().getByRole('toolbar').getByRole('button', { name: 'Delete' }).click();
  await dialog().locator('#confirm').click();
  await dialog().locator('[data-status=ok]').nth(1).waitFor();
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await page().getByText('Nothing is here yet.').waitFor();
  await page().getByRole('navigation', { name: 'Where this is' }).getByRole('link', { name }).click();
  await row('reports').waitFor();
  await page().evaluate(
    async (container) => {
      const session = await (await fetch('/dashboard/session', { headers: { 'X-Nacre-Dashboard': '1' } })).json();
      await fetch(`/v1/AUTH_${session.project.id}/${container}/reports/`, { method: 'DELETE', headers: { 'X-Nacre-Dashboard': '1' } });
    },
    name,
  );
  await to('/containers');
  await act('Change access', 'container-access', { public: true });
  await look('containers');
  await drop();
});
