import { queryOptions } from '@tanstack/react-query';
import { all, ask, type Call } from './client';

export interface Address {
  addr: string;
  version: 4 | 6;
  'OS-EXT-IPS:type': 'fixed' | 'floating';
  'OS-EXT-IPS-MAC:mac_addr': string;
}

export interface Fault {
  code: number;
  message: string;
  details?: string;
  created: string;
}

export interface Server {
  id: string;
  name: string;
  status: string;
  created: string;
  updated: string;
  user_id: string;
  tenant_id: string;
  description: string | null;
  image: { id: string; properties: Record<string, string> } | '';
  flavor: { original_name: string; vcpus: number; ram: number; disk: number };
  addresses: Record<string, Address[]>;
  key_name: string | null;
  security_groups?: { name: string }[];
  fault?: Fault;
  progress?: number;
  metadata: Record<string, string>;
  tags?: string[];
  server_groups?: string[];
  locked?: boolean;
  locked_reason?: string | null;
  /** Whether its host is heard of: for operators. */
  host_status?: string;
  'OS-EXT-SRV-ATTR:hostname'?: string;
  'OS-EXT-STS:task_state': string | null;
  'OS-EXT-STS:vm_state': string;
  'OS-EXT-STS:power_state': number;
  'OS-EXT-AZ:availability_zone'?: string;
  'OS-SRV-USG:launched_at'?: string | null;
  'OS-EXT-SRV-ATTR:host'?: string | null;
  'os-extended-volumes:volumes_attached'?: { id: string; delete_on_termination: boolean }[];
}

export type ServerState = Pick<Server, 'status' | 'OS-EXT-STS:task_state'>;

const passing = new Set(['BUILD', 'REBUILD', 'REBOOT', 'HARD_REBOOT', 'RESIZE', 'MIGRATING', 'PASSWORD', 'REVERT_RESIZE']);

/** Whether a server is on its way to another state. */
export function transient(server: ServerState): boolean {
  return server['OS-EXT-STS:task_state'] !== null || passing.has(server.status);
}

export interface Flavor {
  id: string;
  name: string;
  vcpus: number;
  ram: number;
  disk: number;
  description: string | null;
}

export interface KeyPair {
  name: string;
  fingerprint: string;
  type: string;
  public_key: string;
}

/** How often to look again: quickly while something moves, calmly otherwise. */
export function pace(servers: Server[] | undefined): number {
  if (servers?.some(transient) !== true) {
    return 8_000;
  }
  return servers.length > 500 ? 4_000 : 1_500;
}

export const serversQuery = queryOptions({
  queryKey: ['servers'],
  queryFn: ({ signal }) => all<Server>('compute', '/servers/detail?limit=1000', 'servers', signal),
  refetchInterval: (query) => pace(query.state.data),
});

/** Those of all projects, for operators. */
export const allServersQuery = queryOptions({
  queryKey: ['servers', 'of all'],
  queryFn: ({ signal }) => all<Server>('compute', '/servers/detail?limit=1000&all_tenants=1&soft_deleted=1', 'servers', signal),
  refetchInterval: (query) => pace(query.state.data),
});

export const serverQuery = (id: string) =>
  queryOptions({
    queryKey: ['servers', id],
    queryFn: async ({ signal }) => (await ask<{ server: Server }>('compute', `/servers/${id}`, { signal })).server,
    refetchInterval: (query) => (query.state.error === null && query.state.data ? pace([query.state.data]) : false),
  });

export const flavorsQuery = queryOptions({
  queryKey: ['flavors'],
  queryFn: async ({ signal }) => {
    const flavors = await all<Flavor>('compute', '/flavors/detail', 'flavors', signal);
    return flavors.sort((a, b) => a.ram - b.ram || a.vcpus - b.vcpus || a.disk - b.disk);
  },
  staleTime: 60_000,
});

export const flavorChoices = async () =>
  (await all<Flavor>('compute', '/flavors/detail', 'flavors', new AbortController().signal)).map((flavor) => ({ value: flavor.id, label: flavor.name }));

export const imageChoices = async () =>
  (await all<{ id: string; name: string | null }>('image', '/images?status=active', 'images', new AbortController().signal)).map((image) => ({ value: image.id, label: image.name ?? image.id }));

export const keyPairsQuery = queryOptions({
  queryKey: ['keypairs'],
  queryFn: async ({ signal }) => {
    const pairs = await all<{ keypair: KeyPair }>('compute', '/os-keypairs', 'keypairs', signal);
    return pairs.map((p) => p.keypair);
  },
});

export type KeyType = 'ssh' | 'x509';

export const newKeyPair = (name: string, type: KeyType, publicKey: string): Call => ({
  service: 'compute',
  method: 'POST',
  path: '/os-keypairs',
  body: { keypair: { name, type, public_key: publicKey } },
});

export interface NewServer {
  name: string;
  imageRef?: string;
  flavorRef: string;
  networks: { uuid: string }[] | 'auto' | 'none';
  key_name?: string;
  security_groups?: { name: string }[];
  user_data?: string;
  availability_zone?: string;
  min_count?: number;
  max_count?: number;
  block_device_mapping_v2?: Record<string, unknown>[];
}

export const newServer = (server: NewServer, group?: string): Call => ({
  service: 'compute',
  method: 'POST',
  path: '/servers',
  body: { server, ...(group && { 'os:scheduler_hints': { group } }) },
  ...(group && { operands: { group } }),
});

export interface Zone {
  zoneName: string;
  zoneState: { available: boolean };
  /** By host and service: for operators. */
  hosts: Record<string, Record<string, { available: boolean; active: boolean }>> | null;
}

export const zones = async (signal: AbortSignal, detail = false) =>
  (await ask<{ availabilityZoneInfo: Zone[] }>('compute', detail ? '/os-availability-zone/detail' : '/os-availability-zone', { signal })).availabilityZoneInfo;

export type ConsoleKind = 'vnc' | 'spice' | 'serial';

const consoleTypes = { vnc: 'novnc', spice: 'spice-html5', serial: 'serial' };

export async function openConsole(id: string, kind: ConsoleKind): Promise<string> {
  const reply = await ask<{ remote_console: { url: string } }>('compute', `/servers/${id}/remote-consoles`, {
    method: 'POST',
    body: { remote_console: { protocol: kind, type: consoleTypes[kind] } },
  });
  return reply.remote_console.url;
}

/** Whether a guest has its screen in SPICE too. Its image said so: the one it was made of, or that of the volume it boots from. */
export const hasSpiceQuery = (server: Server | undefined) => {
  const image = server?.image;
  const root = server?.['os-extended-volumes:volumes_attached']?.[0]?.id;
  return queryOptions({
    queryKey: ['servers', server?.id, 'spice', image, root],
    enabled: server !== undefined && (image !== '' || root !== undefined),
    staleTime: Infinity,
    queryFn: async ({ signal }) => {
      let properties = image === '' ? undefined : image?.properties;
      if (properties === undefined) {
        const { volume } = await ask<{ volume: { volume_image_metadata?: Record<string, string> } }>('volume', `/volumes/${root}`, { signal });
        properties = volume.volume_image_metadata;
      }
      return properties?.['hw_video_model'] === 'qxl';
    },
  });
};

/** The last lines of what the guest wrote to its serial line. */
export async function readLog(id: string, lines: number, signal?: AbortSignal): Promise<string> {
  const reply = await ask<{ output: string }>('compute', `/servers/${id}/action`, {
    method: 'POST',
    body: { 'os-getConsoleOutput': { length: lines } },
    ...(signal && { signal }),
  });
  return reply.output;
}

export const logQuery = (id: string, lines: number, follow: boolean) =>
  queryOptions({
    queryKey: ['log', id, lines],
    queryFn: ({ signal }) => readLog(id, lines, signal),
    refetchInterval: (query) => (follow && query.state.error === null ? 3_000 : false),
    retry: false,
  });

export interface InstanceAction {
  action: string;
  request_id: string;
  start_time: string;
  updated_at?: string;
  message: string | null;
  user_id: string | null;
  instance_uuid: string;
}

export interface ActionEvent {
  event: string;
  start_time: string;
  finish_time: string | null;
  result: string | null;
  details?: string | null;
  traceback?: string | null;
}

export const actionsQuery = (id: string) =>
  queryOptions({
    queryKey: ['actions', id],
    queryFn: ({ signal }) => all<InstanceAction>('compute', `/servers/${id}/os-instance-actions`, 'instanceActions', signal, 200),
  });

export const actionQuery = (id: string, request: string) =>
  queryOptions({
    queryKey: ['actions', id, request],
    queryFn: async ({ signal }) =>
      (
        await ask<{ instanceAction: InstanceAction & { events?: ActionEvent[] } }>(
          'compute',
          `/servers/${id}/os-instance-actions/${request}`,
          { signal },
        )
      ).instanceAction,
  });

export interface Attachment {
  volumeId: string;
  serverId: string;
  device: string | null;
}

export const attachVolume = (server: string, volume: string) =>
  ask<void>('compute', `/servers/${server}/os-volume_attachments`, {
    method: 'POST',
    body: { volumeAttachment: { volumeId: volume } },
  });

export const detachVolume = (server: string, volume: string) =>
  ask<void>('compute', `/servers/${server}/os-volume_attachments/${volume}`, { method: 'DELETE' });

export interface ComputeLimits {
  maxTotalInstances: number;
  totalInstancesUsed: number;
  maxTotalCores: number;
  totalCoresUsed: number;
  maxTotalRAMSize: number;
  totalRAMUsed: number;
}

export const computeLimitsQuery = queryOptions({
  queryKey: ['limits', 'compute'],
  queryFn: async ({ signal }) =>
    (await ask<{ limits: { absolute: ComputeLimits } }>('compute', '/limits', { signal })).limits.absolute,
});

/** What a running guest did with what it has, since it was started. */
export interface Diagnostics {
  uptime: number;
  memory_details: { maximum: number; used: number | null };
  cpu_details: { id: number; time: number }[];
  disk_details: { read_bytes: number; write_bytes: number }[];
  nic_details: { mac_address: string; rx_octets: number; tx_octets: number; rx_drop: number; tx_drop: number }[];
}

export const diagnosticsQuery = (id: string) =>
  queryOptions({
    queryKey: ['diagnostics', id],
    queryFn: ({ signal }) => ask<Diagnostics>('compute', `/servers/${id}/diagnostics`, { signal }),
    refetchInterval: (query) => (query.state.error === null ? 5_000 : false),
    retry: false,
  });

export interface Topology {
  nodes: { memory_mb: number; vcpu_set: number[] | null }[];
}

export const topologyQuery = (id: string) =>
  queryOptions({ queryKey: ['topology-of', id], queryFn: ({ signal }) => ask<Topology>('compute', `/servers/${id}/topology`, { signal }) });
