// What all steps of a walk share: the page, and how things on it are found.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { base, browser, findings, open, password, shot, user } from './browser.mjs';

export const slow = 90_000; // for what a guest does
export const name = `e2e-${randomBytes(3).toString('hex')}`;

/** Filled in when the walk begins. */
export const walk = { browser: null, page: null, complaints: [], findings: [] };

const steps = [];
export const step = (title, work) => steps.push({ title, work });

/** Signs in, and launches an instance, which is a matter of another walk. */
async function begin() {
  await walk.page.goto(`${base}/dashboard/instances`);
  await signIn(walk.page);
  await walk.page.getByRole('heading', { name: 'Instances' }).first().waitFor();
  await launch(name);
  await status('ACTIVE').waitFor({ timeout: slow });
}

async function end() {
  await to('/instances');
  await drop();
}

/** Takes the steps one after the other, as a visit does: each builds on those before. */
export function run(title, { launched = true } = {}) {
  if (launched) {
    steps.unshift({ title: 'signs in, with an instance', work: begin });
    steps.push({ title: 'deletes its instance', work: end });
  }
  step('complained about nothing, and axe found nothing', () => {
    assert.deepEqual(walk.findings, []);
    assert.deepEqual(walk.complaints, []);
  });
  test(title, async (t) => {
    assert.ok(user && password, 'set USER and PASSWORD, or source the openrc of the cloud');
    walk.browser = await browser();
    Object.assign(walk, await open(walk.browser));
    try {
      for (const each of steps) {
        let failed = false;
        await t.test(each.title, async () => {
          try {
            await each.work();
          } catch (error) {
            failed = true;
            await shot(walk.page, `failed-${title}`);
            throw error;
          }
        });
        if (failed) {
          t.diagnostic(`axe: ${walk.findings.join('\n')}`);
          t.diagnostic(`the page is in e2e/out/failed-${title}.png; what follows builds on this step and was not run`);
          break;
        }
      }
    } finally {
      await walk.browser.close();
    }
  });
}

/** Asks the API as the page does. */
export const api = (method, path, body, on = walk.page) =>
  on.evaluate(
    async ([how, where, what]) => {
      const reply = await fetch(where, {
        method: how,
        headers: { 'X-Nacre-Dashboard': '1', 'Content-Type': 'application/json', 'OpenStack-API-Version': where.startsWith('/volume') ? 'volume 3.70' : 'compute 2.98' },
        ...(what !== null && { body: JSON.stringify(what) }),
      });
      const text = await reply.text();
      if (!reply.ok) {
        throw new Error(`${how} ${where}: ${reply.status} ${text}`);
      }
      return text === '' ? null : JSON.parse(text);
    },
    [method, path, body ?? null],
  );

/** Launches the smallest instance there can be. */
export async function launch(called, on = walk.page, from = 'cirros') {
  const [{ flavors }, { images }, { networks }] = await Promise.all([api('GET', '/compute/v2.1/flavors/detail', null, on), api('GET', '/image/v2/images', null, on), api('GET', '/network/v2.0/networks', null, on)]);
  const [flavor] = flavors.sort((a, b) => a.disk - b.disk);
  const network = networks.find((each) => each.name === 'private'); // the others are of another walk, which takes them away
  const image = images.find((each) => each.name.startsWith(from));
  await api('POST', '/compute/v2.1/servers', { server: { name: called, flavorRef: flavor.id, imageRef: image.id, networks: [{ uuid: network.id }] } }, on);
}

/** Whether the canvas shows more than one colour. */
export const painted = (on) =>
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

/** A public key to have something in its place. */
export const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHTPwq+1lXLiyMvvIhbcgLmzEFDGYs6IJ2MRIYRhGVC walk';

export async function signIn(on, secret = password, who = user) {
  await on.locator('#sign-in_user').fill(who);
  await on.locator('#sign-in_password').fill(secret);
  await on.getByRole('button', { name: /^(Sign in|登录)$/ }).click();
}

/** Menus and dialogs have finished appearing; what turns for ever does not count. */
export const still = (on) =>
  on.waitForFunction(() => document.getAnimations().every((each) => each.playState !== 'running' || each.effect?.getComputedTiming().endTime === Infinity));

/** Looks at the page as it is: by axe, whose findings are judged at the end, and into a file for people. */
export async function look(title, on = walk.page) {
  await still(on);
  await shot(on, title);
  walk.findings.push(...(await findings(on)).map((finding) => `${title}: ${finding}`));
}

export const row = (text = name) => walk.page.locator('.ant-table-row', { hasText: text });
export const status = (value, text = name) => row(text).locator(`[data-status="${value}"]`);
export const menu = (title) => walk.page.locator('.ant-dropdown:not(.ant-dropdown-hidden) .ant-dropdown-menu-item', { hasText: title });
export const to = (place) => walk.page.locator(`.nav a[href="/dashboard${place}"]`).click();
export const dialog = () => walk.page.getByRole('dialog').last();

/** Waits until a row has a status, and nothing is being done. */
export const settled = (value, text = name) =>
  walk.page.waitForFunction(
    ([wanted, part]) =>
      [...document.querySelectorAll('.ant-table-row')].some(
        (each) => each.textContent.includes(part) && each.querySelector(`[data-status="${wanted}"]`) && !each.querySelector('.task'),
      ),
    [value, text],
    { timeout: slow },
  );

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
