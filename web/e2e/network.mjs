// Networks, and who reaches whom on them.
import assert from 'node:assert/strict';
import { act, choose, command, confirm, dialog, drop, fill, look, make, name, row, status, step, to, walk } from './walk.mjs';

const page = () => walk.page;
const net = `${name}-net`;

step('makes a network with a subnet and a port', async () => {
  await to('/networks');
  await page().getByRole('button', { name: 'Create network' }).first().click();
  await fill('network-create', { name: net, description: 'walked' });
  assert.equal(await command(), `openstack network create --description walked --enable --enable-port-security ${net}`);
  await look('network-create');
  await confirm();
  await row(net).getByRole('link').first().click();
  await page().getByRole('heading', { name: net }).waitFor();
  await make('Create subnet', 'subnet-create', { name: `${name}-sub`, cidr: '10.77.0.0/24' }, `${name}-sub`);
  await make('Create port', 'port-create', { name: `${name}-port`, fixed_ip: '10.77.0.9' }, `${name}-port`);
  await look('network');
  await to('/subnets');
  await act('Edit', 'subnet-edit', { dns_nameservers: '10.77.0.53' }, `${name}-sub`);
  await look('subnets');
  await to('/ports');
  await act('Edit', 'port-edit', { description: 'walked' }, `${name}-port`);
  await look('ports');
});

step('makes a router and connects it', async () => {
  await to('/routers');
  await make('Create router', 'router-create', { name: `${name}-r`, external_gateway_info: { choose: 'public' } }, `${name}-r`);
  await act('Connect subnet', 'router-connect', { subnet_id: { choose: `${name}-sub` } }, `${name}-r`);
  await act('Set routes', 'router-routes', { routes: '10.99.0.0/16 10.77.0.9' }, `${name}-r`);
  await row(`${name}-r`).getByRole('link').first().click();
  await page().getByText('10.99.0.0/16 → 10.77.0.9').waitFor();
  await row('10.77.0.1').waitFor();
  await look('router');
});

step('draws the network, and is led about by keyboard', async () => {
  await to('/topology');
  const node = (label) => page().locator('.topology a', { has: page().locator('title', { hasText: label }) });
  await node(`Network ${net}, subnets: 10.77.0.0/24`).waitFor();
  await node(`Router ${name}-r, addresses: `).waitFor();
  await node(`${name}-port, 10.77.0.9`).waitFor();
  await look('topology');
  await node(`Router ${name}-r`).focus();
  await page().keyboard.press('Enter');
  await page().getByRole('heading', { name: `${name}-r` }).waitFor();
});

step('allocates a floating IP, associates it, takes it back', async () => {
  await to('/floating-ips');
  await page().getByRole('button', { name: 'Allocate floating IP' }).first().click();
  await fill('floating-create', { floating_network_id: { choose: 'public' }, description: name });
  assert.match(await command(), new RegExp(`^openstack floating ip create --description ${name} [\\da-f-]{36}$`));
  const [reply] = await Promise.all([page().waitForResponse((each) => each.request().method() === 'POST' && each.url().endsWith('/floatingips')), confirm()]);
  const address = (await reply.json()).floatingip.floating_ip_address;
  await act('Associate', 'floating-associate', { port_id: { choose: '10.77.0.9' } }, address);
  await row(address).getByText('10.77.0.9').first().waitFor();
  await look('floating-ips');
  await choose('Disassociate', address);
  await confirm();
  await row(address).getByText('Nothing').waitFor();
  await drop(address, 'Release');
});

step('says whether one can reach another, and why', async () => {
  await to('/security-groups');
  await make('Create security group', 'group-create', { name: `${name}-web` }, `${name}-web`);
  await look('security-groups');
  await to('/ports');
  await choose('Edit', `${name}-port`);
  await fill('port-edit', { security_groups: { choose: 'default' } }); // no longer
  await fill('port-edit', { security_groups: { choose: `${name}-web` } });
  await confirm();
  const ask = async () => {
    await to('/reach');
    for (const [end, who] of [['reach-from', `${name} · `], ['reach-to', '10.77.0.9']]) {
      await page().locator(`#${end}`).click();
      await page().locator('.ant-select-dropdown:not(.ant-select-dropdown-hidden) .ant-select-item-option', { hasText: who }).first().click();
    }
    await page().locator('#reach-port').fill('8080');
  };
  await ask();
  await page().locator('[data-reach=no]').waitFor();
  await look('reach-no');
  await to('/security-groups');
  await row(`${name}-web`).getByRole('link').first().click();
  await page().getByRole('heading', { name: `${name}-web` }).waitFor();
  await page().getByRole('button', { name: 'Add rule' }).first().click();
  await fill('rule-create', { ports: '8000-8080', remote_ip_prefix: '0.0.0.0/0' });
  assert.match(await command(), /^openstack security group rule create --ingress --ethertype IPv4 --protocol tcp --dst-port 8000:8080 --remote-ip 0\.0\.0\.0\/0 [\da-f-]{36}$/);
  await confirm();
  await row('8000–8080').waitFor();
  await look('security-group');
  await ask();
  await page().getByText(`A rule of ${name}-web lets it in.`).waitFor();
  await look('reach');
});

step('takes the network away again', async () => {
  await to('/routers');
  await act('Set routes', 'router-routes', { routes: '' }, `${name}-r`); // they hold the subnet
  await act('Disconnect subnet', 'router-disconnect', { port_id: { choose: '10.77.0.1' } }, `${name}-r`);
  await drop(`${name}-r`);
  await to('/ports');
  await drop(`${name}-port`);
  await to('/security-groups');
  await drop(`${name}-web`);
  await to('/networks');
  await status('ACTIVE', net).waitFor();
  await drop(net);
});

step('makes what networks have beside', async () => {
  await to('/address-groups');
  await make('Create address group', 'address-group-create', { name: `${name}-ag`, addresses: '10.5.0.0/24' }, `${name}-ag`);
  await act('Add addresses', 'address-group-add', { addresses: '10.6.0.0/24' }, `${name}-ag`);
  await row('10.6.0.0/24').waitFor();
  await look('address-groups');
  await drop(`${name}-ag`);
  await to('/subnet-pools');
  await make('Create subnet pool', 'subnet-pool-create', { name: `${name}-sp`, prefixes: '10.64.0.0/16', default_prefixlen: '24' }, `${name}-sp`);
  await drop(`${name}-sp`);
  await to('/application-credentials');
  await page().getByRole('button', { name: 'Create application credential' }).first().click();
  await fill('credential-create', { name: `${name}-ac` });
  await page().locator('#confirm').click();
  await dialog().getByText('application_credential_secret').waitFor();
  await look('clouds-yaml');
  await dialog().getByRole('button', { name: 'I have kept it' }).click();
  await row(`${name}-ac`).waitFor();
  await drop(`${name}-ac`);
});
