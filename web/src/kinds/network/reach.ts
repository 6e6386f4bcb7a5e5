// Can A reach B? Answered from what the API says about ports, groups, routers:
// a list of hops, each of which lets the packet through or is the reason why not.
import type { AddressGroup, FloatingIP, Network, Port, Router, Rule, SecurityGroup, Subnet } from '../../api/network';
import type { Word } from '../../resource/resource';
import { holds } from './cidr';

export interface World {
  networks: Network[];
  subnets: Subnet[];
  ports: Port[];
  routers: Router[];
  groups: SecurityGroup[];
  floating: FloatingIP[];
  addresses: AddressGroup[];
}

export interface Question {
  from: Port;
  to: Port;
  protocol: 'tcp' | 'udp' | 'icmp';
  /** Of TCP and UDP. */
  port: number;
}

export interface Hop {
  ok: boolean;
  word: Word;
  /** What the words speak of. */
  with: Record<string, string>;
  rule?: Rule;
}

export interface Answer {
  ok: boolean;
  hops: Hop[];
}

const family = (ip: string) => (ip.includes(':') ? 'IPv6' : 'IPv4');

/** The ports that a rule is about, as people write them. */
export function portsOf(rule: Rule): string {
  const { port_range_min: min, port_range_max: max } = rule;
  return min === null ? '' : min === max || max === null ? String(min) : `${min}–${max}`;
}

export function canReach(world: World, question: Question): Answer {
  const pairs = addressPairs(question.from, question.to);
  if (pairs.length === 0) {
    return answer([{ ok: false, word: 'reach.noAddress', with: {} }]);
  }
  const all = pairs.map(([a, b]) => between(world, question, a, b));
  return all.find((each) => each.ok) ?? (all[0] as Answer);
}

/** Pairs of addresses of one family. */
function addressPairs(from: Port, to: Port): [string, string][] {
  return from.fixed_ips.flatMap(({ ip_address: a }) =>
    to.fixed_ips.filter(({ ip_address: b }) => family(a) === family(b)).map(({ ip_address: b }): [string, string] => [a, b]),
  );
}

function answer(hops: Hop[]): Answer {
  return { ok: hops.every((hop) => hop.ok), hops };
}

function between(world: World, { from, to, protocol, port }: Question, a: string, b: string): Answer {
  const way = path(world, from, to, a, b);
  // Through a floating IP the sender is seen with its router's outside address.
  const seen = way.seenAs ?? a;
  const target = way.asked ?? b;
  const out = allowed(world, from, { direction: 'egress', remote: target, other: way.asked === undefined ? to : undefined, protocol, port });
  const into = allowed(world, to, { direction: 'ingress', remote: seen, other: way.seenAs === undefined ? from : undefined, protocol, port });
  const hops = [alive(from, 'reach.from', a), out, ...way.hops, into, alive(to, 'reach.to', b)];
  // Stateful groups know replies by themselves; stateless ones need a rule for them.
  if (out.rule !== undefined && stateless(world, out.rule)) {
    hops.push({ ...allowed(world, from, { direction: 'ingress', remote: target, other: to, protocol, port: null }), word: 'reach.replyIn' });
  }
  if (into.rule !== undefined && stateless(world, into.rule)) {
    hops.push({ ...allowed(world, to, { direction: 'egress', remote: seen, other: from, protocol, port: null }), word: 'reach.replyOut' });
  }
  return answer(hops);
}

const stateless = (world: World, rule: Rule) => world.groups.find((group) => group.id === rule.security_group_id)?.stateful === false;

function alive(port: Port, word: 'reach.from' | 'reach.to', ip: string): Hop {
  if (!port.admin_state_up) {
    return { ok: false, word: 'reach.portOff', with: { ip } };
  }
  if (port.device_owner === '') {
    return { ok: false, word: 'reach.portFree', with: { ip } };
  }
  return port.status === 'DOWN' ? { ok: false, word: 'reach.portDown', with: { ip } } : { ok: true, word, with: { ip } };
}

interface Wanted {
  direction: Rule['direction'];
  remote: string;
  /** The port at the other end; none where its address is translated. */
  other: Port | undefined;
  protocol: Question['protocol'];
  /** Null asks for all ports. */
  port: number | null;
}

/** Whether a port's security groups let something through, and by which rule. */
function allowed(world: World, port: Port, wanted: Wanted): Hop & { rule?: Rule } {
  const side = wanted.direction === 'egress' ? 'Out' : 'In';
  if (port.port_security_enabled === false) {
    return { ok: true, word: `reach.unfiltered${side}`, with: {} };
  }
  for (const group of world.groups.filter((each) => port.security_groups.includes(each.id))) {
    const rule = group.security_group_rules.find((each) => permits(world, each, wanted));
    if (rule !== undefined) {
      return { ok: true, word: `reach.rule${side}`, with: { group: group.name }, rule };
    }
  }
  const names = world.groups.filter((each) => port.security_groups.includes(each.id)).map((each) => each.name);
  return port.security_groups.length === 0
    ? { ok: false, word: `reach.noGroup${side}`, with: {} }
    : { ok: false, word: `reach.noRule${side}`, with: { groups: names.join(', '), what: `${wanted.protocol}${wanted.port === null || wanted.protocol === 'icmp' ? '' : ` ${wanted.port}`}`, remote: wanted.remote } };
}

const sameProtocol = (rule: Rule, wanted: Wanted) => {
  const spoken = rule.protocol?.toLowerCase() ?? null;
  const numbers: Record<string, string[]> = { tcp: ['tcp', '6'], udp: ['udp', '17'], icmp: ['icmp', '1', 'ipv6-icmp', 'icmpv6', '58'] };
  return spoken === null || spoken === 'any' || spoken === '0' || (numbers[wanted.protocol] ?? []).includes(spoken);
};

function permits(world: World, rule: Rule, wanted: Wanted): boolean {
  if (rule.direction !== wanted.direction || rule.ethertype !== family(wanted.remote) || !sameProtocol(rule, wanted)) {
    return false;
  }
  if (wanted.protocol !== 'icmp' && rule.port_range_min !== null) {
    const last = rule.port_range_max ?? rule.port_range_min;
    if (wanted.port === null ? rule.port_range_min > 1024 || last < 65535 : wanted.port < rule.port_range_min || wanted.port > last) {
      return false;
    }
  }
  if (rule.remote_ip_prefix !== null && !holds(rule.remote_ip_prefix, wanted.remote)) {
    return false;
  }
  const named = rule.remote_address_group_id;
  if (named != null && world.addresses.find((each) => each.id === named)?.addresses.some((prefix) => holds(prefix, wanted.remote)) !== true) {
    return false;
  }
  return rule.remote_group_id === null || wanted.other?.security_groups.includes(rule.remote_group_id) === true;
}

interface Way {
  hops: Hop[];
  /** The address that the receiver sees, where it is translated. */
  seenAs?: string;
  /** The address that the sender asks, where it is translated. */
  asked?: string;
}

function path(world: World, from: Port, to: Port, a: string, b: string): Way {
  const subnetOf = (port: Port, ip: string) => world.subnets.find((each) => each.id === port.fixed_ips.find((f) => f.ip_address === ip)?.subnet_id);
  const [here, there] = [subnetOf(from, a), subnetOf(to, b)];
  const name = (port: Port) => world.networks.find((n) => n.id === port.network_id)?.name ?? port.network_id.slice(0, 8);
  const off = world.networks.find((n) => (n.id === from.network_id || n.id === to.network_id) && !n.admin_state_up);
  if (off !== undefined) {
    return { hops: [{ ok: false, word: 'reach.networkOff', with: { network: off.name } }] };
  }
  if (from.network_id === to.network_id && (here === undefined || here.id === there?.id || holds(here.cidr, b))) {
    return { hops: [{ ok: true, word: 'reach.sameNetwork', with: { network: name(from) } }] };
  }
  if (here === undefined || there === undefined) {
    return { hops: [{ ok: false, word: 'reach.unknownSubnet', with: {} }] };
  }
  const onWay = gatewayOf(world, here);
  if (onWay === undefined) {
    return { hops: [{ ok: false, word: 'reach.noGateway', with: { subnet: here.name || here.cidr } }] };
  }
  if (!onWay.admin_state_up) {
    return { hops: [{ ok: false, word: 'reach.routerOff', with: { router: onWay.name } }] };
  }
  if (attached(world, onWay, there)) {
    const back = gatewayOf(world, there);
    // The reply goes by the receiver's own gateway, which must know the way too.
    return back !== undefined && (back.id === onWay.id || attached(world, back, here) || routed(back, a))
      ? { hops: [{ ok: true, word: 'reach.router', with: { router: onWay.name } }] }
      : { hops: [{ ok: false, word: 'reach.noWayBack', with: { subnet: there.name || there.cidr } }] };
  }
  if (routed(onWay, b)) {
    return { hops: [{ ok: true, word: 'reach.route', with: { router: onWay.name } }] };
  }
  return outside(world, onWay, to, b);
}

/** From one router to another over the outside network: only to a floating IP. */
function outside(world: World, router: Router, to: Port, b: string): Way {
  const floating = world.floating.find((each) => each.port_id === to.id && each.fixed_ip_address === b);
  const gateway = router.external_gateway_info;
  if (floating === undefined) {
    return { hops: [{ ok: false, word: 'reach.noRouter', with: { router: router.name, ip: b } }] };
  }
  if (gateway === null || gateway.network_id !== floating.floating_network_id) {
    return { hops: [{ ok: false, word: 'reach.noOutside', with: { router: router.name, address: floating.floating_ip_address } }] };
  }
  const seenAs = gateway.external_fixed_ips[0]?.ip_address;
  return {
    hops: [{ ok: true, word: 'reach.floating', with: { router: router.name, address: floating.floating_ip_address, ip: b } }],
    asked: floating.floating_ip_address,
    ...(seenAs !== undefined && { seenAs }),
  };
}

const routerPorts = (world: World) => world.ports.filter((port) => port.device_owner.startsWith('network:router_interface') || port.device_owner.startsWith('network:ha_router'));

/** The router whose interface is a subnet's gateway. */
function gatewayOf(world: World, subnet: Subnet): Router | undefined {
  const port = routerPorts(world).find((each) => each.fixed_ips.some((ip) => ip.subnet_id === subnet.id && ip.ip_address === subnet.gateway_ip));
  return world.routers.find((router) => router.id === port?.device_id);
}

const attached = (world: World, router: Router, subnet: Subnet) =>
  routerPorts(world).some((port) => port.device_id === router.id && port.fixed_ips.some((ip) => ip.subnet_id === subnet.id));

const routed = (router: Router, ip: string) => router.routes.some((route) => holds(route.destination, ip));
