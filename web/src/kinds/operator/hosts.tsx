import { all, ask } from '../../api/client';
import { code } from '../../resource/ref';
import { define } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { CloudServerOutlined } from '../../ui/icons';
import { Ago } from '../../ui/time';

interface Hypervisor {
  id: string;
  hypervisor_hostname: string;
  state: string;
  status: string;
  hypervisor_type: string;
  host_ip: string;
  uptime: string | null;
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

const nodes = async (signal: AbortSignal) => (await ask<{ nodes: Node[] }>('nacre', '/nodes', { signal })).nodes;

/** Hosts: what compute says of a hypervisor, and what the cloud says of the node behind it. */
export default define<Host>({
  kind: 'hosts',
  icon: <CloudServerOutlined />,
  list: async (_, signal) => {
    const [hypervisors, known] = await Promise.all([all<Hypervisor>('compute', '/os-hypervisors/detail?with_servers=true', 'hypervisors', signal), nodes(signal)]);
    return hypervisors.map((hypervisor) => withNode(hypervisor, known));
  },
  read: async (id, signal) => {
    const [{ hypervisor }, known] = await Promise.all([ask<{ hypervisor: Hypervisor }>('compute', `/os-hypervisors/${id}?with_servers=true`, { signal }), nodes(signal)]);
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
    { word: 'host.seen', from: 'lg', show: (row) => row.node?.seen_at && <Ago time={row.node.seen_at} /> },
  ],
  facts: [
    { word: 'host.certificate', show: (row, { t }) => (t('host.certificates', { returnObjects: true }) as Record<string, string>)[row.node?.certificate ?? 'none'] ?? row.node?.certificate },
    { word: 'nav.instances', show: (row) => row.servers?.map((server) => <div key={server.uuid}>{server.name} {code(server.uuid)}</div>) },
  ],
});
