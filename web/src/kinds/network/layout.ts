// Where everything of the topology stands. Networks are bars from left to
// right, routers stand in lanes at the left and hold on to the bars they
// connect, and what is on a network hangs below its bar.
import type { Port } from '../../api/network';
import type { World } from './reach';

export interface Bar {
  id: string;
  name: string;
  subnets: string;
  external: boolean;
  y: number;
}

export interface Chip {
  port: Port;
  name: string;
  address: string;
  up: boolean;
  x: number;
  y: number;
  bar: number;
}

export interface Lane {
  id: string;
  name: string;
  up: boolean;
  x: number;
  y: number;
  /** Where the line begins and ends, and where it meets bars. */
  from: number;
  to: number;
  meets: { y: number; address: string }[];
}

export interface Layout {
  bars: Bar[];
  chips: Chip[];
  lanes: Lane[];
  left: number;
  height: number;
}

export const size = { bar: 22, chip: 132, chipHeight: 40, lane: 118, router: 34, gap: 12 };

interface Machine {
  id: string;
  name: string;
  status: string;
}

export function layout(world: World, servers: Machine[], width: number): Layout {
  const connected = new Map(world.routers.map((router) => [router.id, networksOf(world, router.id)]));
  const order = [...world.networks].sort(
    (a, b) => Number(b['router:external']) - Number(a['router:external']) || rank(connected, a.id) - rank(connected, b.id) || a.name.localeCompare(b.name),
  );
  // On a narrow screen lanes overlap in turn rather than push everything out.
  const lane = Math.min(size.lane, Math.max(44, (width * 0.4) / Math.max(1, world.routers.length)));
  const left = world.routers.length * lane + size.gap;
  const perRow = Math.max(1, Math.floor((width - left) / (size.chip + size.gap)));
  const bars: Bar[] = [];
  const chips: Chip[] = [];
  let y = size.gap;
  for (const network of order) {
    bars.push({
      id: network.id,
      name: network.name || network.id.slice(0, 8),
      subnets: world.subnets.filter((s) => s.network_id === network.id).map((s) => s.cidr).join(', '),
      external: network['router:external'],
      y,
    });
    const bar = y;
    const on = world.ports.filter((port) => port.network_id === network.id && !port.device_owner.startsWith('network:'));
    y += size.bar + size.gap;
    on.forEach((port, i) => {
      const server = servers.find((each) => each.id === port.device_id);
      chips.push({
        port,
        name: server?.name ?? (port.name || port.id.slice(0, 8)),
        address: port.fixed_ips[0]?.ip_address ?? '',
        up: server === undefined ? port.status === 'ACTIVE' : server.status === 'ACTIVE',
        x: left + (i % perRow) * (size.chip + size.gap),
        y: y + Math.floor(i / perRow) * (size.chipHeight + size.gap),
        bar: bar + size.bar,
      });
    });
    const rows = Math.ceil(on.length / perRow);
    // Below a bar there is room for a router, also where nothing hangs on it.
    y += Math.max(rows * (size.chipHeight + size.gap), size.router + size.gap);
  }
  const lanes = world.routers.map((router, i): Lane => {
    const meets = bars
      .filter((bar) => connected.get(router.id)?.has(bar.id))
      .map((bar) => ({ y: bar.y + size.bar / 2, address: connected.get(router.id)?.get(bar.id) ?? '' }));
    const from = meets[0]?.y ?? y;
    return {
      id: router.id,
      name: router.name || router.id.slice(0, 8),
      up: router.admin_state_up && router.status === 'ACTIVE',
      x: size.gap / 2 + i * lane,
      y: from + size.bar / 2 + 6,
      from,
      to: Math.max(meets.at(-1)?.y ?? from, from + size.bar),
      meets,
    };
  });
  const free = lanes.some((each) => each.meets.length === 0) ? size.router + size.bar : 0;
  return { bars, chips, lanes, left, height: y + free + size.gap };
}

/** The networks that a router is on, with its address there. */
function networksOf(world: World, router: string): Map<string, string> {
  const found = new Map<string, string>();
  const gateway = world.routers.find((each) => each.id === router)?.external_gateway_info;
  if (gateway) {
    found.set(gateway.network_id, gateway.external_fixed_ips[0]?.ip_address ?? '');
  }
  for (const port of world.ports) {
    if (port.device_id === router && port.device_owner.startsWith('network:router_interface')) {
      found.set(port.network_id, port.fixed_ips[0]?.ip_address ?? '');
    }
  }
  return found;
}

/** Networks of one router stand together. */
function rank(connected: Map<string, Map<string, string>>, network: string): number {
  const at = [...connected.values()].findIndex((networks) => networks.has(network));
  return at < 0 ? connected.size : at;
}
