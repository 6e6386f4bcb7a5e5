// Every form of the tables, filled in and sent to a cloud that runs:
//
//   NACRE=http://127.0.0.1:5000 PASSWORD=… ADMIN_PASSWORD=… npm run forms
//
// `go test ./internal/console -run TestForms` brings a cloud of its own. The
// parts build on each other, and the last asks whether a form was forgotten.
import { beforeAll, expect, it } from 'vitest';
import { ask, perform } from '../src/api/client';
import { changePassword } from '../src/kinds/identity/password';
import { del, post } from '../src/resource/resource';
import { be, does, gone, idOf, is, signIn, unsent, until } from './cloud';

let demo: Awaited<ReturnType<typeof signIn>>;
let admin: typeof demo;

beforeAll(async () => {
  demo = await signIn('demo', process.env['PASSWORD'] ?? '', false);
  admin = await signIn('admin', process.env['ADMIN_PASSWORD'] ?? '', true);
});

/** A part by a member or an operator; a failure ends the rest, which builds on it. */
const part = (title: string, by: () => typeof demo, work: () => Promise<void>) =>
  it(title, async () => {
    be(by());
    await work();
  });
const member = (title: string, work: () => Promise<void>) => part(title, () => demo, work);
const operator = (title: string, work: () => Promise<void>) => part(title, () => admin, work);

const state = (status: string) => (row: { status: string }) => row.status === status;

operator('domains, projects and users', async () => {
  await does('domains', 'domain-create', { name: 'forms', description: 'sent' });
  await does('domains', 'domain-edit', { name: 'formed', enabled: false }, 'forms');
  await does('projects', 'project-create', { name: 'forms', description: 'sent', tags: 'one\ntwo', domain_id: { pick: 'Default' } });
  await does('projects', 'project-create', { name: 'below', parent_id: { pick: 'forms' } });
  await does('projects', 'project-edit', { description: 'changed', tags: 'one', enabled: true }, 'forms');
  await does('users', 'user-create', { name: 'former', email: 'f@example.org', password: 'secret enough', default_project_id: { pick: 'forms' } });
  await does('users', 'user-edit', { email: 'g@example.org', enabled: false }, 'former');
  await does('users', 'user-edit', { enabled: true }, 'former');
  await does('users', 'user-factor', {}, 'former');
  await does('users', 'user-no-factor', {}, 'former');
  await does('users', 'user-password', { password: 'another secret' }, 'former');
  await does('projects', 'project-add-role', { user: { pick: 'former' }, role: { pick: 'member' } }, 'forms');
  await does('projects', 'project-remove-role', { user: { pick: 'former' }, role: { pick: 'member' } }, 'forms');
});

operator('groups, roles and what they are given', async () => {
  await does('groups', 'user-group-create', { name: 'team', description: 'sent' });
  await does('groups', 'user-group-edit', { description: 'changed' }, 'team');
  await does('groups', 'user-group-add', { user: { pick: 'former' } }, 'team');
  await does('roles', 'role-create', { name: 'auditor', description: 'sent' });
  await does('roles', 'role-edit', { description: 'changed' }, 'auditor');
  await does('roles', 'role-imply', { role: { pick: 'reader' } }, 'auditor');
  await does('assignments', 'assignment-grant', { user: { pick: 'former' }, role: { pick: 'auditor' }, project: { pick: 'forms' } });
  await does('assignments', 'assignment-grant', { user: { pick: 'former' }, role: { pick: 'auditor' }, target: 'domain', domain: { pick: 'Default' } });
  await does('assignments', 'assignment-grant', { user: { pick: 'former' }, role: { pick: 'auditor' }, target: 'system' });
  await does('assignments', 'assignment-grant', { actor: 'group', group: { pick: 'team' }, role: { pick: 'auditor' }, target: 'domain', domain: { pick: 'Default' }, inherited: true });
  for (let left = 3; left > 0; left--) {
    await does('assignments', 'delete', {}, 'former: auditor');
  }
  await does('assignments', 'delete', {}, 'team: auditor');
  await does('roles', 'role-unimply', { role: { pick: 'reader' } }, 'auditor');
  await does('groups', 'user-group-remove', { user: { pick: 'former' } }, 'team');
  await does('roles', 'delete', {}, 'auditor');
  await does('groups', 'delete', {}, 'team');
});

operator('limits and clients', async () => {
  await does('registered-limits', 'registered-limit-create', { service_id: { pick: 'nova' }, resource_name: 'class:FORMS', default_limit: 3, description: 'sent' });
  await does('registered-limits', 'registered-limit-edit', { default_limit: 4 }, 'class:FORMS');
  await does('limits', 'limit-create', { resource: { pick: 'class:FORMS' }, project_id: { pick: 'forms' }, resource_limit: 5 });
  await does('limits', 'limit-edit', { resource_limit: 6 }, 'class:FORMS');
  await does('limits', 'delete', {}, 'class:FORMS');
  await does('registered-limits', 'delete', {}, 'class:FORMS');
  await does('openid-clients', 'openid-create', { name: 'forms', redirect_uris: 'https://forms.example/back\nhttp://127.0.0.1:9/', public: true });
  await does('openid-clients', 'openid-delete', {}, 'forms');
});

member('what users lend and sign in with', async () => {
  await does('trusts', 'trust-create', { trustee_user_id: admin.scope.user.id, roles: ['member'], impersonation: true, expires_at: '2099-01-31', remaining_uses: 3 });
  await does('trusts', 'delete', {}, admin.scope.user.id);
  await does('ec2-credentials', 'ec2-create');
  const [key] = (await ask<{ credentials: { access: string }[] }>('identity', `/users/${demo.scope.user.id}/credentials/OS-EC2`)).credentials;
  await does('ec2-credentials', 'delete', {}, key?.access);
  const { credential } = (await perform(post('identity', '/credentials', { credential: { type: 'totp', user_id: demo.scope.user.id, blob: 'JBSWY3DPEHPK3PXP' } }))) as { credential: { id: string } };
  await does('factors', 'delete', {}, credential.id);
});

operator('flavors', async () => {
  await does('flavors', 'flavor-create', { name: 'forms', vcpus: 1, ram: 512, disk: 1, 'os-flavor-access:is_public': false });
  await does('flavors', 'flavor-edit', { description: 'changed' }, 'forms');
  await does('flavors', 'flavor-specs', { extra_specs: 'hw:cpu_policy=shared\nhw:mem_page_size=small' }, 'forms');
  await does('flavors', 'flavor-unset', { key: { pick: 'hw:cpu_policy' } }, 'forms');
  await does('flavors', 'flavor-access', { tenant: { pick: 'demo' } }, 'forms');
  await does('flavors', 'flavor-no-access', { tenant: { pick: 'demo' } }, 'forms');
  await does('flavors', 'delete', {}, 'forms');
});

operator('volume types and what limits them', async () => {
  await does('volume-types', 'volume-type-create', { name: 'forms', 'os-volume-type-access:is_public': false, extra_specs: 'multiattach=<is> True' });
  await does('volume-types', 'volume-type-edit', { description: 'changed' }, 'forms');
  await does('volume-types', 'volume-type-specs', { extra_specs: 'colour=blue' }, 'forms');
  await does('volume-types', 'volume-type-unset', { key: { pick: 'colour' } }, 'forms');
  await does('volume-types', 'volume-type-encrypt', {}, 'forms');
  await does('volume-types', 'volume-type-decrypt', {}, 'forms');
  await does('volume-types', 'volume-type-access', { project: { pick: 'demo' } }, 'forms');
  await does('volume-types', 'volume-type-no-access', { project: { pick: 'demo' } }, 'forms');
  await does('volume-qos', 'volume-qos-create', { name: 'limits', specs: 'read_iops_sec=500' });
  await does('volume-qos', 'volume-qos-edit', { specs: 'read_iops_sec=600' }, 'limits');
  await does('volume-qos', 'volume-qos-associate', { type: { pick: 'forms' } }, 'limits');
  await does('volume-qos', 'volume-qos-dissociate', { type: { pick: 'forms' } }, 'limits');
  await does('volume-qos', 'delete', {}, 'limits');
  await does('volume-types', 'delete', {}, 'forms');
  await does('volume-types', 'volume-type-create', { name: 'other' });
});

operator('group types', async () => {
  await does('group-types', 'group-type-create', { name: 'consistent' });
  await does('group-types', 'group-type-edit', { description: 'changed' }, 'consistent');
  await does('group-types', 'group-type-specs', { group_specs: 'consistent_group_snapshot_enabled=<is> True' }, 'consistent');
});

operator('QoS policies', async () => {
  await does('qos-policies', 'qos-create', { name: 'slow', shared: true });
  await does('qos-policies', 'qos-edit', { description: 'changed' }, 'slow');
  await does('qos-policies', 'qos-bandwidth', { max_kbps: 1000, max_burst_kbps: 800 }, 'slow');
  await does('qos-policies', 'qos-dscp', { dscp_mark: 14 }, 'slow');
  await does('qos-policies', 'qos-remove', { rule: { pick: 'dscp_marking' } }, 'slow');
});

operator('aggregates and services', async () => {
  await does('aggregates', 'aggregate-create', { name: 'forms' });
  await does('aggregates', 'aggregate-edit', { name: 'formed' }, 'forms');
  await does('aggregates', 'aggregate-add', { host: { pick: 'node-1' } }, 'formed');
  await does('aggregates', 'aggregate-metadata', { metadata: 'ssd=true' }, 'formed');
  await does('aggregates', 'aggregate-remove', { host: { pick: 'node-1' } }, 'formed');
  await does('aggregates', 'delete', {}, 'formed');
  await does('services', 'service-disable', { disabled_reason: 'sent' }, 'node-2');
  await does('services', 'service-enable', {}, 'node-2');
  await does('services', 'service-down', {}, 'node-2');
  await does('services', 'service-up', {}, 'node-2');
  await does('hosts', 'host-disable', { disabled_reason: 'sent' }, 'node-2');
  await does('hosts', 'host-enable', {}, 'node-2');
});

operator('images', async () => {
  const { id } = (await perform(post('image', '/images', { name: 'forms', disk_format: 'raw', container_format: 'bare' }))) as { id: string };
  await fetch(`/image/v2/images/${id}/file`, { method: 'PUT', headers: { 'Content-Type': 'application/octet-stream' }, body: new Uint8Array(1 << 20) });
  await does('images', 'image-edit', { visibility: 'community', tags: 'one\ntwo', min_disk: 1 }, 'forms');
  await does('images', 'image-deactivate', {}, 'forms');
  await does('images', 'image-reactivate', {}, 'forms');
  await does('images', 'delete', {}, 'forms');
});

member('networks, subnets, ports and routers', async () => {
  await does('networks', 'network-create', { name: 'net', mtu: 1400, qos_policy_id: { pick: 'slow' } });
  await does('networks', 'network-edit', { description: 'changed', qos_policy_id: null }, 'net');
  await does('subnets', 'subnet-create', { name: 'sub', network_id: { pick: 'net' }, cidr: '10.88.0.0/24', dns_nameservers: '10.88.0.53', allocation_pools: '10.88.0.10-10.88.0.99', host_routes: '10.9.0.0/16 10.88.0.9' });
  await does('subnets', 'subnet-create', { name: 'sub6', network_id: { pick: 'net' }, cidr: 'fd00:88::/64', ipv6_mode: 'slaac' });
  await does('subnets', 'subnet-edit', { gateway_ip: '10.88.0.1', dns_nameservers: '' }, 'sub');
  await does('subnets', 'delete', {}, 'sub6');
  await does('ports', 'port-create', { name: 'parent', network_id: { pick: 'net' }, fixed_ip: '10.88.0.20', qos_policy_id: { pick: 'slow' }, allowed_address_pairs: '10.88.0.200' });
  await does('ports', 'port-create', { name: 'child', network_id: { pick: 'net' } });
  await does('ports', 'port-edit', { name: 'parent', qos_policy_id: null, allowed_address_pairs: '10.88.0.201\n10.88.0.202' }, 'parent');
  await does('ports', 'port-edit', { port_security_enabled: false }, 'child');
  await does('routers', 'router-create', { name: 'r', external_gateway_info: { pick: 'public' } });
  await does('routers', 'router-edit', { description: 'changed' }, 'r');
  await does('routers', 'router-connect', { subnet_id: { pick: '10.88.0.0' } }, 'r');
  await does('routers', 'router-routes', { routes: '10.99.0.0/16 10.88.0.20' }, 'r');
});

member('floating IPs and port forwardings', async () => {
  const { floatingip } = (await does('floating-ips', 'floating-create', { floating_network_id: { pick: 'public' }, description: 'sent' })) as { floatingip: { floating_ip_address: string } };
  const address = floatingip.floating_ip_address;
  await does('floating-ips', 'floating-associate', { port_id: { pick: 'parent' } }, address);
  await does('floating-ips', 'floating-disassociate', {}, address);
  await does('port-forwardings', 'forwarding-create', { address: { pick: address }, external_port: 2222, internal_port: 22, target: { pick: 'parent' } });
  await does('port-forwardings', 'forwarding-edit', { external_port: 2223, description: 'changed' }, `${address}:2222`);
  await does('port-forwardings', 'forwarding-edit', { internal_port: 23, protocol: 'udp' }, `${address}:2223`);
  await does('port-forwardings', 'delete', {}, `${address}:2223`);
  await does('floating-ips', 'delete', {}, address);
});

member('security groups and address groups', async () => {
  await does('security-groups', 'group-create', { name: 'web', stateful: false });
  await does('security-groups', 'group-edit', { name: 'www', description: 'changed' }, 'web');
  const web = await idOf('security-groups', 'www');
  await does('rules', 'rule-create', { security_group_id: web, ports: '80 - 443', remote_ip_prefix: '10.0.0.0/8' });
  await does('rules', 'rule-create', { security_group_id: web, direction: 'egress', ethertype: 'IPv6', protocol: null, remote_group_id: web });
  await does('rules', 'delete', {}, '10.0.0.0/8');
  await does('address-groups', 'address-group-create', { name: 'offices', addresses: '10.5.0.0/24' });
  await does('address-groups', 'address-group-edit', { description: 'changed' }, 'offices');
  await does('address-groups', 'address-group-add', { addresses: '10.6.0.0/24\n10.7.0.0/24' }, 'offices');
  await does('address-groups', 'address-group-remove', { addresses: { pick: '10.6.0.0/24' } }, 'offices');
});

member('address scopes and subnet pools', async () => {
  await does('address-scopes', 'address-scope-create', { name: 'scope' });
  await does('address-scopes', 'address-scope-edit', { name: 'scoped' }, 'scope');
  await does('subnet-pools', 'subnet-pool-create', { name: 'pool', prefixes: '10.64.0.0/16', default_prefixlen: 24, address_scope_id: { pick: 'scoped' } });
  await does('subnet-pools', 'subnet-pool-edit', { description: 'changed', prefixes: '10.64.0.0/16\n10.65.0.0/16' }, 'pool');
});

member('trunks', async () => {
  await does('trunks', 'trunk-create', { name: 'trunk', port_id: { pick: 'parent' } });
  await does('trunks', 'trunk-edit', { description: 'changed' }, 'trunk');
  await does('trunks', 'trunk-add', { port_id: { pick: 'child' }, segmentation_id: 100 }, 'trunk');
  await does('trunks', 'trunk-remove', { port_id: { pick: 'VLAN 100' } }, 'trunk');
  await does('trunks', 'delete', {}, 'trunk');
});

member('sharing', async () => {
  const shared = [
    ['network', 'net'],
    ['security_group', 'www'],
    ['address_group', 'offices'],
    ['address_scope', 'scoped'],
    ['subnetpool', 'pool'],
  ] as const;
  const made: string[] = []; // a pool is shared with whom its scope is shared
  for (const [object_type, pick] of shared) {
    const { rbac_policy } = (await does('rbac-policies', 'rbac-create', { object_type, [object_type]: { pick }, target_tenant: admin.scope.project.id })) as { rbac_policy: { id: string } };
    made.unshift(rbac_policy.id);
  }
  for (const policy of made) {
    await does('rbac-policies', 'delete', {}, policy);
  }
});

operator('sharing QoS policies', async () => {
  await does('qos-policies', 'qos-create', { name: 'lent' });
  await does('rbac-policies', 'rbac-create', { object_type: 'qos_policy', qos_policy: { pick: 'lent' }, target_tenant: demo.scope.project.id });
  await does('rbac-policies', 'delete', {}, await idOf('qos-policies', 'lent'));
  await does('qos-policies', 'delete', {}, 'lent');
});

member('volumes, snapshots, backups and transfers', async () => {
  await does('volumes', 'volume-create', { name: 'disk', size: 1 });
  await does('volumes', 'volume-edit', { description: 'changed', metadata: 'a=1' }, 'disk');
  await does('volumes', 'volume-extend', { new_size: 2 }, 'disk');
  await is('volumes', 'disk', state('available'));
  await does('volumes', 'volume-retype', { new_type: 'other' }, 'disk');
  await is('volumes', 'disk', state('available'));
  await does('volumes', 'volume-snapshot', { name: 'snap' }, 'disk');
  await does('snapshots', 'snapshot-edit', { description: 'changed' }, 'snap');
  await does('snapshots', 'snapshot-create', { name: 'snap2', volume_id: { pick: 'disk' } });
  await does('snapshots', 'snapshot-volume', { name: 'copy' }, 'snap');
  await is('volumes', 'copy', state('available'));
  for (const snapshot of ['snap', 'snap2']) {
    await does('snapshots', 'delete', {}, snapshot);
    await gone('snapshots', snapshot);
  }
  await does('volumes', 'volume-backup', { name: 'full' }, 'disk');
  await is('backups', 'full', state('available'));
  await does('backups', 'backup-create', { name: 'part', volume_id: { pick: 'disk' }, incremental: true });
  await does('backups', 'backup-restore', { volume_id: { pick: 'copy' } }, 'part');
  await is('backups', 'part', state('available'));
  for (const backup of ['part', 'full']) {
    await does('backups', 'delete', {}, backup);
    await gone('backups', backup);
  }
  await is('volumes', 'copy', state('available'));
  const { transfer } = (await does('volumes', 'volume-transfer', { name: 'over' }, 'copy')) as { transfer: { id: string; auth_key: string } };
  await does('transfers', 'transfer-accept', { id: transfer.id, auth_key: transfer.auth_key });
  await is('volumes', 'copy', state('available'));
  await does('transfers', 'transfer-create', { name: 'again', volume_id: { pick: 'copy' } });
  await does('transfers', 'delete', {}, 'again');
  await is('volumes', 'copy', state('available'));
});

member('volume groups', async () => {
  const { volume } = await ask<{ volume: { volume_type: string } }>('volume', `/volumes/${await idOf('volumes', 'copy')}`);
  await does('volume-groups', 'volume-group-create', { name: 'group', group_type: { pick: 'consistent' }, volume_types: { pick: volume.volume_type } });
  await does('volume-groups', 'volume-group-edit', { description: 'changed' }, 'group');
  await does('volume-groups', 'volume-group-volume', { name: 'grouped', size: 1, volume_type: { pick: volume.volume_type } }, 'group');
  await is('volumes', 'grouped', state('available'));
  await does('volume-groups', 'volume-group-snapshot', { name: 'moment' }, 'group');
  await is('group-snapshots', 'moment', state('available'));
  await does('group-snapshots', 'group-snapshot-create', { name: 'later', group_id: { pick: 'group' } });
  await is('group-snapshots', 'later', state('available'));
  for (const snapshot of ['moment', 'later']) {
    await does('group-snapshots', 'delete', {}, snapshot);
    await gone('group-snapshots', snapshot);
  }
  await does('volume-groups', 'volume-group-remove', { remove_volumes: { pick: 'grouped' } }, 'group');
  await does('volume-groups', 'volume-group-add', { add_volumes: { pick: 'grouped' } }, 'group');
  await is('volume-groups', 'group', state('available'));
  await does('volume-groups', 'delete', { 'delete-volumes': true }, 'group');
  await gone('volume-groups', 'group');
});

member('instances', async () => {
  const { flavors } = await ask<{ flavors: { id: string; name: string; disk: number }[] }>('compute', '/flavors/detail');
  const { images } = await ask<{ images: { id: string; name: string }[] }>('image', '/images');
  const [small, large] = flavors.toSorted((a, b) => a.disk - b.disk);
  const [image] = images;
  await perform(post('compute', '/servers', { server: { name: 'vm', flavorRef: small?.id, imageRef: image?.id, networks: [{ uuid: await idOf('networks', 'net') }] } }));
  await is('servers', 'vm', state('ACTIVE'));
  for (const key of ['stop', 'start', 'reboot', 'hard-reboot', 'pause', 'unpause', 'suspend', 'resume', 'crash', 'shelve', 'unshelve']) {
    await does('servers', `server-${key}`, {}, 'vm');
  }
  await does('servers', 'server-edit', { name: 'vm', description: 'changed' }, 'vm');
  await does('servers', 'server-lock', { locked_reason: 'sent' }, 'vm');
  await does('servers', 'server-unlock', {}, 'vm');
  await does('servers', 'server-tags', { tags: 'one\ntwo' }, 'vm');
  await does('servers', 'server-metadata', { metadata: 'a=1' }, 'vm');
  await does('servers', 'server-password', { adminPass: 'sent once' }, 'vm');
  await does('servers', 'server-rescue', { rescue_image_ref: { pick: image?.name ?? '' } }, 'vm');
  await does('servers', 'server-unrescue', {}, 'vm');
  await does('servers', 'server-image', { name: 'of vm' }, 'vm');
  await does('servers', 'server-backup', { name: 'backup of vm', rotation: 2 }, 'vm');
  await does('servers', 'server-resize', { flavorRef: { pick: large?.name ?? '' } }, 'vm');
  await does('servers', 'server-revert-resize', {}, 'vm');
  await does('servers', 'server-resize', { flavorRef: { pick: large?.name ?? '' } }, 'vm');
  await does('servers', 'server-confirm-resize', {}, 'vm');
  await does('servers', 'server-rebuild', { imageRef: { pick: image?.name ?? '' } }, 'vm');
  await does('servers', 'server-attach-volume', { volumeId: { pick: 'disk' } }, 'vm');
  await is('volumes', 'disk', state('in-use'));
  await does('servers', 'server-detach-volume', { volume: { pick: 'disk' } }, 'vm');
  await is('volumes', 'disk', state('available'));
  await does('volumes', 'volume-attach', { server: { pick: 'vm' } }, 'disk');
  await does('volumes', 'volume-detach', {}, 'disk');
  await is('volumes', 'disk', state('available'));
  await does('servers', 'server-attach-interface', { net_id: { pick: 'net' } }, 'vm');
  const server = await idOf('servers', 'vm');
  await until('its second port', async () => (await ask<{ ports: unknown[] }>('network', `/ports?device_id=${server}`)).ports.length === 2);
  await does('servers', 'server-detach-interface', { port: { pick: '10.88.0.' } }, 'vm');
});

operator('instances of others', async () => {
  be({ ...admin, scope: { ...admin.scope, all: true } });
  const hostOf = async () => (await ask<{ server: { 'OS-EXT-SRV-ATTR:host': string } }>('compute', `/servers/${await idOf('servers', 'vm')}`)).server['OS-EXT-SRV-ATTR:host'];
  const from = await hostOf();
  await does('servers', 'server-migrate', { host: { pick: from === 'node-1' ? 'node-2' : 'node-1' } }, 'vm');
  await does('servers', 'server-confirm-resize', {}, 'vm');
  await is('servers', 'vm', state('ACTIVE'));
  expect(await hostOf()).not.toBe(from);
  await does('servers', 'server-reset', { state: 'error' }, 'vm');
  await does('servers', 'server-reset', { state: 'active' }, 'vm');
  await does('servers', 'server-inject-network', {}, 'vm');
  await does('services', 'service-down', {}, await hostOf());
  await does('servers', 'server-evacuate', { host: { pick: from } }, 'vm');
  await until('the instance on the other host', async () => (await hostOf()) === from);
  await is('servers', 'vm', state('SHUTOFF'));
  await does('servers', 'server-start', {}, 'vm');
  await does('services', 'service-up', {}, from === 'node-1' ? 'node-2' : 'node-1');
  await does('servers', 'server-shelve', {}, 'vm');
  await does('servers', 'server-offload', {}, 'vm');
  await does('servers', 'server-unshelve-to', { availability_zone: { pick: 'nova' }, host: { pick: from } }, 'vm');
  await is('servers', 'vm', state('ACTIVE'));
  // Its guest is too busy to leave by itself.
  const leave = () => does('servers', 'server-live-migrate', { host: { pick: from === 'node-1' ? 'node-2' : 'node-1' } }, 'vm');
  const server = await idOf('servers', 'vm');
  await leave();
  await does('migrations', 'migration-abort', {}, server);
  await is('servers', 'vm', state('ACTIVE'));
  expect(await hostOf()).toBe(from);
  await leave();
  await does('migrations', 'migration-force', {}, server);
  await until('the guest on the other host', async () => (await hostOf()) !== from);
  await is('servers', 'vm', state('ACTIVE'));
});

member('instances come to an end', async () => {
  await does('servers', 'delete', {}, 'vm');
  be({ ...admin, scope: { ...admin.scope, all: true } });
  await does('servers', 'server-restore', {}, 'vm');
  be(demo);
  await does('servers', 'delete', {}, 'vm');
  await gone('servers', 'vm');
  be({ ...admin, scope: { ...admin.scope, all: true } });
  await does('servers', 'server-force-delete', {}, 'vm');
  await gone('servers', 'vm');
  be(demo);
  await gone('servers', 'vm');
  await does('images', 'delete', {}, 'of vm');
  await does('images', 'delete', {}, 'backup of vm');
  await perform(post('compute', '/os-keypairs', { keypair: { name: 'pair', public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHTPwq+1lXLiyMvvIhbcgLmzEFDGYs6IJ2MRIYRhGVC forms' } }));
  await does('keypairs', 'delete', {}, 'pair');
  await does('server-groups', 'server-group-create', { name: 'apart', max_server_per_host: 2 });
  await does('server-groups', 'delete', {}, 'apart');
});

member('containers and application credentials', async () => {
  await does('containers', 'container-create', { name: 'forms', public: true });
  await does('containers', 'container-access', { public: false }, 'forms');
  await does('containers', 'delete', {}, 'forms');
  await does('application-credentials', 'credential-create', { name: 'robot', expires_at: '2099-01-31', description: 'sent', roles: ['member'], access_rules: 'get compute /v2.1/servers', unrestricted: false });
  await does('application-credentials', 'delete', {}, 'robot');
});

member('taking it all away', async () => {
  await does('routers', 'router-routes', { routes: '' }, 'r');
  await does('routers', 'router-disconnect', { port_id: { pick: '10.88.0.1' } }, 'r');
  await does('routers', 'delete', {}, 'r');
  await does('ports', 'delete', {}, 'child');
  await does('ports', 'delete', {}, 'parent');
  await does('subnets', 'delete', {}, 'sub');
  await does('networks', 'delete', {}, 'net');
  await does('subnet-pools', 'delete', {}, 'pool');
  await does('address-scopes', 'delete', {}, 'scoped');
  await does('address-groups', 'delete', {}, 'offices');
  await does('security-groups', 'delete', {}, 'www');
  for (const volume of ['disk', 'copy']) {
    await does('volumes', 'delete', {}, volume);
    await gone('volumes', volume);
  }
});

operator('what operators made goes too', async () => {
  await does('qos-policies', 'delete', {}, 'slow');
  await does('volume-types', 'delete', {}, 'other');
  await does('group-types', 'delete', {}, 'consistent');
  await does('users', 'delete', {}, 'former');
  await does('projects', 'delete', {}, 'below');
  await does('projects', 'delete', {}, 'forms');
  await does('domains', 'delete', {}, 'formed');
});

it('changes a password, after which the former one is none', async () => {
  be(admin);
  await perform(post('identity', '/users', { user: { name: 'changing', password: 'first secret', default_project_id: admin.scope.project.id } }));
  const { users } = await ask<{ users: { id: string }[] }>('identity', '/users?name=changing');
  const id = users[0]?.id ?? '';
  const scope = { ...admin.scope, user: { id, name: 'changing' } };
  const call = changePassword.call?.({ original_password: 'first secret', password: 'second secret' }, null, scope);
  if (call === undefined) {
    throw new Error('the form sends nothing');
  }
  await perform(call);
  await expect(perform(call)).rejects.toThrow();
  await perform(del('identity', `/users/${id}`));
});

it('is every form that there is', async () => {
  expect(await unsent()).toEqual([]);
});
