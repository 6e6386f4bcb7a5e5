import { describe, expect, it } from 'vitest';
import type { FloatingIP, Network, Port, Router, Rule, SecurityGroup, Subnet } from '../src/api/network';
import { holds } from '../src/kinds/network/cidr';
import { canReach, type Question, type World } from '../src/kinds/network/reach';

const standard = { description: '', project_id: 'p', created_at: '', tags: [] };
const network = (id: string): Network => ({ ...standard, id, name: id, status: 'ACTIVE', shared: false, admin_state_up: true, mtu: 1442, subnets: [], 'router:external': id === 'public' });
const subnet = (id: string, network_id: string, cidr: string, gateway_ip: string): Subnet => ({
  ...standard, id, name: id, network_id, cidr, gateway_ip, enable_dhcp: true, ip_version: cidr.includes(':') ? 6 : 4, dns_nameservers: [], allocation_pools: [], host_routes: [],
});
const port = (id: string, network_id: string, subnet_id: string, ip_address: string, security_groups = ['open'], more: Partial<Port> = {}): Port => ({
  ...standard, id, name: id, status: 'ACTIVE', admin_state_up: true, mac_address: '', network_id, device_id: `s-${id}`, device_owner: 'compute:nova', fixed_ips: [{ subnet_id, ip_address }], security_groups,
  allowed_address_pairs: [], ...more,
});
const rule = (more: Partial<Rule>): Rule => ({
  id: 'r', project_id: 'p', description: '', security_group_id: 'open', direction: 'ingress', ethertype: 'IPv4', protocol: null, port_range_min: null, port_range_max: null, remote_ip_prefix: null, remote_group_id: null, ...more,
});
const group = (id: string, ...security_group_rules: Rule[]): SecurityGroup => ({ ...standard, id, name: id, security_group_rules });
const leaves = rule({ direction: 'egress' });
const gatewayPort = (router: string, net: string, sub: string, ip: string) => port(`${router}-${sub}`, net, sub, ip, [], { device_id: router, device_owner: 'network:router_interface' });
const router = (id: string, outside: string | null, more: Partial<Router> = {}): Router => ({
  ...standard, id, name: id, status: 'ACTIVE', admin_state_up: true, routes: [],
  external_gateway_info: outside === null ? null : { network_id: 'public', external_fixed_ips: [{ subnet_id: 'out', ip_address: outside }] }, ...more,
});

// Two networks behind one router, a third behind another; both go outside.
function world(more: Partial<World> = {}): World {
  return {
    networks: ['a', 'b', 'c', 'public'].map(network),
    subnets: [subnet('sa', 'a', '10.1.0.0/24', '10.1.0.1'), subnet('sb', 'b', '10.2.0.0/24', '10.2.0.1'), subnet('sc', 'c', '10.3.0.0/24', '10.3.0.1')],
    ports: [gatewayPort('r1', 'a', 'sa', '10.1.0.1'), gatewayPort('r1', 'b', 'sb', '10.2.0.1'), gatewayPort('r2', 'c', 'sc', '10.3.0.1')],
    routers: [router('r1', '172.24.4.5'), router('r2', '172.24.4.6')],
    groups: [group('open', leaves, rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 80 })), group('shut', leaves), group('peers', leaves, rule({ remote_group_id: 'peers' }))],
    floating: [],
    addresses: [],
    ...more,
  };
}

const ask = (w: World, from: Port, to: Port, more: Partial<Question> = {}) => {
  const { ok, hops } = canReach(w, { from, to, protocol: 'tcp', port: 22, ...more });
  return ok ? true : hops.filter((hop) => !hop.ok).map((hop) => hop.word);
};

describe('can A reach B?', () => {
  const a = port('A', 'a', 'sa', '10.1.0.7');
  const a2 = port('A2', 'a', 'sa', '10.1.0.8');
  const b = port('B', 'b', 'sb', '10.2.0.7');
  const c = port('C', 'c', 'sc', '10.3.0.7');

  it.each([
    ['the same network', a, a2, {}, true],
    ['another port than the rule', a, a2, { port: 443 }, ['reach.noRuleIn']],
    ['the last port of the range', a, a2, { port: 80 }, true],
    ['another protocol', a, a2, { protocol: 'udp' as const }, ['reach.noRuleIn']],
    ['no rule at all', a, { ...a2, security_groups: ['shut'] }, {}, ['reach.noRuleIn']],
    ['no group at all', { ...a, security_groups: [] }, a2, {}, ['reach.noGroupOut']],
    ['no port security', a, { ...a2, security_groups: [], port_security_enabled: false }, { port: 1 }, true],
    ['members of one group', { ...a, security_groups: ['peers'] }, { ...a2, security_groups: ['peers'] }, { port: 9 }, true],
    ['a stranger to the group', a, { ...a2, security_groups: ['peers'] }, {}, ['reach.noRuleIn']],
    ['over a router', a, b, {}, true],
    ['another router', a, c, {}, ['reach.noRouter']],
    ['a port turned off', a, { ...b, admin_state_up: false }, {}, ['reach.portOff']],
    ['a port that is down', a, { ...b, status: 'DOWN' }, {}, ['reach.portDown']],
    ['a port that nobody uses', a, { ...b, device_owner: '' }, {}, ['reach.portFree']],
  ])('%s', (_, from, to, more, want) => {
    expect(ask(world(), from, to, more)).toEqual(want);
  });

  it('knows floating IPs: the sender is seen with its router’s address', () => {
    const floating: FloatingIP = { ...standard, id: 'f', name: '', floating_ip_address: '172.24.4.9', fixed_ip_address: '10.3.0.7', floating_network_id: 'public', port_id: 'C', router_id: 'r2', status: 'ACTIVE' };
    expect(ask(world({ floating: [floating] }), a, c)).toBe(true);
    const fromInside = group('open', leaves, rule({ remote_ip_prefix: '10.1.0.0/24' }));
    expect(ask(world({ floating: [floating], groups: [fromInside] }), a, c)).toEqual(['reach.noRuleIn']);
    const fromRouter = group('open', leaves, rule({ remote_ip_prefix: '172.24.4.5/32' }));
    expect(ask(world({ floating: [floating], groups: [fromRouter] }), a, c)).toBe(true);
  });

  it('knows routes, and routers that are off', () => {
    const routes = [{ destination: '10.3.0.0/16', nexthop: '10.1.0.99' }];
    expect(ask(world({ routers: [router('r1', null, { routes }), router('r2', null)] }), a, c)).toBe(true);
    expect(ask(world({ routers: [router('r1', null, { admin_state_up: false })] }), a, b)).toEqual(['reach.routerOff']);
  });

  it('asks for a way back', () => {
    const other = world();
    other.subnets = other.subnets.map((s) => (s.id === 'sb' ? { ...s, gateway_ip: '10.2.0.254' } : s));
    expect(ask(other, a, b)).toEqual(['reach.noWayBack']);
  });

  it('asks stateless groups for the reply too', () => {
    const stateless = { ...group('open', leaves, rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 22 })), stateful: false };
    expect(ask(world({ groups: [stateless] }), a, a2)).toEqual(['reach.replyIn']);
  });

  it('knows groups of addresses', () => {
    const some = group('open', leaves, rule({ remote_address_group_id: 'offices' }));
    const offices = (...addresses: string[]) => ask(world({ groups: [some], addresses: [{ ...standard, id: 'offices', name: 'offices', addresses }] }), a, a2);
    expect(offices('192.0.2.0/24', '10.1.0.0/28')).toBe(true);
    expect(offices('192.0.2.0/24')).toEqual(['reach.noRuleIn']);
  });

  it('needs addresses of one family', () => {
    expect(ask(world(), a, port('6', 'a', 's6', 'fd00::7'))).toEqual(['reach.noAddress']);
  });
});

describe('prefixes', () => {
  it.each([
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', 'fd00::1', false],
    ['::/0', 'fd00::1', true],
    ['fd00:1::/64', 'fd00:1::ffff:1', true],
    ['fd00:1::/64', 'fd00:1:0:1::1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['nonsense', '10.0.0.1', false],
  ])('%s holds %s: %s', (prefix, ip, want) => {
    expect(holds(prefix, ip)).toBe(want);
  });
});
