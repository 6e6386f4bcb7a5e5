// What can be done with a server, in the order in which people look for it.
import { all } from '../../api/client';
import { flavorChoices, imageChoices, type Server } from '../../api/compute';
import type { Start } from '../../resource/acts';
import { label, nameField, post, put, descriptionField, removal, del, type Action, type Scope, type Word } from '../../resource/resource';
import { allowed } from '../../state';
import { networkChoices } from '../network/subnets';
import { volumeChoices } from '../storage/choices';

const act = (row: Server, body: unknown) => post('compute', `/servers/${row.id}/action`, body);
const settled = (row: Server, ...states: string[]) => row['OS-EXT-STS:task_state'] === null && states.includes(row.status);

/** An action without fields. */
const plain = (key: string, word: Word, body: unknown, able: (row: Server) => boolean, more: Partial<Action<Server>> = {}): Action<Server> => ({
  key: `server-${key}`,
  word,
  able,
  call: (_, row) => act(row, body),
  ...more,
});

const portsOf = async (_: Scope, row: Server) =>
  (await all<{ id: string; name: string; fixed_ips: { ip_address: string }[] }>('network', `/ports?device_id=${row.id}`, 'ports', new AbortController().signal)).map((port) => ({
    value: port.id,
    label: port.fixed_ips.map((ip) => ip.ip_address).join(', ') || label(port),
  }));

const volumesOf = async (_: Scope, row: Server) => {
  const volumes = await all<{ id: string; name: string; attachments: { server_id: string }[] }>('volume', '/volumes/detail', 'volumes', new AbortController().signal);
  return volumes.filter((volume) => volume.attachments.some((each) => each.server_id === row.id)).map((volume) => ({ value: volume.id, label: label(volume) }));
};

const running = ['ACTIVE', 'SHUTOFF', 'PAUSED'];

export const serverActions: Action<Server>[] = [
  plain('start', 'action.start', { 'os-start': null }, (row) => allowed(row, 'start'), { bulk: true }),
  plain('stop', 'action.stop', { 'os-stop': null }, (row) => allowed(row, 'stop'), { bulk: true, ask: 'confirm.stop' }),
  plain('reboot', 'action.reboot', { reboot: { type: 'SOFT' } }, (row) => allowed(row, 'reboot'), { bulk: true, ask: 'confirm.reboot' }),
  plain('hard-reboot', 'action.hardReboot', { reboot: { type: 'HARD' } }, (row) => allowed(row, 'hardReboot'), { ask: 'confirm.hardReboot' }),
  plain('pause', 'server.pause', { pause: null }, (row) => settled(row, 'ACTIVE'), { ask: 'server.pauseAsk' }),
  plain('unpause', 'server.unpause', { unpause: null }, (row) => settled(row, 'PAUSED')),
  plain('suspend', 'server.suspend', { suspend: null }, (row) => settled(row, 'ACTIVE'), { ask: 'server.suspendAsk' }),
  plain('resume', 'server.resume', { resume: null }, (row) => settled(row, 'SUSPENDED')),
  plain('lock', 'server.lock', { lock: null }, (row) => row.locked !== true, { ask: 'server.lockAsk' }),
  plain('unlock', 'server.unlock', { unlock: null }, (row) => row.locked === true),
  { key: 'server-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (server, row) => put('compute', `/servers/${row.id}`, { server }) },
  {
    key: 'server-image',
    word: 'server.image',
    ask: 'server.imageAsk',
    able: (row) => settled(row, ...running, 'SUSPENDED'),
    fields: [nameField()],
    call: (createImage, row) => act(row, { createImage }),
  },
  {
    key: 'server-resize',
    word: 'server.resize',
    ask: 'server.resizeAsk',
    able: (row) => settled(row, 'ACTIVE', 'SHUTOFF'),
    fields: [{ key: 'flavorRef', label: 'field.flavor', kind: 'choice', required: true, options: flavorChoices }],
    call: (resize, row) => act(row, { resize }),
  },
  plain('confirm-resize', 'server.keepSize', { confirmResize: null }, (row) => settled(row, 'VERIFY_RESIZE'), { ask: 'server.keepSizeAsk' }),
  plain('revert-resize', 'server.revertSize', { revertResize: null }, (row) => settled(row, 'VERIFY_RESIZE'), { ask: 'server.revertSizeAsk' }),
  {
    key: 'server-rebuild',
    word: 'server.rebuild',
    ask: 'server.rebuildAsk',
    danger: true,
    able: (row) => settled(row, 'ACTIVE', 'SHUTOFF', 'ERROR'),
    fields: [{ key: 'imageRef', label: 'field.image', kind: 'choice', required: true, options: imageChoices }],
    call: (rebuild, row) => act(row, { rebuild }),
  },
  {
    key: 'server-attach-volume',
    word: 'server.attachVolume',
    able: (row) => settled(row, ...running),
    fields: [{ key: 'volumeId', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumeChoices('available') }],
    call: (volumeAttachment, row) => post('compute', `/servers/${row.id}/os-volume_attachments`, { volumeAttachment }),
  },
  {
    key: 'server-detach-volume',
    word: 'server.detachVolume',
    ask: 'volume.detachText',
    able: (row) => settled(row, ...running) && (row['os-extended-volumes:volumes_attached'] ?? []).length > 0,
    fields: [{ key: 'volume', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumesOf }],
    call: ({ volume }, row) => del('compute', `/servers/${row.id}/os-volume_attachments/${String(volume)}`),
  },
  {
    key: 'server-attach-interface',
    word: 'server.attachInterface',
    able: (row) => settled(row, ...running),
    fields: [{ key: 'net_id', label: 'thing.networks.one', kind: 'choice', required: true, options: networkChoices }],
    call: (interfaceAttachment, row) => post('compute', `/servers/${row.id}/os-interface`, { interfaceAttachment }),
  },
  {
    key: 'server-detach-interface',
    word: 'server.detachInterface',
    ask: 'port.deleteAsk',
    able: (row) => settled(row, ...running),
    fields: [{ key: 'port', label: 'thing.ports.one', kind: 'choice', required: true, options: portsOf }],
    call: ({ port }, row) => del('compute', `/servers/${row.id}/os-interface/${String(port)}`),
  },
  removal('confirm.delete', (row) => ['compute', `/servers/${row.id}`], (row) => allowed(row, 'delete')),
];

/** What can be done with it as it is: a menu of all would be long. */
export const possible = (server: Server, scope: Scope) => serverActions.filter((action) => action.able?.(server, scope) !== false);

/** Starts what was chosen from a menu. */
export function startByKey(start: Start<Server>, key: string, server: Server) {
  const action = serverActions.find((each) => each.key === key);
  if (action !== undefined) {
    start(action, [server]);
  }
}
