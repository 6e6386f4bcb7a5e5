// Every page once on a narrow dark screen, by axe, and once in Chinese.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminPassword, base, browser, findings, open, password, shot, user } from './browser.mjs';
import { api, launch, name, publicKey, signIn, still } from './walk.mjs';

const members = [
  '', 'instances', 'launch', 'images', 'keypairs', 'server-groups', 'flavors', 'zones', 'topology', 'networks', 'subnets', 'ports', 'routers', 'floating-ips', 'port-forwardings', 'security-groups',
  'address-groups', 'subnet-pools', 'address-scopes', 'trunks', 'qos-policies', 'rbac-policies', 'reach', 'volumes', 'snapshots', 'backups', 'transfers', 'volume-groups', 'group-snapshots',
  'volume-types', 'containers', 'quotas', 'application-credentials', 'ec2-credentials', 'trusts', 'account', 'why',
];
const operators = ['migrations', 'hosts', 'services', 'aggregates', 'volume-qos', 'group-types', 'domains', 'projects', 'users', 'groups', 'roles', 'assignments', 'registered-limits', 'limits', 'openid-clients', 'flavors', 'volume-types', 'qos-policies', 'networks', 'quotas'];

/** Goes on in the page, as a link does: nothing is loaded again. */
async function go(page, place) {
  await page.evaluate((path) => window.history.pushState(null, '', path), `/dashboard/${place}`);
  await page.waitForFunction(
    (path) => location.pathname.replace(/\/$/, '') === path.replace(/\/$/, '') && document.querySelector('main .panel, main .empty') !== null && document.querySelector('main .ant-skeleton, main .ant-spin-spinning, main .ant-table-placeholder .ant-skeleton') === null,
    `/dashboard/${place}`,
  );
  await still(page);
}

/** On a small dark screen: nothing is wider than it, and axe finds nothing. */
async function narrow(page, place) {
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await shot(page, `narrow-${place || 'overview'}`);
  return [...(beyond > 0 ? [`is ${beyond} pixels wider than the screen`] : []), ...(await findings(page))];
}

/** In Chinese: no key of the catalogues is seen, and nothing that the page itself says is English. */
async function chinese(page, place) {
  await shot(page, `zh-${place || 'overview'}`);
  return page.evaluate(() => {
    const wrong = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const text = node.textContent.trim();
      if (/^[a-z][A-Za-z]*(\.[A-Za-z-]+)+$/.test(text) && node.parentElement.closest('style, script, .mono') === null) {
        wrong.push(`shows the key ${text}`);
      }
    }
    for (const element of document.querySelectorAll('h1, h2, h3, th, dt, .ant-form-item-label label, .nav a, .page button')) {
      const text = element.textContent.trim();
      if (/[a-z]{3}/.test(text) && !/\p{Script=Han}/u.test(text)) {
        wrong.push(`says in English: ${text}`);
      }
    }
    return wrong;
  });
}

const small = { viewport: { width: 360, height: 740 }, colorScheme: 'dark' };

test('every page', { concurrency: 2 }, async (t) => {
  assert.ok(adminPassword, 'set ADMIN_PASSWORD');
  const chromium = await browser();
  try {
    const visit = async (title, options, who, secret, places, look) => {
      await t.test(title, async () => {
        const { context, page, complaints } = await open(chromium, options);
        await page.goto(`${base}/dashboard/`);
        await page.locator('#sign-in_user').waitFor();
        const wrong = (await look(page, `sign-in-${who}`)).map((what) => `sign-in ${what}`);
        await signIn(page, secret, who);
        await page.locator('.usage').first().waitFor();
        const led = await page.locator('.nav a').evaluateAll((links) => links.map((link) => link.getAttribute('href').replace(/^\/dashboard\/?/, '')));
        wrong.push(...led.filter((place) => !members.includes(place) && !operators.includes(place)).map((place) => `${place} is not visited here`));
        for (const place of places) {
          await go(page, place);
          wrong.push(...(await look(page, place)).map((what) => `${place || 'overview'} ${what}`));
        }
        if (look === narrow) {
          await page.getByRole('button', { name: 'Menu' }).click();
          await still(page);
          wrong.push(...(await narrow(page, `menu-${who}`)));
        }
        assert.deepEqual(wrong, []);
        assert.deepEqual(complaints, []);
        await context.close();
      });
    };
    // Something is on the pages.
    const seed = await open(chromium);
    await seed.page.goto(`${base}/dashboard/`);
    await signIn(seed.page);
    await seed.page.locator('.usage').first().waitFor();
    await launch(name, seed.page);
    for (const [path, body] of [
      ['/volume/v3/volumes', { volume: { name, size: 1 } }],
      ['/compute/v2.1/os-keypairs', { keypair: { name, public_key: publicKey } }],
      ['/compute/v2.1/os-server-groups', { server_group: { name, policy: 'soft-affinity' } }],
      ['/network/v2.0/address-groups', { address_group: { name, addresses: ['10.1.0.0/16'] } }],
      ['/network/v2.0/address-scopes', { address_scope: { name, ip_version: 4 } }],
      ['/network/v2.0/subnetpools', { subnetpool: { name, prefixes: ['10.2.0.0/16'] } }],
      ['/network/v2.0/routers', { router: { name } }],
    ]) {
      await api('POST', path, body, seed.page);
    }
    await Promise.all([
      visit('fits a narrow screen', small, user, password, members, narrow),
      visit('fits a narrow screen, for operators', small, 'admin', adminPassword, operators, narrow),
      visit('is there in Chinese', { locale: 'zh-CN' }, user, password, members, chinese),
      visit('is there in Chinese, for operators', { locale: 'zh-CN' }, 'admin', adminPassword, operators, chinese),
    ]);
    await clear(seed.page);
  } finally {
    await chromium.close();
  }
});

/** Takes away what was made for this. */
async function clear(page) {
  for (const [path, list] of [
    ['/compute/v2.1/servers', 'servers'],
    ['/volume/v3/volumes', 'volumes'],
    ['/compute/v2.1/os-server-groups', 'server_groups'],
    ['/network/v2.0/address-groups', 'address_groups'],
    ['/network/v2.0/address-scopes', 'address_scopes'],
    ['/network/v2.0/subnetpools', 'subnetpools'],
    ['/network/v2.0/routers', 'routers'],
  ]) {
    const rows = (await api('GET', path, null, page))[list];
    for (const row of rows.filter((each) => each.name === name)) {
      await api('DELETE', `${path}/${row.id}`, null, page);
    }
  }
  await api('DELETE', `/compute/v2.1/os-keypairs/${name}`, null, page);
}
