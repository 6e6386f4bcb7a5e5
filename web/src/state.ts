// What a status means for the pages: how it is shown, and which actions make
// sense.
import { importFailed, type Image } from './api/image';
import { transient, type Server, type ServerState } from './api/compute';

export type Tone = 'ok' | 'busy' | 'off' | 'warn' | 'bad';

export function tone(server: ServerState): Tone {
  if (server.status === 'ERROR') {
    return 'bad';
  }
  if (transient(server)) {
    return 'busy';
  }
  switch (server.status) {
    case 'ACTIVE':
      return 'ok';
    case 'SHUTOFF':
    case 'SHELVED':
    case 'SHELVED_OFFLOADED':
    case 'DELETED':
    case 'SOFT_DELETED':
      return 'off';
    default:
      return 'warn';
  }
}

// In which states the cloud takes what is asked about a server.
const states = {
  start: ['SHUTOFF'],
  stop: ['ACTIVE', 'ERROR'],
  reboot: ['ACTIVE'],
  hardReboot: ['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED', 'ERROR'],
  pause: ['ACTIVE'],
  unpause: ['PAUSED'],
  suspend: ['ACTIVE'],
  resume: ['SUSPENDED'],
  rescue: ['ACTIVE', 'SHUTOFF', 'ERROR'],
  unrescue: ['RESCUE'],
  shelve: ['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED'],
  offload: ['SHELVED'],
  unshelve: ['SHELVED', 'SHELVED_OFFLOADED'],
  unshelveTo: ['SHELVED_OFFLOADED'],
  image: ['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED'],
  resize: ['ACTIVE', 'SHUTOFF'],
  moveLive: ['ACTIVE', 'PAUSED'],
  settle: ['VERIFY_RESIZE'],
  rebuild: ['ACTIVE', 'SHUTOFF', 'ERROR'],
  password: ['ACTIVE'],
  volumes: ['ACTIVE', 'SHUTOFF', 'SHELVED', 'SHELVED_OFFLOADED'],
  interfaces: ['ACTIVE', 'SHUTOFF'],
  restore: ['SOFT_DELETED'],
  // These may end what hangs: whatever is being done, they are taken.
  crash: ['ACTIVE', 'PAUSED', 'RESCUE', 'VERIFY_RESIZE', 'ERROR'],
  evacuate: ['ACTIVE', 'SHUTOFF', 'ERROR'],
} as const;

const anyTask: readonly string[] = ['crash', 'evacuate'];

export type Action = keyof typeof states | 'delete';

export function allowed(server: ServerState, action: Action): boolean {
  const task = server['OS-EXT-STS:task_state'];
  if (action === 'delete') {
    return task !== 'deleting' && server.status !== 'DELETED' && server.status !== 'SOFT_DELETED';
  }
  return (task === null || (anyTask.includes(action) && task !== 'deleting')) && (states[action] as readonly string[]).includes(server.status);
}

export function toneOfVolume(status: string): Tone {
  if (status.startsWith('error')) {
    return 'bad';
  }
  switch (status) {
    case 'available':
      return 'off';
    case 'in-use':
      return 'ok';
    case 'maintenance':
    case 'awaiting-transfer':
      return 'warn';
    default:
      return 'busy';
  }
}

export function toneOfImage(image: Image): Tone {
  if (importFailed(image)) {
    return 'bad';
  }
  switch (image.status) {
    case 'active':
      return 'ok';
    case 'queued':
      return 'off';
    case 'deactivated':
      return 'warn';
    default:
      return 'busy';
  }
}

export const addresses = (server: Server) =>
  Object.entries(server.addresses).flatMap(([network, list]) => list.map((address) => ({ network, ...address })));
