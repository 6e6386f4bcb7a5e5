// What a status means for the pages: how it is shown, and which actions make
// sense.
import { importFailed, type Image } from './api/image';
import { transient, type Action, type Server, type ServerState } from './api/compute';

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

export function allowed(server: ServerState, action: Action): boolean {
  if (action === 'delete') {
    return server['OS-EXT-STS:task_state'] !== 'deleting' && server.status !== 'DELETED';
  }
  if (server['OS-EXT-STS:task_state'] !== null) {
    return false;
  }
  switch (action) {
    case 'start':
      return server.status === 'SHUTOFF';
    case 'stop':
      return server.status === 'ACTIVE';
    case 'reboot':
      return server.status === 'ACTIVE';
    case 'hardReboot':
      return server.status === 'ACTIVE' || server.status === 'SHUTOFF' || server.status === 'ERROR';
  }
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
