import { all, ask } from '../../api/client';
import type { Server } from '../../api/compute';
import { gibibytes, memory, number } from '../../format';
import { code } from '../../resource/ref';
import { define, put, type Column, type Word } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { CloudServerOutlined } from '../../ui/icons';
import { guests } from '../compute/guests';
import { Ago } from '../../ui/time';

interface Hypervisor {
  id: string;
  hypervisor_hostname: string;
  state: string;
  status: string;
  hypervisor_type: string;
  host_ip: string;
  vcpus: number;
  vcpus_used: number;
  memory_mb: number;
  memory_mb_used: number;
  local_gb: number;
  local_gb_used: number;
  servers?: { name: string; uuid: string }[];
  service: { id: string; host: string; disabled_reason: string | null };
}

interface Node {
  name: string;
  up: boolean;
  server: string;
  seen_at: string | null;
  certificate: string;
  certificate_until: string | null;
}

type Host = Hypervisor & { node?: Node };

const withNode = (hypervisor: Hypervisor, nodes: Node[]): Host => {
  const node = nodes.find((each) => each.name === hypervisor.service.host);
  return { ...hypervisor, ...(node && { node }) };
};

// What a host has and what of it is taken is told until this version, and later by placement.
const counting = { headers: { 'OpenStack-API-Version': 'compute 2.87' } };

const used = (word: Word, taken: (row: Host) => number, whole: (row: Host) => number, show: (n: number, language: string) => string): Column<Host> => ({
  word,
  right: true,
  from: 'lg',
  sort: taken,
  show: (row, { t, language }) => <span className="nums">{t('usage.of', { used: show(taken(row), language), limit: show(whole(row), language) })}</span>,
});

const set = (row: Host, body: Record<string, unknown>) => ({
  ...put('compute', `/os-services/${row.service.id}`, body),
  operands: { host: row.service.host, binary: 'nova-compute' },
});

const nodes = async (signal: AbortSignal) => (await ask<{ nodes: Node[] }>('nacre', '/nodes', { signal })).nodes;

/** Hosts: what compute says of a hypervisor, and what the cloud says of the node behind it. */
export default define<Host>({
  kind: 'hosts',
  icon: <CloudServerOutlined />,
  list: async (_, signal) => {
    const [hypervisors, known] = await Promise.all([all<Hypervisor>('compute', '/os-hypervisors/detail?with_servers=true', 'hypervisors', signal, 5000, counting), nodes(signal)]);
    return hypervisors.map((hypervisor) => withNode(hypervisor, known));
  },
  read: async (id, signal) => {
    const [{ hypervisor }, known] = await Promise.all([ask<{ hypervisor: Hypervisor }>('compute', `/os-hypervisors/${id}?with_servers=true`, { signal, ...counting }), nodes(signal)]);
    return withNode(hypervisor, known);
  },
  id: (row) => row.id,
  name: (row) => row.hypervisor_hostname,
  terms: (row) => [row.host_ip],
  state: (row) => ({ ...stateBy(row.state), why: row.state === 'up' ? null : row.service.disabled_reason }),
  columns: [
    { word: 'host.usable', show: (row, { t }) => t(row.status === 'enabled' ? 'yes' : 'no') },
    { word: 'host.kind', from: 'md', show: (row) => row.hypervisor_type },
    { word: 'field.address', from: 'md', show: (row) => code(row.host_ip) },
    { word: 'host.servers', right: true, sort: (row) => row.servers?.length ?? 0, show: (row) => row.servers?.length ?? 0 },
    used('quota.cores', (row) => row.vcpus_used, (row) => row.vcpus, number),
    used('quota.ram', (row) => row.memory_mb_used, (row) => row.memory_mb, memory),
    used('host.disk', (row) => row.local_gb_used, (row) => row.local_gb, gibibytes),
    { word: 'host.seen', from: 'lg', show: (row) => row.node?.seen_at && <Ago time={row.node.seen_at} /> },
  ],
  facts: [
    { word: 'host.certificate', show: (row, { t }) => (t('host.certificates', { returnObjects: true }) as Record<string, string>)[row.node?.certificate ?? 'none'] ?? row.node?.certificate },
  ],
  actions: [
    { key: 'host-enable', word: 'service.enable', by: 'admin', bulk: true, ask: 'service.enableAsk', able: (row) => row.status === 'disabled', call: (_, row) => set(row, { status: 'enabled' }) },
    {
      key: 'host-disable',
      word: 'service.disable',
      by: 'admin',
      bulk: true,
      ask: 'service.disableAsk',
      able: (row) => row.status === 'enabled',
      fields: [{ key: 'disabled_reason', label: 'service.reason', kind: 'text', max: 255 }],
      call: (body, row) => set(row, { status: 'disabled', ...body }),
    },
  ],
  Below: Guests,
});

/** The servers that run there, of all projects, with what can be done about them. */
function Guests({ row }: { row: Host }) {
  return <Rows<Server> resource={guests} everybodys where={(server) => server['OS-EXT-SRV-ATTR:host'] === row.service.host} />;
}
