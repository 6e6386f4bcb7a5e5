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
const subport = (item: unknown) => `port=${field(item, 'port_id')},segmentation-type=${field(item, 'segmentation_type')},segmentation-id=${field(item, 'segmentation_id')}`;
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
  qos_policy_id: (value: unknown) => (value === null ? ['--no-qos-policy'] : ['--qos-policy', String(value)]),
  mtu: '--mtu',
  admin_state_up: upDown,
  port_security_enabled: security,
  shared: { yes: '--share', no: '--no-share' },
  'router:external': { yes: '--external', no: '--internal' },
};
const dhcp = { yes: '--dhcp', no: '--no-dhcp' };
const gateway = (value: unknown) => ['--gateway', value === null ? 'none' : String(value)];
const port = { ...described, qos_policy_id: '--qos-policy', port_security_enabled: security, admin_state_up: upDown };

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
  { on: 'PUT network /ports/{id}', say: 'port unset {id}', envelope: 'port', options: { qos_policy_id: (value) => (value === null ? ['--qos-policy'] : null) } },
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
  { on: 'POST network /address-groups', say: 'address group create {name}', envelope: 'address_group', options: { addresses: listOf('--address'), ...described } },
  { on: 'PUT network /address-groups/{id}', say: 'address group set {id}', envelope: 'address_group', options: named },
  { on: 'PUT network /address-groups/{id}/add_addresses', say: 'address group set {id}', options: { addresses: listOf('--address') }, envelope: 'address_group' },
  { on: 'PUT network /address-groups/{id}/remove_addresses', say: 'address group unset {id}', options: { addresses: listOf('--address') }, envelope: 'address_group' },
  { on: 'DELETE network /address-groups/{id}', say: 'address group delete {id}' },
  { on: 'POST network /address-scopes', say: 'address scope create {name}', envelope: 'address_scope', options: { ip_version: '--ip-version', shared: { yes: '--share', no: '--no-share' } } },
  { on: 'PUT network /address-scopes/{id}', say: 'address scope set {id}', envelope: 'address_scope', options: named },
  { on: 'DELETE network /address-scopes/{id}', say: 'address scope delete {id}' },
  {
    on: 'POST network /subnetpools',
    say: 'subnet pool create {name}',
    envelope: 'subnetpool',
    options: { prefixes: listOf('--pool-prefix'), default_prefixlen: '--default-prefix-length', address_scope_id: '--address-scope', shared: { yes: '--share', no: '--no-share' }, ...described },
  },
  { on: 'PUT network /subnetpools/{id}', say: 'subnet pool set {id}', envelope: 'subnetpool', options: { ...named, prefixes: listOf('--pool-prefix') } },
  { on: 'DELETE network /subnetpools/{id}', say: 'subnet pool delete {id}' },
  { on: 'POST network /trunks', say: 'network trunk create {name}', envelope: 'trunk', options: { port_id: '--parent-port', ...described } },
  { on: 'PUT network /trunks/{id}', say: 'network trunk set {id}', envelope: 'trunk', options: named },
  { on: 'PUT network /trunks/{id}/add_subports', say: 'network trunk set {id}', options: { sub_ports: listOf('--subport', subport) } },
  { on: 'PUT network /trunks/{id}/remove_subports', say: 'network trunk unset {id}', options: { sub_ports: listOf('--subport', (item) => field(item, 'port_id')) } },
  { on: 'DELETE network /trunks/{id}', say: 'network trunk delete {id}' },
  { on: 'POST network /qos/policies', say: 'network qos policy create {name}', envelope: 'policy', options: { shared: { yes: '--share', no: '--no-share' }, ...described } },
  { on: 'PUT network /qos/policies/{id}', say: 'network qos policy set {id}', envelope: 'policy', options: { ...named, shared: { yes: '--share', no: '--no-share' } } },
  { on: 'DELETE network /qos/policies/{id}', say: 'network qos policy delete {id}' },
  {
    on: 'POST network /qos/policies/{id}/bandwidth_limit_rules',
    say: 'network qos rule create --type bandwidth-limit {id}',
    envelope: 'bandwidth_limit_rule',
    options: { max_kbps: '--max-kbps', max_burst_kbps: '--max-burst-kbits', direction: (value) => [`--${String(value)}`] },
  },
  { on: 'POST network /qos/policies/{id}/dscp_marking_rules', say: 'network qos rule create --type dscp-marking {id}', envelope: 'dscp_marking_rule', options: { dscp_mark: '--dscp-mark' } },
  { on: 'DELETE network /qos/policies/{id}/{type}/{rule}', say: 'network qos rule delete {id} {rule}' },
  { on: 'POST network /rbac-policies', say: 'network rbac create {object_id}', envelope: 'rbac_policy', options: { object_type: '--type', action: '--action', target_tenant: '--target-project' } },
  { on: 'DELETE network /rbac-policies/{id}', say: 'network rbac delete {id}' },
  {
    on: 'POST network /floatingips/{id}/port_forwardings',
    say: 'floating ip port forwarding create {id}',
    envelope: 'port_forwarding',
    options: { protocol: '--protocol', external_port: '--external-protocol-port', internal_port: '--internal-protocol-port', internal_ip_address: '--internal-ip-address', internal_port_id: '--port', ...described },
  },
  {
    on: 'PUT network /floatingips/{id}/port_forwardings/{rule}',
    say: 'floating ip port forwarding set {id} {rule}',
    envelope: 'port_forwarding',
    options: { protocol: '--protocol', external_port: '--external-protocol-port', internal_port: '--internal-protocol-port', ...described },
  },
  { on: 'DELETE network /floatingips/{id}/port_forwardings/{rule}', say: 'floating ip port forwarding delete {id} {rule}' },
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
    on: 'POST volume /types',
    say: 'volume type create {name}',
    envelope: 'volume_type',
    options: { ...described, 'os-volume-type-access:is_public': { yes: '--public', no: '--private' }, extra_specs: properties('--property') },
  },
  { on: 'PUT volume /types/{id}', say: 'volume type set {id}', envelope: 'volume_type', options: named },
  { on: 'DELETE volume /types/{id}', say: 'volume type delete {id}' },
  { on: 'POST volume /types/{id}/extra_specs', say: 'volume type set {id}', options: { extra_specs: properties('--property') } },
  { on: 'DELETE volume /types/{id}/extra_specs/{key}', say: 'volume type unset --property {key} {id}' },
  { on: 'POST volume /types/{id}/action', say: 'volume type set --project {project} {id}', envelope: 'addProjectAccess' },
  { on: 'POST volume /types/{id}/action', say: 'volume type unset --project {project} {id}', envelope: 'removeProjectAccess' },
  {
    on: 'POST volume /types/{id}/encryption',
    say: 'volume type set {id}',
    envelope: 'encryption',
    options: { provider: '--encryption-provider', cipher: '--encryption-cipher', key_size: '--encryption-key-size', control_location: '--encryption-control-location' },
  },
  { on: 'DELETE volume /types/{id}/encryption/provider', say: 'volume type unset --encryption-type {id}' },
  { on: 'POST volume /qos-specs', say: 'volume qos create {name}', envelope: 'qos_specs', shape: ({ name, consumer, ...specs }) => ({ name, consumer, specs }), options: { consumer: '--consumer', specs: properties('--property') } },
  { on: 'PUT volume /qos-specs/{id}', say: 'volume qos set {id}', envelope: 'qos_specs', shape: (specs) => ({ specs }), options: { specs: properties('--property') } },
  { on: 'GET volume /qos-specs/{id}/associate', say: 'volume qos associate {id} {vol_type_id}' },
  { on: 'GET volume /qos-specs/{id}/disassociate', say: 'volume qos disassociate {id}', options: { vol_type_id: '--volume-type' } },
  { on: 'DELETE volume /qos-specs/{id}', say: 'volume qos delete {id}' },
  { on: 'POST volume /group_types', say: 'volume group type create {name}', envelope: 'group_type', options: { ...described, is_public: { yes: '--public', no: '--private' } } },
  { on: 'PUT volume /group_types/{id}', say: 'volume group type set {id}', envelope: 'group_type', options: named },
  { on: 'POST volume /group_types/{id}/group_specs', say: 'volume group type set {id}', options: { group_specs: properties('--property') } },
  { on: 'DELETE volume /group_types/{id}', say: 'volume group type delete {id}' },
  { on: 'POST volume /groups', say: 'volume group create', envelope: 'group', options: { name: '--name', group_type: '--volume-group-type', volume_types: listOf('--volume-type'), ...described } },
  { on: 'PUT volume /groups/{id}', say: 'volume group set {id}', envelope: 'group', options: named },
  { on: 'POST volume /groups/{id}/action', say: 'volume group delete {id}', envelope: 'delete', options: { 'delete-volumes': { yes: '--force', no: '' } } },
  { on: 'POST volume /group_snapshots', say: 'volume group snapshot create {group_id}', envelope: 'group_snapshot', options: named },
  { on: 'DELETE volume /group_snapshots/{id}', say: 'volume group snapshot delete {id}' },
  {
    on: 'PUT volume /os-quota-sets/{project}',
    say: 'quota set {project}',
    envelope: 'quota_set',
    options: { volumes: '--volumes', gigabytes: '--gigabytes', snapshots: '--snapshots', backups: '--backups', backup_gigabytes: '--backup-gigabytes' },
  },
];

const computing: Spelling[] = [
  {
    on: 'POST compute /servers',
    say: 'server create {name}',
    envelope: 'server',
    options: {
      flavorRef: '--flavor',
      imageRef: '--image',
      networks: (value) => (value === 'none' ? ['--no-network'] : value === 'auto' ? ['--network', 'auto'] : listOf('--network', (item) => field(item, 'uuid'))(value)),
      key_name: '--key-name',
      security_groups: listOf('--security-group', (item) => field(item, 'name')),
      availability_zone: '--availability-zone',
      group: (value) => ['--server-group', String(value)],
      min_count: '--min',
      max_count: '--max',
    },
  },
  { on: 'PUT compute /servers/{id}', say: 'server set {id}', envelope: 'server', options: named },
  { on: 'DELETE compute /servers/{id}', say: 'server delete {id}' },
  ...['start', 'stop'].map((verb): Spelling => ({ on: 'POST compute /servers/{id}/action', say: `server ${verb} {id}`, envelope: `os-${verb}` })),
  ...['pause', 'unpause', 'suspend', 'resume', 'unlock', 'shelve', 'unrescue', 'restore'].map((verb): Spelling => ({ on: 'POST compute /servers/{id}/action', say: `server ${verb} {id}`, envelope: verb })),
  { on: 'POST compute /servers/{id}/action', say: 'server lock {id}', envelope: 'lock', options: { locked_reason: '--reason' } },
  { on: 'POST compute /servers/{id}/action', say: 'server shelve --offload {id}', envelope: 'shelveOffload' },
  { on: 'POST compute /servers/{id}/action', say: 'server unshelve {id}', envelope: 'unshelve', options: { availability_zone: '--availability-zone', host: '--host' } },
  { on: 'POST compute /servers/{id}/action', say: 'server rescue {id}', envelope: 'rescue', options: { rescue_image_ref: '--image' } },
  { on: 'POST compute /servers/{id}/action', say: 'server set {id}', envelope: 'changePassword', options: { adminPass: '--password' } },
  { on: 'POST compute /servers/{id}/action', say: 'server set {id}', envelope: 'os-resetState', options: { state: '--state' } },
  { on: 'POST compute /servers/{id}/action', say: 'server dump create {id}', envelope: 'trigger_crash_dump' },
  { on: 'POST compute /servers/{id}/action', say: 'server backup create {id}', envelope: 'createBackup', options: { name: '--name', backup_type: '--type', rotation: '--rotate' } },
  { on: 'POST compute /servers/{id}/action', say: 'server migrate {id}', envelope: 'migrate', options: { host: '--host' } },
  {
    on: 'POST compute /servers/{id}/action',
    say: 'server migrate --live-migration {id}',
    envelope: 'os-migrateLive',
    options: { host: (value) => (value === null ? [] : ['--host', String(value)]), block_migration: (value) => (value === 'auto' ? [] : null) },
  },
  { on: 'DELETE compute /servers/{server}/migrations/{id}', say: 'server migration abort {server} {id}' },
  { on: 'POST compute /servers/{server}/migrations/{id}/action', say: 'server migration force complete {server} {id}', envelope: 'force_complete' },
  { on: 'POST compute /servers/{id}/action', say: 'server evacuate {id}', envelope: 'evacuate', options: { host: '--host' } },
  { on: 'POST compute /servers/{id}/action', say: 'server delete --force {id}', envelope: 'forceDelete' },
  { on: 'POST compute /servers/{id}/action', say: 'server reboot {id}', envelope: 'reboot', options: { type: (value) => [value === 'HARD' ? '--hard' : '--soft'] } },
  { on: 'POST compute /servers/{id}/action', say: 'server resize {id}', envelope: 'resize', options: { flavorRef: '--flavor' } },
  { on: 'POST compute /servers/{id}/action', say: 'server resize confirm {id}', envelope: 'confirmResize' },
  { on: 'POST compute /servers/{id}/action', say: 'server resize revert {id}', envelope: 'revertResize' },
  { on: 'POST compute /servers/{id}/action', say: 'server rebuild {id}', envelope: 'rebuild', options: { imageRef: '--image' } },
  { on: 'POST compute /servers/{id}/action', say: 'server image create {id}', envelope: 'createImage', options: { name: '--name' } },
  { on: 'POST compute /servers/{id}/os-interface', say: 'server add network {id} {net_id}', envelope: 'interfaceAttachment' },
  { on: 'DELETE compute /servers/{id}/os-interface/{port}', say: 'server remove port {id} {port}' },
  {
    on: 'POST compute /os-keypairs',
    say: 'keypair create {name}',
    envelope: 'keypair',
    // The command reads the public key from a file.
    shape: ({ name, type }) => ({ name, type, file: `${String(name)}.${type === 'x509' ? 'crt' : 'pub'}` }),
    options: { type: '--type', file: '--public-key' },
  },
  {
    on: 'POST compute /flavors',
    say: 'flavor create {name}',
    envelope: 'flavor',
    options: { vcpus: '--vcpus', ram: '--ram', disk: '--disk', swap: '--swap', 'OS-FLV-EXT-DATA:ephemeral': '--ephemeral', 'os-flavor-access:is_public': { yes: '--public', no: '--private' }, ...described },
  },
  { on: 'PUT compute /flavors/{id}', say: 'flavor set {id}', envelope: 'flavor', options: described },
  { on: 'DELETE compute /flavors/{id}', say: 'flavor delete {id}' },
  { on: 'POST compute /flavors/{id}/os-extra_specs', say: 'flavor set {id}', options: { extra_specs: properties('--property') } },
  { on: 'DELETE compute /flavors/{id}/os-extra_specs/{key}', say: 'flavor unset --property {key} {id}' },
  { on: 'POST compute /flavors/{id}/action', say: 'flavor set --project {tenant} {id}', envelope: 'addTenantAccess' },
  { on: 'POST compute /flavors/{id}/action', say: 'flavor unset --project {tenant} {id}', envelope: 'removeTenantAccess' },
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

const domain = { domain_id: '--domain' };
const prompt = () => ['--password-prompt'];
const list = (key: string) => (value: unknown) => (Array.isArray(value) ? value.flatMap((item) => [key, field(item, 'name')]) : null);
/** The first of a list, of which the pages send one. */
const first = (fields: Record<string, unknown>) => (fields[0] ?? {}) as Record<string, unknown>;

/** Options of users that have flags of their own. */
const options = (value: unknown) => {
  const given = value as { multi_factor_auth_enabled?: boolean; multi_factor_auth_rules?: string[][] };
  return [
    given.multi_factor_auth_enabled === true ? '--enable-multi-factor-auth' : '--disable-multi-factor-auth',
    ...(given.multi_factor_auth_rules ?? []).flatMap((rule) => ['--multi-factor-auth-rule', rule.join(',')]),
  ];
};

/** Giving roles and taking them away, to whom and on what there are addresses for. */
const grants = (['PUT', 'DELETE'] as const).flatMap((method) =>
  ['user', 'group'].flatMap((actor): Spelling[] => {
    const verb = method === 'PUT' ? 'add' : 'remove';
    return [
      { on: `${method} identity /system/${actor}s/{${actor}}/roles/{role}`, say: `role ${verb} --system all {role}`, options: { [actor]: `--${actor}` } },
      ...['project', 'domain'].flatMap((target): Spelling[] => {
        const said = { [target]: `--${target}`, [actor]: `--${actor}` };
        const path = `/${target}s/{${target}}/${actor}s/{${actor}}/roles/{role}`;
        return [
          { on: `${method} identity ${path}`, say: `role ${verb} {role}`, options: said },
          { on: `${method} identity /OS-INHERIT${path}/inherited_to_projects`, say: `role ${verb} --inherited {role}`, options: said },
        ];
      }),
    ];
  }),
);

const identities: Spelling[] = [
  {
    on: 'POST identity /users/{user}/application_credentials',
    say: 'application credential create {name}',
    envelope: 'application_credential',
    options: {
      ...described,
      roles: list('--role'),
      access_rules: (value) => ['--access-rules', JSON.stringify(value)],
      expires_at: '--expiration',
      unrestricted: { yes: '--unrestricted', no: '--restricted' },
    },
  },
  { on: 'DELETE identity /users/{user}/application_credentials/{id}', say: 'application credential delete {id}' },
  { on: 'POST identity /domains', say: 'domain create {name}', envelope: 'domain', options: described },
  { on: 'PATCH identity /domains/{id}', say: 'domain set {id}', envelope: 'domain', options: { ...named, enabled: upDown } },
  { on: 'DELETE identity /domains/{id}', say: 'domain delete {id}' },
  { on: 'POST identity /projects', say: 'project create {name}', envelope: 'project', options: { ...described, ...domain, parent_id: '--parent', tags: listOf('--tag') } },
  { on: 'PATCH identity /projects/{id}', say: 'project set {id}', envelope: 'project', options: { ...named, enabled: upDown, tags: instead('--clear-tags', '--tag') } },
  { on: 'DELETE identity /projects/{id}', say: 'project delete {id}' },
  ...grants,
  { on: 'POST identity /users', say: 'user create {name}', envelope: 'user', options: { ...described, ...domain, default_project_id: '--project', email: '--email', password: prompt } },
  { on: 'PATCH identity /users/{id}', say: 'user set {id}', envelope: 'user', options: { ...named, default_project_id: '--project', email: '--email', password: prompt, enabled: upDown, options } },
  { on: 'DELETE identity /users/{id}', say: 'user delete {id}' },
  // The command asks for both passwords.
  { on: 'POST identity /users/{id}/password', say: 'user password set', envelope: 'user', options: { original_password: () => [], password: () => [] } },
  { on: 'POST identity /groups', say: 'group create {name}', envelope: 'group', options: { ...described, ...domain } },
  { on: 'PATCH identity /groups/{id}', say: 'group set {id}', envelope: 'group', options: named },
  { on: 'DELETE identity /groups/{id}', say: 'group delete {id}' },
  { on: 'PUT identity /groups/{group}/users/{user}', say: 'group add user {group} {user}' },
  { on: 'DELETE identity /groups/{group}/users/{user}', say: 'group remove user {group} {user}' },
  { on: 'POST identity /roles', say: 'role create {name}', envelope: 'role', options: { ...described, ...domain } },
  { on: 'PATCH identity /roles/{id}', say: 'role set {id}', envelope: 'role', options: named },
  { on: 'DELETE identity /roles/{id}', say: 'role delete {id}' },
  { on: 'PUT identity /roles/{role}/implies/{implied}', say: 'implied role create {role}', options: { implied: '--implied-role' } },
  { on: 'DELETE identity /roles/{role}/implies/{implied}', say: 'implied role delete {role}', options: { implied: '--implied-role' } },
  {
    on: 'POST identity /OS-TRUST/trusts',
    say: 'trust create {trustor_user_id} {trustee_user_id}',
    envelope: 'trust',
    options: { project_id: '--project', roles: list('--role'), impersonation: { yes: '--impersonate', no: '--no-impersonate' }, expires_at: '--expiration' },
  },
  { on: 'DELETE identity /OS-TRUST/trusts/{id}', say: 'trust delete {id}' },
  { on: 'POST identity /users/{user}/credentials/OS-EC2', say: 'ec2 credentials create', options: { tenant_id: '--project' } },
  { on: 'DELETE identity /users/{user}/credentials/OS-EC2/{access}', say: 'ec2 credentials delete {access}' },
  { on: 'POST identity /credentials', say: 'credential create {user_id} {blob}', envelope: 'credential', options: { type: '--type' } },
  { on: 'DELETE identity /credentials/{id}', say: 'credential delete {id}' },
  {
    on: 'POST identity /registered_limits',
    say: 'registered limit create {resource_name}',
    envelope: 'registered_limits',
    shape: first,
    options: { service_id: '--service', region_id: '--region', default_limit: '--default-limit', ...described },
  },
  { on: 'PATCH identity /registered_limits/{id}', say: 'registered limit set {id}', envelope: 'registered_limit', options: { default_limit: '--default-limit', ...described } },
  { on: 'DELETE identity /registered_limits/{id}', say: 'registered limit delete {id}' },
  {
    on: 'POST identity /limits',
    say: 'limit create {resource_name}',
    envelope: 'limits',
    shape: first,
    options: { service_id: '--service', region_id: '--region', project_id: '--project', domain_id: '--domain', resource_limit: '--resource-limit', ...described },
  },
  { on: 'PATCH identity /limits/{id}', say: 'limit set {id}', envelope: 'limit', options: { resource_limit: '--resource-limit', ...described } },
  { on: 'DELETE identity /limits/{id}', say: 'limit delete {id}' },
];

export const spellings: Spelling[] = [...identities, ...networking, ...storage, ...computing, ...objects];
