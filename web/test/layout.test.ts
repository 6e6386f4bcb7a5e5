import { describe, expect, it } from 'vitest';
import type { Network, Port, Router } from '../src/api/network';
import { layout, size } from '../src/kinds/network/layout';
import type { World } from '../src/kinds/network/reach';

const standard = { description: '', project_id: 'p', created_at: '', tags: [], admin_state_up: true, status: 'ACTIVE' };
const network = (id: string, external = false): Network => ({ ...standard, id, name: id, shared: false, mtu: 1442, subnets: [], 'router:external': external });
const port = (id: string, network_id: string, device_id: string, device_owner = 'compute:nova'): Port => ({
  ...standard, id, name: id, mac_address: '', network_id, device_id, device_owner, fixed_ips: [{ subnet_id: 's', ip_address: `10.0.0.${id.length}` }], security_groups: [], allowed_address_pairs: [],
});
const router: Router = { ...standard, id: 'r', name: 'r', routes: [], external_gateway_info: { network_id: 'outside', external_fixed_ips: [{ subnet_id: 'o', ip_address: '172.24.4.2' }] } };
const world: World = {
  networks: [network('alone'), network('inside'), network('outside', true)],
  subnets: [],
  ports: [port('r-inside', 'inside', 'r', 'network:router_interface'), port('dhcp', 'inside', 'd', 'network:dhcp'), port('one', 'inside', 's1'), port('another', 'inside', 's2')],
  routers: [router],
  groups: [],
  floating: [],
  addresses: [],
};
const servers = [{ id: 's1', name: 'web', status: 'ACTIVE' }, { id: 's2', name: 'db', status: 'SHUTOFF' }];

describe('the topology', () => {
  it('has the outside first, then what a router joins to it', () => {
    expect(layout(world, servers, 1000).bars.map((bar) => bar.id)).toEqual(['outside', 'inside', 'alone']);
  });

  it('hangs machines below their network, by name and with their state', () => {
    const { chips, bars } = layout(world, servers, 1000);
    expect(chips.map((chip) => [chip.name, chip.up])).toEqual([['web', true], ['db', false]]);
    const inside = bars.find((bar) => bar.id === 'inside');
    const alone = bars.find((bar) => bar.id === 'alone');
    for (const chip of chips) {
      expect(chip.y).toBeGreaterThan(inside?.y ?? 0);
      expect(chip.y + size.chipHeight).toBeLessThanOrEqual(alone?.y ?? 0);
    }
  });

  it('joins a router to all its networks', () => {
    const { lanes, bars } = layout(world, servers, 1000);
    expect(lanes[0]?.meets).toEqual([
      { y: (bars[0]?.y ?? 0) + size.bar / 2, address: '172.24.4.2' },
      { y: (bars[1]?.y ?? 0) + size.bar / 2, address: '10.0.0.8' },
    ]);
  });

  it.each([320, 600, 1200])('fits into %i pixels', (width) => {
    const { chips, left } = layout(world, servers, width);
    for (const chip of chips) {
      expect(chip.x).toBeGreaterThanOrEqual(left);
      expect(chip.x + size.chip).toBeLessThanOrEqual(width);
    }
  });
});
