import { queryOptions } from '@tanstack/react-query';
import { all, ask } from './client';

export interface Volume {
  id: string;
  name: string | null;
  description: string | null;
  status: string;
  size: number;
  bootable: string;
  multiattach?: boolean;
  created_at: string;
  volume_type: string | null;
  metadata: Record<string, string>;
  group_id?: string | null;
  attachments: { server_id: string; device: string | null; attachment_id: string }[];
  'os-vol-tenant-attr:tenant_id'?: string;
}

export interface Snapshot {
  id: string;
  name: string | null;
  description: string | null;
  status: string;
  size: number;
  volume_id: string;
  created_at: string;
  'os-extended-snapshot-attributes:project_id'?: string;
}

export interface Backup {
  id: string;
  name: string | null;
  description: string | null;
  status: string;
  size: number;
  volume_id: string;
  created_at: string;
  is_incremental: boolean;
  has_dependent_backups?: boolean;
  fail_reason: string | null;
  'os-backup-project-attr:project_id'?: string;
}

export interface Transfer {
  id: string;
  name: string | null;
  volume_id: string;
  created_at: string;
}

// What a volume only passes through on its way to another state.
const moving = new Set(['creating', 'downloading', 'attaching', 'reserved', 'detaching', 'deleting', 'extending', 'uploading', 'retyping', 'backing-up', 'restoring-backup']);

export const volumeMoves = (volume: Volume) => moving.has(volume.status);

export const volumesQuery = queryOptions({
  queryKey: ['volumes'],
  queryFn: ({ signal }) => all<Volume>('volume', '/volumes/detail', 'volumes', signal),
  refetchInterval: (query) => (query.state.data?.some(volumeMoves) === true ? 1_500 : 10_000),
});

export interface VolumeType {
  id: string;
  name: string;
}

export const volumeTypesQuery = queryOptions({
  queryKey: ['volume-types'],
  queryFn: ({ signal }) => all<VolumeType>('volume', '/types', 'volume_types', signal),
  staleTime: 60_000,
});

export interface NewVolume {
  name: string;
  size: number;
  volume_type?: string;
  description?: string;
}

export const createVolume = (volume: NewVolume) =>
  ask<{ volume: Volume }>('volume', '/volumes', { method: 'POST', body: { volume } });

export const deleteVolume = (id: string) => ask<void>('volume', `/volumes/${id}`, { method: 'DELETE' });

export interface VolumeLimits {
  maxTotalVolumes: number;
  totalVolumesUsed: number;
  maxTotalVolumeGigabytes: number;
  totalGigabytesUsed: number;
}

export const volumeLimitsQuery = queryOptions({
  queryKey: ['limits', 'volume'],
  queryFn: async ({ signal }) =>
    (await ask<{ limits: { absolute: VolumeLimits } }>('volume', '/limits', { signal })).limits.absolute,
});
