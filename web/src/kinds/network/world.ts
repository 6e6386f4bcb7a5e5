import { useQuery } from '@tanstack/react-query';
import { useRows } from '../../resource/query';
import { addressGroupsQuery, type FloatingIP, type Network, type Port, type Router, type SecurityGroup, type Subnet } from '../../api/network';
import type { World } from './reach';

const often = 5_000;

/** All that is known of the network; null until everything is there. */
export function useWorld(): World | null {
  const networks = useRows<Network>('networks', true, often);
  const subnets = useRows<Subnet>('subnets', true, often);
  const ports = useRows<Port>('ports', true, often);
  const routers = useRows<Router>('routers', true, often);
  const groups = useRows<SecurityGroup>('security-groups', true, often);
  const floating = useRows<FloatingIP>('floating-ips', true, often);
  const { data: addresses } = useQuery({ ...addressGroupsQuery, refetchInterval: often });
  return networks && subnets && ports && routers && groups && floating && addresses
    ? { networks, subnets, ports, routers, groups, floating, addresses }
    : null;
}
