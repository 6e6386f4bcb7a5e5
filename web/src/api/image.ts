import { queryOptions } from '@tanstack/react-query';
import { all } from './client';

export interface Image {
  id: string;
  name: string | null;
  status: string;
  size: number | null;
  min_disk: number;
  min_ram: number;
  disk_format: string | null;
  visibility: string;
  os_distro?: string;
  os_version?: string;
  virtual_size?: number | null;
}

export const imagesQuery = queryOptions({
  queryKey: ['images'],
  queryFn: ({ signal }) => all<Image>('image', '/images?limit=200', 'images', signal),
  staleTime: 30_000,
});
