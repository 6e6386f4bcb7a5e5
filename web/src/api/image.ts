import { queryOptions } from '@tanstack/react-query';
import { all, ask, perform, send, type Call } from './client';

export interface Image {
  id: string;
  name: string | null;
  status: string;
  owner: string;
  protected: boolean;
  created_at: string;
  size: number | null;
  min_disk: number;
  min_ram: number;
  disk_format: string | null;
  visibility: string;
  tags: string[];
  checksum: string | null;
  os_hidden: boolean;
  os_distro?: string;
  os_version?: string;
  virtual_size?: number | null;
  os_glance_failed_import?: string;
}

// What an image only passes through on its way to being active.
const moving = new Set(['saving', 'uploading', 'importing']);

export const imageMoves = (image: Image) => moving.has(image.status);

/** Whether the last import of an image came to nothing. */
export const importFailed = (image: Image) => image.status === 'queued' && (image.os_glance_failed_import ?? '') !== '';

export const imagesQuery = queryOptions({
  queryKey: ['images'],
  queryFn: ({ signal }) => all<Image>('image', '/images?limit=200', 'images', signal),
  staleTime: 30_000,
  refetchInterval: (query) => (query.state.data?.some(imageMoves) === true ? 1_500 : false),
});

/** Why the last import failed. */
export const failureQuery = (id: string) =>
  queryOptions({
    queryKey: ['images', id, 'failure'],
    queryFn: async ({ signal }) => {
      const { tasks } = await ask<{ tasks: { status: string; message: string }[] }>('image', `/images/${id}/tasks`, { signal });
      return tasks.findLast((task) => task.status === 'failure')?.message ?? null;
    },
  });

export interface NewImage {
  name: string;
  disk_format: string;
}

/** The formats that an image can have, with the ends of file names that speak for them. */
export const formats: Record<string, string[]> = {
  qcow2: ['qcow2'],
  raw: ['raw', 'img'],
  iso: ['iso'],
  vmdk: ['vmdk'],
  vhd: ['vhd', 'vpc'],
  vhdx: ['vhdx'],
  vdi: ['vdi'],
};

/** Guesses the format by the name of a file or the path of a URL. */
export function formatOf(name: string): string | undefined {
  const end = /\.([a-z0-9]+)$/.exec(name.toLowerCase().replace(/[?#].*$/, ''))?.[1] ?? '';
  return Object.keys(formats).find((format) => formats[format]?.includes(end));
}

export const newImageCall = ({ name, disk_format }: NewImage): Call => ({
  service: 'image',
  method: 'POST',
  path: '/images',
  body: { name, disk_format, container_format: 'bare' },
});

const importCall = (id: string, uri: string): Call => ({
  service: 'image',
  method: 'POST',
  path: `/images/${id}/import`,
  body: { method: { name: 'web-download', uri } },
});

export const importCalls = (image: NewImage, uri: string) => [newImageCall(image), importCall('$ID', uri)];

const create = async (image: NewImage) => (await perform(newImageCall(image))) as Image;

export interface Member {
  member_id: string;
  status: string;
  created_at: string;
}

const patch = (id: string, body: unknown): Call => ({
  service: 'image',
  method: 'PATCH',
  path: `/images/${id}`,
  body,
  headers: { 'Content-Type': 'application/openstack-images-v2.1-json-patch' },
});

/** Sets properties of an image; what is null is left as it is. */
export const changeImage = (id: string, fields: Record<string, unknown>) =>
  patch(id, Object.entries(fields).map(([key, value]) => ({ op: 'replace', path: `/${key}`, value })));

export const deleteImage = (id: string) => ask<void>('image', `/images/${id}`, { method: 'DELETE' });

/** Makes an image of a file. When its bytes do not arrive, no image is left. */
export async function uploadImage(image: NewImage, file: File, sent: (part: number) => void, signal: AbortSignal): Promise<void> {
  const { id } = await create(image);
  try {
    await send('image', `/images/${id}/file`, file, sent, signal);
  } catch (error) {
    await deleteImage(id).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

/** Makes an image that the cloud fetches from a URL. When it will not, no image is left. */
export async function importImage(image: NewImage, uri: string): Promise<void> {
  const { id } = await create(image);
  try {
    await perform(importCall(id, uri));
  } catch (error) {
    await deleteImage(id).catch(() => undefined);
    throw error;
  }
}
