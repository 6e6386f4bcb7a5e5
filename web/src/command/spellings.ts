// What the command line calls each request of the pages.

/** How a field of a request is said: an option, a pair of flags, or words; null where it cannot be. */
export type Option = string | { yes?: string; no?: string } | ((value: unknown) => string[] | null);

export interface Spelling {
  /** Method, service and address of the request. */
  on: string;
  /** The words, and in braces what is not an option: a field, or a part of the address. */
  say: string;
  envelope?: string;
  options?: Record<string, Option>;
  /** Fields as the command sees them. */
  shape?: (fields: Record<string, unknown>) => Record<string, unknown>;
}

const described = { description: '--description' };
const named = { name: '--name', ...described };
const upDown = { yes: '--enable', no: '--disable' };
const security = { yes: '--enable-port-security', no: '--disable-port-security' };

/** A list that replaces the former one. */
const instead = (clear: string, each: string, text: (item: unknown) => string = String) => (value: unknown) =>
  Array.isArray(value) ? [clear, ...value.flatMap((item) => [each, text(item)])] : null;
const listOf = (each: string, text: (item: unknown) => string = String) => (value: unknown) =>
  Array.isArray(value) ? value.flatMap((item) => [each, text(item)]) : null;

const ports = ({ port_range_min: from, port_range_max: to, ...rest }: Record<string, unknown>) =>
  from === undefined ? rest : { ...rest, ports: from === to ? from : `${String(from)}:${String(to)}` };

/** A JSON patch as the fields that it sets. */
const patched = (operations: Record<string, unknown>) =>
  Object.fromEntries(Object.values(operations).map((each) => [field(each, 'path').slice(1), (each as { value: unknown }).value]));

/** Metadata of an object among headers; the media type stays as it is. */
const headers = (fields: Record<string, unknown>) => ({
  metadata: Object.fromEntries(
    Object.entries(fields)
      .filter(([name]) => name.startsWith('X-Object-Meta-'))
      .map(([name, value]) => [name.slice('X-Object-Meta-'.length), value]),
  ),
});

const field = (item: unknown, key: string) => String((item as Record<string, unknown>)[key] ?? '');
const pool = (item: unknown) => `start=${field(item, 'start')},end=${field(item, 'end')}`;
const hostRoute = (item: unknown) => `destination=${field(item, 'destination')},gateway=${field(item, 'nexthop')}`;
const pair = (item: unknown) => {
  const mac = field(item, 'mac_address');
  return `ip-address=${field(item, 'ip_address')}${mac === '' ? '' : `,mac-address=${mac}`}`;
};
const properties = (option: string) => (value: unknown) =>
  typeof value === 'object' && value !== null && Object.values(value).every((text) => text !== null)
    ? Object.entries(value).flatMap(([key, text]) => [option, `${key}=${String(text)}`])
    : null;

const network = {
  ...described,
  mtu: '--mtu',
  admin_state_up: upDown,
  port_security_enabled: security,
  shared: { yes: '--share', no: '--no-share' },
  'router:external': { yes: '--external', no: '--internal' },
};
const dhcp = { yes: '--dhcp', no: '--no-dhcp' };
const gateway = (value: unknown) => ['--gateway', value === null ? 'none' : String(value)];
const port = { ...described, port_security_enabled: security, admin_state_up: upDown };

const networking: Spelling[] = [
  {
    on: 'POST network /networks',
    say: 'network create {name}',
    envelope: 'network',
    options: { ...network, 'provider:network_type': '--provider-network-type', 'provider:physical_network': '--provider-physical-network', 'provider:segmentation_id': '--provider-segment' },
  },
  { on: 'PUT network /networks/{id}', say: 'network set {id}', envelope: 'network', options: { ...network, name: '--name' } },
  { on: 'DELETE network /networks/{id}', say: 'network delete {id}' },
  {
    on: 'POST network /subnets',
    say: 'subnet create {name}',
    envelope: 'subnet',
    options: {
      network_id: '--network',
      cidr: '--subnet-range',
      ip_version: '--ip-version',
      enable_dhcp: dhcp,
      gateway_ip: gateway,
      dns_nameservers: listOf('--dns-nameserver'),
      allocation_pools: listOf('--allocation-pool', pool),
      host_routes: listOf('--host-route', hostRoute),
      ipv6_ra_mode: '--ipv6-ra-mode',
      ipv6_address_mode: '--ipv6-address-mode',
      ...described,
    },
  },
  {
    on: 'PUT network /subnets/{id}',
    say: 'subnet set {id}',
    envelope: 'subnet',
    options: {
      ...named,
      enable_dhcp: dhcp,
      gateway_ip: gateway,
      dns_nameservers: instead('--no-dns-nameservers', '--dns-nameserver'),
      allocation_pools: instead('--no-allocation-pool', '--allocation-pool', pool),
      host_routes: instead('--no-host-route', '--host-route', hostRoute),
    },
  },
  { on: 'DELETE network /subnets/{id}', say: 'subnet delete {id}' },
  {
    on: 'POST network /ports',
    say: 'port create {name}',
    envelope: 'port',
    options: {
      ...port,
      network_id: '--network',
      fixed_ips: listOf('--fixed-ip', (item) => `ip-address=${field(item, 'ip_address')}`),
      security_groups: listOf('--security-group'),
      allowed_address_pairs: listOf('--allowed-address', pair),
    },
  },
  {
    on: 'PUT network /ports/{id}',
    say: 'port set {id}',
    envelope: 'port',
    options: { ...port, name: '--name', security_groups: instead('--no-security-group', '--security-group'), allowed_address_pairs: instead('--no-allowed-address', '--allowed-address', pair) },
  },
  { on: 'DELETE network /ports/{id}', say: 'port delete {id}' },
  {
    on: 'POST network /routers',
    say: 'router create {name}',
    envelope: 'router',
    options: { ...described, external_gateway_info: (value) => ['--external-gateway', field(value, 'network_id')], admin_state_up: upDown },
  },
  {
    on: 'PUT network /routers/{id}',
    say: 'router set {id}',
    envelope: 'router',
    options: {
      ...named,
      external_gateway_info: (value) => (value === null ? ['--no-external-gateway'] : ['--external-gateway', field(value, 'network_id')]),
      admin_state_up: upDown,
      routes: instead('--no-route', '--route', hostRoute),
    },
  },
  { on: 'DELETE network /routers/{id}', say: 'router delete {id}' },
  { on: 'PUT network /routers/{id}/add_router_interface', say: 'router add subnet {id} {subnet_id}' },
  { on: 'PUT network /routers/{id}/remove_router_interface', say: 'router remove port {id} {port_id}' },
  { on: 'POST network /floatingips', say: 'floating ip create {floating_network_id}', envelope: 'floatingip', options: { ...described, port_id: '--port' } },
  { on: 'PUT network /floatingips/{id}', say: 'floating ip set {id}', envelope: 'floatingip', options: { port_id: '--port' } },
  { on: 'PUT network /floatingips/{id}', say: 'floating ip unset {id}', envelope: 'floatingip', options: { port_id: (value) => (value === null ? ['--port'] : null) } },
  { on: 'DELETE network /floatingips/{id}', say: 'floating ip delete {id}' },
  { on: 'POST network /security-groups', say: 'security group create {name}', envelope: 'security_group', options: { ...described, stateful: { yes: '--stateful', no: '--stateless' } } },
  { on: 'PUT network /security-groups/{id}', say: 'security group set {id}', envelope: 'security_group', options: named },
  { on: 'DELETE network /security-groups/{id}', say: 'security group delete {id}' },
  {
    on: 'POST network /security-group-rules',
    say: 'security group rule create {security_group_id}',
    envelope: 'security_group_rule',
    shape: ports,
    options: {
      direction: (value) => [`--${String(value)}`],
      ethertype: '--ethertype',
      protocol: '--protocol',
      ports: '--dst-port',
      remote_ip_prefix: '--remote-ip',
      remote_group_id: '--remote-group',
      ...described,
    },
  },
  { on: 'DELETE network /security-group-rules/{id}', say: 'security group rule delete {id}' },
  {
    on: 'PUT network /quotas/{project}',
    say: 'quota set {project}',
    envelope: 'quota',
    options: { network: '--networks', subnet: '--subnets', port: '--ports', router: '--routers', floatingip: '--floating-ips', security_group: '--secgroups', security_group_rule: '--secgroup-rules' },
  },
];

const storage: Spelling[] = [
  {
    on: 'POST volume /volumes',
    say: 'volume create {name}',
    envelope: 'volume',
    options: { size: '--size', volume_type: '--type', imageRef: '--image', snapshot_id: '--snapshot', ...described },
  },
  { on: 'PUT volume /volumes/{id}', say: 'volume set {id}', envelope: 'volume', options: { ...named, metadata: (value) => properties('--property')(value)?.concat('--no-property') ?? null } },
  { on: 'DELETE volume /volumes/{id}', say: 'volume delete {id}' },
  { on: 'POST volume /volumes/{id}/action', say: 'volume set {id}', envelope: 'os-extend', options: { new_size: '--size' } },
  { on: 'POST volume /volumes/{id}/action', say: 'volume set {id}', envelope: 'os-retype', options: { new_type: '--type', migration_policy: '--retype-policy' } },
  { on: 'POST compute /servers/{server}/os-volume_attachments', say: 'server add volume {server} {volumeId}', envelope: 'volumeAttachment' },
  { on: 'DELETE compute /servers/{server}/os-volume_attachments/{volume}', say: 'server remove volume {server} {volume}' },
  {
    on: 'POST volume /snapshots',
    say: 'volume snapshot create {name}',
    envelope: 'snapshot',
    options: { volume_id: '--volume', force: { yes: '--force', no: '' }, ...described },
  },
  { on: 'PUT volume /snapshots/{id}', say: 'volume snapshot set {id}', envelope: 'snapshot', options: named },
  { on: 'DELETE volume /snapshots/{id}', say: 'volume snapshot delete {id}' },
  {
    on: 'POST volume /backups',
    say: 'volume backup create {volume_id}',
    envelope: 'backup',
    options: { ...named, incremental: { yes: '--incremental', no: '' }, force: { yes: '--force', no: '' } },
  },
  { on: 'POST volume /backups/{id}/restore', say: 'volume backup restore {id} {target?}', envelope: 'restore', shape: ({ volume_id, name }) => ({ target: volume_id ?? name }) },
  { on: 'DELETE volume /backups/{id}', say: 'volume backup delete {id}' },
  { on: 'POST volume /volume-transfers', say: 'volume transfer request create {volume_id}', envelope: 'transfer', options: { name: '--name' } },
  { on: 'POST volume /volume-transfers/{id}/accept', say: 'volume transfer request accept {id}', envelope: 'accept', options: { auth_key: '--auth-key' } },
  { on: 'DELETE volume /volume-transfers/{id}', say: 'volume transfer request delete {id}' },
  {
    on: 'PUT volume /os-quota-sets/{project}',
    say: 'quota set {project}',
    envelope: 'quota_set',
    options: { volumes: '--volumes', gigabytes: '--gigabytes', snapshots: '--snapshots', backups: '--backups', backup_gigabytes: '--backup-gigabytes' },
  },
];

const computing: Spelling[] = [
  { on: 'DELETE compute /os-keypairs/{name}', say: 'keypair delete {name}' },
  { on: 'POST compute /os-server-groups', say: 'server group create {name}', envelope: 'server_group', options: { policy: '--policy', rules: '--rule' } },
  { on: 'DELETE compute /os-server-groups/{id}', say: 'server group delete {id}' },
  {
    on: 'PUT compute /os-services/{id}',
    say: 'compute service set {host} {binary}',
    options: { status: (value) => [value === 'enabled' ? '--enable' : '--disable'], disabled_reason: '--disable-reason', forced_down: { yes: '--down', no: '--up' } },
  },
  { on: 'POST compute /os-aggregates', say: 'aggregate create {name}', envelope: 'aggregate', options: { availability_zone: '--zone' } },
  { on: 'PUT compute /os-aggregates/{id}', say: 'aggregate set {id}', envelope: 'aggregate', options: { name: '--name', availability_zone: '--zone' } },
  { on: 'DELETE compute /os-aggregates/{id}', say: 'aggregate delete {id}' },
  { on: 'POST compute /os-aggregates/{id}/action', say: 'aggregate add host {id} {host}', envelope: 'add_host' },
  { on: 'POST compute /os-aggregates/{id}/action', say: 'aggregate remove host {id} {host}', envelope: 'remove_host' },
  { on: 'POST compute /os-aggregates/{id}/action', say: 'aggregate set {id}', envelope: 'set_metadata', options: { metadata: properties('--property') } },
  {
    on: 'PUT compute /os-quota-sets/{project}',
    say: 'quota set {project}',
    envelope: 'quota_set',
    options: { instances: '--instances', cores: '--cores', ram: '--ram', server_groups: '--server-groups', key_pairs: '--key-pairs' },
  },
  { on: 'POST image /images', say: 'image create {name}', options: { disk_format: '--disk-format', container_format: '--container-format' } },
  { on: 'DELETE image /images/{id}', say: 'image delete {id}' },
  { on: 'POST image /images/{id}/import', say: 'image import {id}', envelope: 'method', options: { name: '--method', uri: '--uri' } },
  { on: 'POST image /images/{id}/members', say: 'image add project {id} {member}' },
  { on: 'DELETE image /images/{id}/members/{member}', say: 'image remove project {id} {member}' },
  { on: 'PUT image /images/{id}/members/{member}', say: 'image set {id}', options: { status: (value) => [value === 'accepted' ? '--accept' : '--reject'], member: '--project' } },
  { on: 'POST image /images/{id}/actions/deactivate', say: 'image set --deactivate {id}' },
  { on: 'POST image /images/{id}/actions/reactivate', say: 'image set --activate {id}' },
  {
    on: 'PATCH image /images/{id}',
    say: 'image set {id}',
    shape: patched,
    options: { name: '--name', visibility: (value) => [`--${String(value)}`], protected: { yes: '--protected', no: '--unprotected' }, min_disk: '--min-disk', min_ram: '--min-ram' },
  },
];

const objects: Spelling[] = [
  { on: 'PUT object /{account}/{container}', say: 'container create {container}', options: { 'X-Container-Read': (value) => (value === '.r:*,.rlistings' ? ['--public'] : null) } },
  { on: 'DELETE object /{account}/{container}', say: 'container delete {container}' },
  { on: 'DELETE object /{account}/{container}/{*object}', say: 'object delete {container} {object}' },
  { on: 'POST object /{account}/{container}/{*object}', say: 'object set {container} {object}', shape: headers, options: { metadata: properties('--property') } },
];

export const spellings: Spelling[] = [...networking, ...storage, ...computing, ...objects];
