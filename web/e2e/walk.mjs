// What all steps of the walk share: the page, and how things on it are found.
import { randomBytes } from 'node:crypto';
import { findings, password, shot, user } from './browser.mjs';

export const slow = 90_000; // for what a guest does
export const name = `e2e-${randomBytes(3).toString('hex')}`;

/** Filled in when the walk begins. */
export const walk = { browser: null, page: null, complaints: [], findings: [] };

export const steps = [];
export const step = (title, work) => steps.push({ title, work });

export async function signIn(on, secret = password, who = user) {
  await on.locator('#sign-in_user').fill(who);
  await on.locator('#sign-in_password').fill(secret);
  await on.getByRole('button', { name: /^(Sign in|登录)$/ }).click();
}

/** Looks at the page as it is: by axe, whose findings are judged at the end, and into a file for people. */
export async function look(title, on = walk.page) {
  await on.waitForTimeout(150); // menus and dialogs finish appearing
  await shot(on, title);
  walk.findings.push(...(await findings(on)).map((finding) => `${title}: ${finding}`));
}

export const row = (text = name) => walk.page.locator('.ant-table-row', { hasText: text });
export const status = (value, text = name) => row(text).locator(`[data-status="${value}"]`);
export const menu = (title) => walk.page.locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item', { hasText: title });
export const to = (place) => walk.page.locator(`.nav a[href="/dashboard${place}"]`).click();
export const dialog = () => walk.page.getByRole('dialog').last();

/** Chooses from the menu of a row. */
export async function choose(title, text = name) {
  await row(text).locator('button[aria-label^="Actions for"]').first().click();
  await menu(title).first().click();
}

/** Fills in a dialog of the mechanism: text, a switch, or `{ choose: text }`. */
export async function fill(form, values) {
  for (const [field, value] of Object.entries(values)) {
    const control = walk.page.locator(`[id="${form}_${field}"]`);
    if (typeof value === 'boolean') {
      await control.click();
    } else if (typeof value === 'object') {
      await control.click();
      await walk.page.locator('.ant-select-dropdown:not(.ant-select-dropdown-hidden) .ant-select-item-option', { hasText: value.choose }).first().click();
    } else {
      await control.fill(value);
    }
  }
}

/** Does what the open dialog is about, and waits until it is gone. */
export async function confirm() {
  await walk.page.locator('#confirm').last().click();
  await walk.page.getByRole('dialog').waitFor({ state: 'hidden', timeout: slow });
}

/** Makes one: the button, what is filled in, and the row that appears. */
export async function make(button, form, values, seen = name) {
  await walk.page.getByRole('button', { name: button, exact: true }).first().click();
  await dialog().locator('#confirm').waitFor();
  await fill(form, values);
  await confirm();
  await row(seen).first().waitFor({ timeout: slow });
}

export async function act(title, form, values, text = name) {
  await choose(title, text);
  await dialog().locator('#confirm').waitFor();
  await fill(form, values);
  await confirm();
}

export async function drop(text = name, title = 'Delete') {
  await choose(title, text);
  await dialog().locator('#confirm').waitFor();
  await confirm();
  await row(text).waitFor({ state: 'detached', timeout: slow });
}

/** The command that the open dialog shows. */
export async function command(which = 'openstack') {
  const shown = dialog().locator(`[data-command="${which}"]`);
  if (!(await shown.isVisible())) {
    await dialog().locator('.command summary').click();
  }
  return shown.textContent();
}
