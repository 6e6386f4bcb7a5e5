// The life of an instance, by the menu of its row and by those of many rows.
import assert from 'node:assert/strict';
import { act, choose, dialog, fill, launch, look, menu, name, row, settled, slow, step, to, walk } from './walk.mjs';

const page = () => walk.page;

/** What the menu of a row offers. */
async function offers(text = name) {
  await row(text).locator('button[aria-label^="Actions for"]').first().click();
  await menu('Console').waitFor();
  const items = await page().locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item').allTextContents();
  await page().keyboard.press('Escape');
  return items;
}

step('offers what its state allows, and nothing of what operators do', async () => {
  await settled('ACTIVE');
  const items = await offers();
  for (const item of ['Stop', 'Pause', 'Suspend', 'Shelve', 'Rescue', 'Resize', 'Create backup', 'Trigger crash dump', 'Set tags', 'Lock', 'Delete']) {
    assert.ok(items.includes(item), `${item} is missing among ${items.join(', ')}`);
  }
  for (const item of ['Start', 'Unpause', 'Resume', 'Unshelve', 'End rescue', 'Keep new size', 'Unlock', 'Migrate', 'Evacuate', 'Reset state']) {
    assert.ok(!items.includes(item), `${item} is offered`);
  }
});

step('is rescued with a password that is shown once, and comes back', async () => {
  await choose(/^Rescue$/);
  await dialog().locator('#confirm').waitFor();
  await fill('server-rescue', { rescue_image_ref: { choose: 'cirros' } });
  await look('rescue');
  await page().locator('#confirm').click();
  await page().getByText('Images that take a password from the cloud').waitFor();
  assert.match(await dialog().locator('code').textContent(), /^\w{12}$/);
  await look('rescue-password');
  await page().getByRole('button', { name: 'I have kept it' }).click();
  await settled('RESCUE');
  await act('End rescue', 'server-unrescue', {});
  await settled('ACTIVE');
});

step('is suspended, resumed, shelved and brought back to a zone', async () => {
  await act('Suspend', 'server-suspend', {});
  await settled('SUSPENDED');
  await choose('Resume');
  await settled('ACTIVE');
  await act(/^Shelve$/, 'server-shelve', {});
  await settled('SHELVED_OFFLOADED');
  await act('Unshelve to', 'server-unshelve-to', { availability_zone: { choose: 'nova' } });
  await settled('ACTIVE');
});

step('gets another size, and keeps it', async () => {
  await act('Resize', 'server-resize', { flavorRef: { choose: 'm1.small' } });
  await settled('VERIFY_RESIZE');
  await act('Keep new size', 'server-confirm-resize', {});
  await settled('ACTIVE');
});

step('has a backup, a password of its own, a dump, and something to be found by', async () => {
  await act('Create backup', 'server-backup', { name: `${name}-backup`, rotation: '2' });
  await settled('ACTIVE');
  await act('Change password', 'server-password', { adminPass: 'sent once' });
  await act('Trigger crash dump', 'server-crash', {});
  await act('Set tags', 'server-tags', { tags: 'walked' });
  await act('Set metadata', 'server-metadata', { metadata: 'purpose=walk' });
  await act(/^Lock$/, 'server-lock', { locked_reason: 'nobody touches it' });
  await row().getByRole('link').first().click();
  for (const told of ['walked', 'purpose=walk', 'nobody touches it']) {
    await page().getByText(told, { exact: true }).waitFor();
  }
  await look('locked');
  await page().getByRole('tab', { name: 'Diagnostics' }).click();
  await page().getByText('The guest sees all of its memory and cores as one node.').waitFor();
  await page().getByRole('tab', { name: 'History' }).click();
  for (const action of ['Rescue', 'End rescue', 'Suspend', 'Shelve', 'Unshelve', 'Resize', 'Create backup', 'Trigger crash dump']) {
    await page().locator('summary', { hasText: action }).first().waitFor();
  }
  await to('/instances');
  assert.deepEqual((await offers()).filter((item) => /^(Stop|Resize|Delete|Unlock)$/.test(item)), ['Unlock']);
  await choose('Unlock');
  await to('/images');
  await act('Delete', 'delete', {}, `${name}-backup`);
  await to('/instances');
});

step('is told about one by one when something is done with many', async () => {
  const other = `${name}-other`;
  await launch(other);
  await settled('ACTIVE', other);
  await row(other).locator('input[type=checkbox]').check();
  const tools = page().getByRole('toolbar');
  await tools.getByRole('button', { name: 'Stop' }).click();
  await page().locator('#confirm').click();
  await settled('SHUTOFF', other);
  // One of them cannot be started: it runs.
  for (const box of await page().locator('.ant-table-row', { hasText: name }).locator('input[type=checkbox]').all()) {
    await box.check();
  }
  await tools.getByText('2 selected').waitFor();
  await tools.getByRole('button', { name: 'Start' }).click();
  await dialog().getByText(`${name}: left out, its state does not allow this`).waitFor();
  await page().locator('#confirm').click();
  await dialog().locator('.results [data-status=ok]', { hasText: other }).waitFor();
  await look('bulk');
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await settled('ACTIVE', other);
  await tools.getByRole('button', { name: 'More actions' }).click();
  await menu('Pause').first().click();
  await page().locator('#confirm').click();
  await dialog().locator('.results [data-status=ok]').nth(1).waitFor();
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await settled('PAUSED', other);
  await act('Delete', 'delete', {}, other); // a paused one is kept, too
  await row(other).waitFor({ state: 'detached', timeout: slow });
  await page().getByRole('button', { name: 'Undo' }).waitFor({ timeout: slow });
  await look('undo');
  await page().getByRole('button', { name: 'Undo' }).click();
  await settled('ACTIVE', other);
  await act('Delete', 'delete', {}, other);
  await row(other).waitFor({ state: 'detached', timeout: slow });
});
