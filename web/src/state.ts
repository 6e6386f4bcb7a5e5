// What a server's status means for the pages: how it is shown, whether it is
// on its way to another one, and which actions make sense.
import type { Action, Server } from './api/compute';

export type Tone = 'ok' | 'busy' | 'off' | 'warn' | 'bad';

const passing = new Set(['BUILD', 'REBUILD', 'REBOOT', 'HARD_REBOOT', 'RESIZE', 'MIGRATING', 'PASSWORD', 'REVERT_RESIZE']);

type State = Pick<Server, 'status' | 'OS-EXT-STS:task_state'>;

export function transient(server: State): boolean {
  return server['OS-EXT-STS:task_state'] !== null || passing.has(server.status);
}

export function tone(server: State): Tone {
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

export function allowed(server: State, action: Action): boolean {
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

export const addresses = (server: Server) =>
  Object.entries(server.addresses).flatMap(([network, list]) => list.map((address) => ({ network, ...address })));
