// Users and what they may do: an operator makes one, who adds a second factor,
// signs in with it, and finds out why something is refused.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { adminPassword, base, open } from './browser.mjs';
import { act, api, choose, command, confirm, dialog, drop, fill, look, make, name, row, signIn, step, to, walk } from './walk.mjs';

const page = () => walk.page;
const above = name.replace('e2e', 'above'); // no row of the one is taken for the other's
const secret = `${name} and more`;
let operator; // the page, while another one is looked at
let member;
let shared; // the secret of the authenticator

const as = (who) => Object.assign(walk, who);

/** The passcode that an authenticator shows. */
function passcode(now = Date.now()) {
  const bits = [...shared].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const sum = createHmac('sha1', key).update(counter).digest();
  return String((sum.readUInt32BE(sum[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

step('makes a domain, a project below another, a user, a group and a role', async () => {
  assert.ok(adminPassword, 'set ADMIN_PASSWORD');
  operator = { page: page(), context: walk.context, complaints: walk.complaints };
  await page().goto(`${base}/dashboard/domains`);
  await signIn(page(), adminPassword, 'admin');
  await make('Create domain', 'domain-create', { name });
  await to('/projects');
  await make('Create project', 'project-create', { name: above, tags: 'walked' }, above);
  await make('Create project', 'project-create', { name, parent_id: { choose: above } });
  await look('projects');
  await to('/users');
  await page().getByRole('button', { name: 'Create user' }).first().click();
  await fill('user-create', { name, default_project_id: { choose: 'demo' }, password: secret });
  assert.equal((await command()).replace(/--project \S+/, '--project P'), `openstack user create --project P --password-prompt ${name}`);
  assert.ok(!(await command('curl')).includes(secret), 'curl shows the password');
  await confirm();
  await row().waitFor();
  await to('/groups');
  await make('Create group', 'user-group-create', { name });
  await act('Add user', 'user-group-add', { user: { choose: name } });
  await row().getByRole('link').first().click();
  await page().locator('.tree').getByText(name).waitFor();
  await look('group');
  await to('/roles');
  await make('Create role', 'role-create', { name });
  await act('Add implied role', 'role-imply', { role: { choose: 'reader' } });
});

step('gives roles, and shows where they come from', async () => {
  await to('/assignments');
  await make('Give role', 'assignment-grant', { actor: { choose: 'Group' }, group: { choose: name }, role: { choose: 'member' }, target: { choose: 'Domain' }, domain: { choose: 'Default' }, inherited: true }, `${name}: member`);
  await row(`${name}: member`).getByText('projects below domain Default').waitFor();
  await look('assignments');
  await to('/users');
  await row().getByRole('link').first().click();
  const effective = page().getByRole('region', { name: 'Roles in effect' });
  await effective.getByText('inherited from').first().waitFor();
  await effective.getByText('by group').first().waitFor();
  await look('user');
});

step('adds an authenticator, which must prove itself', async () => {
  as(await open(walk.browser));
  member = { page: page(), context: walk.context, complaints: walk.complaints };
  await page().goto(`${base}/dashboard/account`);
  await signIn(page(), secret, name);
  await page().getByRole('button', { name: 'Add authenticator' }).first().click();
  shared = await dialog().getByTestId('secret').textContent();
  assert.match(shared, /^[A-Z2-7]{32}$/);
  await dialog().locator('#factor_code').fill(passcode() === '000000' ? '111111' : '000000');
  await dialog().locator('#confirm').click();
  await dialog().getByText('This is not the passcode of now').waitFor();
  assert.match(await command(), /^openstack credential create --type totp \S+ "\$PASSWORD"$/);
  assert.ok(!(await command('curl')).includes(shared), 'curl shows the secret');
  await look('authenticator');
  await dialog().locator('#factor_code').fill(passcode());
  await confirm();
  await page().locator('.ant-table-row').first().waitFor();
  await look('account');
});

step('makes credentials for programs', async () => {
  await to('/application-credentials');
  await page().getByRole('button', { name: 'Create application credential' }).first().click();
  await fill('credential-create', { name, access_rules: 'GET compute' });
  await dialog().locator('#confirm').click();
  await dialog().getByText('A line has a method').waitFor();
  await fill('credential-create', { access_rules: 'GET compute /v2.1/servers' });
  await dialog().locator('#confirm').click();
  await dialog().getByText('application_credential_secret').waitFor();
  const [file] = await Promise.all([page().waitForEvent('download'), dialog().getByRole('button', { name: 'Download' }).click()]);
  assert.equal(file.suggestedFilename(), 'clouds.yaml');
  await look('clouds-yaml');
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  await row().getByRole('link').first().click();
  await page().getByText('GET compute /v2.1/servers').waitFor();
  await to('/ec2-credentials');
  await page().getByRole('button', { name: 'Create EC2 credential' }).first().click();
  await dialog().locator('#confirm').click();
  await dialog().getByText('AWS_SECRET_ACCESS_KEY').waitFor();
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  const { user } = await api('GET', '/dashboard/session');
  await to('/trusts');
  await page().getByRole('button', { name: 'Create trust' }).first().click();
  await fill('trust-create', { trustee_user_id: user.id, roles: { choose: 'member' } });
  await page().keyboard.press('Escape'); // the list of roles stays open for more
  await confirm();
  await row(user.id).waitFor();
  await look('trusts');
});

step('explains a refusal', async () => {
  await page().evaluate(() => window.history.pushState(null, '', '/dashboard/users'));
  await page().getByRole('button', { name: 'Why?' }).click();
  const answer = dialog().getByTestId('explanation');
  await answer.getByText('Not allowed').waitFor();
  await answer.getByText('identity:list_users', { exact: true }).waitFor();
  await answer.getByText('One of these roles is missing:').waitFor();
  await answer.getByText(`member of group`).first().waitFor();
  await look('why');
  await dialog().getByRole('button', { name: 'Close' }).last().click();
  await to('/why');
  await page().locator('#ask').click();
  await page().getByTestId('explanation').getByText('Allowed', { exact: true }).waitFor();
});

step('signs in with a second factor', async () => {
  as(operator);
  await to('/users');
  await choose('Require second factor');
  assert.match(await command(), /--enable-multi-factor-auth --multi-factor-auth-rule password,totp/);
  await confirm();
  await row().getByText('needed', { exact: true }).waitFor();
  as(member);
  const enter = async (code) => {
    await page().locator('#sign-in_passcode').fill(code);
    await page().getByRole('button', { name: 'Sign in' }).click();
  };
  const begin = async () => {
    await page().context().clearCookies();
    await page().goto(`${base}/dashboard/account`);
    await signIn(page(), secret, name);
    await page().getByText('A second factor is needed').waitFor();
  };
  await begin();
  await enter(passcode() === '000000' ? '111111' : '000000');
  await page().getByText('This code is wrong').waitFor();
  await look('second-factor-wrong');
  const code = passcode();
  await enter(code);
  await page().getByRole('heading', { name: 'Your account' }).waitFor();
  await begin();
  await enter(code);
  await page().getByText('This code was used before').waitFor();
  await page().getByRole('link', { name: '简体中文' }).click();
  await page().getByRole('heading', { name: '登录珠云' }).waitFor();
});

step('tells operators why a user may or may not', async () => {
  assert.deepEqual(member.complaints, []);
  await member.context.close();
  as(operator);
  await to('/why');
  await fill('why', { user_id: { choose: name }, project_id: { choose: 'demo' }, path: '/compute/v2.1/servers/x/action', action: 'lock' });
  await page().locator('#ask').click();
  const answer = page().getByTestId('explanation');
  await answer.getByText('os_compute_api:os-lock-server:lock', { exact: true }).waitFor();
  await answer.getByText('Allowed', { exact: true }).waitFor();
  await fill('why', { path: 'identity:create_user' });
  await page().locator('#ask').click();
  await answer.getByText('Not allowed', { exact: true }).waitFor();
  await answer.getByText('One of these roles is missing:').waitFor();
  await look('why-operator');
});

step('registers a client, and a limit', async () => {
  await to('/openid-clients');
  await page().getByRole('button', { name: 'Register client' }).first().click();
  await fill('openid-create', { name, redirect_uris: 'https://grafana.example/login/generic_oauth' });
  await dialog().locator('#confirm').click();
  await dialog().getByText('Client secret').waitFor();
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  await drop();
  await to('/registered-limits');
  await make('Register limit', 'registered-limit-create', { service_id: { choose: 'nova' }, resource_name: name, default_limit: '3' });
  await to('/limits');
  await make('Create limit', 'limit-create', { resource: { choose: name }, project_id: { choose: above }, resource_limit: '4' });
  await look('limits');
  await drop();
  await to('/registered-limits');
  await drop();
});

step('takes it all away', async () => {
  await to('/assignments');
  await drop(`${name}: member`, 'Take role away');
  await to('/users');
  await drop();
  for (const [place, what] of [['/groups', name], ['/roles', name], ['/projects', name], ['/projects', above]]) {
    await to(place);
    await drop(what);
  }
  await to('/domains');
  await act('Edit', 'domain-edit', { enabled: false });
  await drop();
});
