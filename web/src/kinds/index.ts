// Every kind of resource that has pages. The code of a kind is loaded when one
// of its pages is opened.
import type { AnyResource } from '../resource/resource';

export const all = [
  'servers',
  'images',
  'keypairs',
  'server-groups',
  'networks',
  'subnets',
  'ports',
  'routers',
  'floating-ips',
  'security-groups',
  'rules',
  'volumes',
  'snapshots',
  'backups',
  'transfers',
  'containers',
  'hosts',
  'services',
  'aggregates',
] as const;

export type Kind = (typeof all)[number];

export const isKind = (text: string): text is Kind => (all as readonly string[]).includes(text);

const modules: Record<Kind, () => Promise<{ default: AnyResource }>> = {
  servers: () => import('./compute/servers'),
  images: () => import('./compute/images'),
  keypairs: () => import('./compute/keypairs'),
  'server-groups': () => import('./compute/server-groups'),
  networks: () => import('./network/networks'),
  subnets: () => import('./network/subnets'),
  ports: () => import('./network/ports'),
  routers: () => import('./network/routers'),
  'floating-ips': () => import('./network/floating-ips'),
  'security-groups': () => import('./network/security-groups'),
  rules: () => import('./network/rules'),
  volumes: () => import('./storage/volumes'),
  snapshots: () => import('./storage/snapshots'),
  backups: () => import('./storage/backups'),
  transfers: () => import('./storage/transfers'),
  containers: () => import('./storage/containers'),
  hosts: () => import('./operator/hosts'),
  services: () => import('./operator/services'),
  aggregates: () => import('./operator/aggregates'),
};

export const resourceOf = async (kind: Kind): Promise<AnyResource> => (await modules[kind]()).default;
