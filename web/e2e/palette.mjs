// Going anywhere by keyboard.
import assert from 'node:assert/strict';
import { look, name, step, to, walk } from './walk.mjs';

const page = () => walk.page;

step('finds pages and objects by keyboard', async () => {
  await to('/');
  await page().getByRole('heading', { name: /^Project / }).waitFor();
  await page().keyboard.press('Control+k');
  await page().waitForFunction(() => document.activeElement?.role === 'combobox');
  await page().keyboard.type(name);
  await page().getByRole('option', { name: new RegExp(`^${name} Instance`) }).waitFor();
  await look('palette');
  await page().keyboard.press('Enter');
  await page().getByRole('heading', { name, exact: true }).waitFor();
  const address = (await page().locator('.facts .mono strong').first().textContent()).trim();
  await page().keyboard.press('Control+k');
  await page().getByRole('combobox', { name: 'Go to' }).fill(address);
  await page().getByRole('option', { name: new RegExp(`Port · ${address.replaceAll('.', '\\.')}`) }).waitFor();
  await page().keyboard.press('Escape');
  await page().getByRole('dialog').waitFor({ state: 'hidden' });
});

step('is walked through by keyboard alone', async () => {
  await to('/server-groups');
  await page().getByRole('heading', { name: 'Server groups' }).first().waitFor();
  await page().locator('main').focus();
  const reach = async (what) => {
    for (let i = 0; i < 40; i++) {
      await page().keyboard.press('Tab');
      if ((await page().evaluate(() => document.activeElement?.textContent?.trim() ?? '')) === what) {
        return;
      }
    }
    assert.fail(`Tab does not lead to ${what}`);
  };
  await reach('Create server group');
  await page().keyboard.press('Enter');
  await page().locator('#server-group-create_name').waitFor();
  await page().locator('#server-group-create_name').focus();
  await page().keyboard.type(`${name}-keys`);
  await page().keyboard.press('Enter');
  const row = page().locator('.ant-table-row', { hasText: `${name}-keys` });
  await row.waitFor();
  await row.getByRole('button', { name: /^Actions for/ }).focus();
  await page().keyboard.press('Enter');
  await page().waitForFunction(() => document.activeElement?.closest('[role=menu]') !== null);
  if (!(await page().evaluate(() => document.activeElement?.role === 'menuitem'))) {
    await page().keyboard.press('ArrowDown');
  }
  await page().keyboard.press('Enter');
  await page().locator('#confirm').waitFor();
  await page().locator('#confirm').focus();
  await page().keyboard.press('Enter');
  await row.waitFor({ state: 'detached' });
});
