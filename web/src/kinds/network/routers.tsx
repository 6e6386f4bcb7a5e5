import { all } from '../../api/client';
import type { Network, Port, Router, Subnet } from '../../api/network';
import { one } from '../../resource/query';
import { code, created, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal, type Field } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { PartitionOutlined } from '../../ui/icons';
import { listed } from './list';
import ports from './ports';
import { routesFrom, routesShown } from './subnets';

const signal = () => new AbortController().signal;

export const externalChoices = async () =>
  (await all<Network>('network', '/networks?router:external=true', 'networks', signal())).map((network) => ({ value: network.id, label: label(network) }));

const interfaces = (router: string) => all<Port>('network', `/ports?device_id=${router}`, 'ports', signal());

const gateway = (value: unknown) => (value == null || value === '' ? null : { network_id: value });

const fields: Field<Router>[] = [
  nameField(),
  descriptionField(),
  {
    key: 'external_gateway_info',
    label: 'router.gateway',
    hint: 'router.gatewayHint',
    kind: 'choice',
    options: externalChoices,
    as: gateway,
    initial: (row) => row.external_gateway_info?.network_id,
  },
  { key: 'admin_state_up', label: 'network.up', kind: 'switch', initial: (row) => row.admin_state_up },
];

export default define<Router>({
  kind: 'routers',
  icon: <PartitionOutlined />,
  list: listed('/routers', 'routers'),
  read: (id, s) => one('network', `/routers/${id}`, 'router', s),
  id: (row) => row.id,
  name: label,
  terms: (row) => row.external_gateway_info?.external_fixed_ips.map((ip) => ip.ip_address) ?? [],
  project: (row) => row.project_id,
  state: (row) => stateBy(row.status),
  columns: [
    { word: 'router.gateway', show: (row) => row.external_gateway_info && <Ref kind="networks" id={row.external_gateway_info.network_id} /> },
    { word: 'field.addresses', from: 'md', show: (row) => code(row.external_gateway_info?.external_fixed_ips.map((ip) => ip.ip_address).join(', ')) },
    created(),
  ],
  facts: [
    description(),
    { word: 'network.up', show: (row, { t }) => t(row.admin_state_up ? 'yes' : 'no') },
    { word: 'router.routes', show: (row) => row.routes.length > 0 && row.routes.map((r) => <div key={r.destination + r.nexthop}>{code(`${r.destination} → ${r.nexthop}`)}</div>) },
  ],
  create: [
    {
      key: 'router-create',
      word: 'router.create',
      fields: fields.map((field) => (field.key === 'admin_state_up' ? { ...field, initial: true } : field)),
      call: (router) => post('network', '/routers', { router }),
    },
  ],
  actions: [
    { key: 'router-edit', word: 'resource.edit', edits: true, fields, call: (router, row) => put('network', `/routers/${row.id}`, { router }) },
    {
      key: 'router-connect',
      word: 'router.connect',
      fields: [
        {
          key: 'subnet_id',
          label: 'thing.subnets.one',
          kind: 'choice',
          required: true,
          options: async (scope, row) => {
            const [subnets, taken] = await Promise.all([all<Subnet>('network', `/subnets?project_id=${scope.project.id}`, 'subnets', signal()), interfaces(row.id)]);
            const on = new Set(taken.flatMap((port) => port.fixed_ips.map((ip) => ip.subnet_id)));
            return subnets.filter((subnet) => !on.has(subnet.id)).map((subnet) => ({ value: subnet.id, label: `${label(subnet)} · ${subnet.cidr}` }));
          },
        },
      ],
      call: (body, row) => put('network', `/routers/${row.id}/add_router_interface`, body),
    },
    {
      key: 'router-disconnect',
      word: 'router.disconnect',
      fields: [
        {
          key: 'port_id',
          label: 'router.interface',
          kind: 'choice',
          required: true,
          options: async (_, row) =>
            (await interfaces(row.id))
              .filter((port) => port.device_owner === 'network:router_interface')
              .map((port) => ({ value: port.id, label: port.fixed_ips.map((ip) => ip.ip_address).join(', ') })),
        },
      ],
      call: (body, row) => put('network', `/routers/${row.id}/remove_router_interface`, body),
    },
    {
      key: 'router-routes',
      word: 'router.setRoutes',
      edits: true,
      fields: [{ key: 'routes', label: 'router.routes', kind: 'lines', hint: 'router.routesHint', as: routesFrom, initial: (row) => routesShown(row.routes) }],
      call: (router, row) => put('network', `/routers/${row.id}`, { router }),
    },
    removal('router.deleteAsk', (row) => ['network', `/routers/${row.id}`]),
  ],
  Below: ({ row }) => <Rows resource={ports} where={(port) => (port as Port).device_id === row.id} />,
});
