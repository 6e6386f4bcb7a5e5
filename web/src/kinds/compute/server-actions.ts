// What can be done with a server, in the order in which people look for it.
import { all, ask, type Call } from '../../api/client';
import { flavorChoices, imageChoices, type Server } from '../../api/compute';
import type { Start } from '../../resource/acts';
import { pairsText } from '../../resource/body';
import { del, descriptionField, label, nameField, offered, post, put, removal, type Action, type Scope, type Word } from '../../resource/resource';
import { allowed, type Action as Act } from '../../state';
import { literal } from '../choices';
import { networkChoices } from '../network/subnets';
import { volumeChoices } from '../storage/choices';
import { hostChoices, zoneChoices } from './choices';

const act = (row: Server, body: unknown) => post('compute', `/servers/${row.id}/action`, body);
const when = (action: Act) => (row: Server) => allowed(row, action);

/** An action without fields. */
const plain = (key: string, word: Word, body: unknown, able: (row: Server) => boolean, more: Partial<Action<Server>> = {}): Action<Server> => ({
  key: `server-${key}`,
  word,
  able,
  call: (_, row) => act(row, body),
  ...more,
});

/** The value of an action: null where nothing is said. */
const orNull = (body: Record<string, unknown>) => (Object.keys(body).length > 0 ? body : null);

const operators = (_: unknown, scope: Scope) => scope.operator;

/** How a deleted server is had back, where the cloud keeps it for a while: as soon as it is off. */
async function restoration(row: Server): Promise<Call | null> {
  for (;;) {
    try {
      const { server } = await ask<{ server: Server }>('compute', `/servers/${row.id}`);
      if (server.status === 'SOFT_DELETED') {
        return act(row, { restore: null });
      }
      if (server['OS-EXT-STS:task_state'] !== 'soft-deleting') {
        return null;
      }
    } catch {
      return null; // it is gone for good
    }
    await new Promise((again) => setTimeout(again, 500));
  }
}

const portsOf = async (_: Scope, row: Server) =>
  (await all<{ id: string; name: string; fixed_ips: { ip_address: string }[] }>('network', `/ports?device_id=${row.id}`, 'ports', new AbortController().signal)).map((port) => ({
    value: port.id,
    label: port.fixed_ips.map((ip) => ip.ip_address).join(', ') || label(port),
  }));

const volumesOf = async (_: Scope, row: Server) => {
  const volumes = await all<{ id: string; name: string; attachments: { server_id: string }[] }>('volume', '/volumes/detail', 'volumes', new AbortController().signal);
  return volumes.filter((volume) => volume.attachments.some((each) => each.server_id === row.id)).map((volume) => ({ value: volume.id, label: label(volume) }));
};

const power: Action<Server>[] = [
  plain('start', 'action.start', { 'os-start': null }, when('start'), { bulk: true }),
  plain('stop', 'action.stop', { 'os-stop': null }, when('stop'), { bulk: true, ask: 'confirm.stop' }),
  plain('reboot', 'action.reboot', { reboot: { type: 'SOFT' } }, when('reboot'), { bulk: true, ask: 'confirm.reboot' }),
  plain('hard-reboot', 'action.hardReboot', { reboot: { type: 'HARD' } }, when('hardReboot'), { bulk: true, ask: 'confirm.hardReboot' }),
  plain('pause', 'server.pause', { pause: null }, when('pause'), { bulk: true, ask: 'server.pauseAsk' }),
  plain('unpause', 'server.unpause', { unpause: null }, when('unpause'), { bulk: true }),
  plain('suspend', 'server.suspend', { suspend: null }, when('suspend'), { bulk: true, ask: 'server.suspendAsk' }),
  plain('resume', 'server.resume', { resume: null }, when('resume'), { bulk: true }),
  plain('shelve', 'server.shelve', { shelve: null }, when('shelve'), { bulk: true, ask: 'server.shelveAsk' }),
  plain('offload', 'server.offload', { shelveOffload: null }, when('offload'), { by: 'admin', bulk: true, ask: 'server.offloadAsk' }),
  plain('unshelve', 'server.unshelve', { unshelve: null }, when('unshelve'), { bulk: true }),
  {
    key: 'server-unshelve-to',
    word: 'server.unshelveTo',
    able: when('unshelveTo'),
    fields: [
      { key: 'availability_zone', label: 'field.zone', kind: 'choice', options: zoneChoices, hint: 'server.anyZone' },
      { key: 'host', label: 'field.host', kind: 'choice', options: () => hostChoices(), when: operators, hint: 'server.anyHost' },
    ],
    call: (where, row) => act(row, { unshelve: orNull(where) }),
  },
];

const repair: Action<Server>[] = [
  {
    key: 'server-rescue',
    word: 'server.rescue',
    ask: 'server.rescueAsk',
    able: when('rescue'),
    fields: [{ key: 'rescue_image_ref', label: 'field.image', kind: 'choice', options: imageChoices, hint: 'server.rescueImage' }],
    call: (rescue, row) => act(row, { rescue }),
    secret: (reply) => [{ word: 'account.password', text: (reply as { adminPass: string }).adminPass }],
    secretHelp: 'server.rescuePassword',
  },
  plain('unrescue', 'server.unrescue', { unrescue: null }, when('unrescue'), { ask: 'server.unrescueAsk' }),
  {
    key: 'server-rebuild',
    word: 'server.rebuild',
    ask: 'server.rebuildAsk',
    danger: true,
    able: when('rebuild'),
    fields: [{ key: 'imageRef', label: 'field.image', kind: 'choice', required: true, options: imageChoices }],
    call: (rebuild, row) => act(row, { rebuild }),
  },
  {
    key: 'server-password',
    word: 'server.password',
    ask: 'server.passwordAsk',
    able: when('password'),
    fields: [{ key: 'adminPass', label: 'account.password', kind: 'secret', required: true }],
    call: (changePassword, row) => act(row, { changePassword }),
  },
  plain('crash', 'server.crash', { trigger_crash_dump: null }, when('crash'), { danger: true, ask: 'server.crashAsk' }),
  {
    key: 'server-reset',
    word: 'server.reset',
    by: 'admin',
    ask: 'server.resetAsk',
    bulk: true,
    fields: [{ key: 'state', label: 'field.status', kind: 'choice', required: true, initial: 'active', options: literal('active', 'error'), words: { active: 'stateOf.active', error: 'stateOf.error' } }],
    call: (reset, row) => act(row, { 'os-resetState': reset }),
  },
  plain('inject-network', 'server.injectNetwork', { injectNetworkInfo: null }, (row) => !!row['OS-EXT-SRV-ATTR:host'], { by: 'admin', ask: 'server.injectNetworkAsk' }),
];

const copies: Action<Server>[] = [
  {
    key: 'server-image',
    word: 'server.image',
    ask: 'server.imageAsk',
    able: when('image'),
    fields: [nameField()],
    call: (createImage, row) => act(row, { createImage }),
  },
  {
    key: 'server-backup',
    word: 'server.backup',
    ask: 'server.backupAsk',
    able: (row) => row.image !== '' && allowed(row, 'image'),
    fields: [
      nameField(),
      { key: 'backup_type', label: 'field.type', kind: 'choice', required: true, initial: 'daily', options: literal('daily', 'weekly'), words: { daily: 'server.daily', weekly: 'server.weekly' } },
      { key: 'rotation', label: 'server.rotation', kind: 'number', required: true, min: 1, initial: 7, hint: 'server.rotationHint' },
    ],
    call: (createBackup, row) => act(row, { createBackup }),
  },
];

const moving: Action<Server>[] = [
  {
    key: 'server-resize',
    word: 'server.resize',
    ask: 'server.resizeAsk',
    able: when('resize'),
    fields: [{ key: 'flavorRef', label: 'field.flavor', kind: 'choice', required: true, options: flavorChoices }],
    call: (resize, row) => act(row, { resize }),
  },
  plain('confirm-resize', 'server.keepSize', { confirmResize: null }, when('settle'), { bulk: true, ask: 'server.keepSizeAsk' }),
  plain('revert-resize', 'server.revertSize', { revertResize: null }, when('settle'), { bulk: true, ask: 'server.revertSizeAsk' }),
  {
    key: 'server-migrate',
    word: 'server.migrate',
    by: 'manager',
    ask: 'server.migrateAsk',
    able: when('resize'),
    fields: [{ key: 'host', label: 'field.host', kind: 'choice', options: (_, row) => hostChoices(row['OS-EXT-SRV-ATTR:host']), when: operators, hint: 'server.anyHost' }],
    call: (where, row) => act(row, { migrate: orNull(where) }),
  },
  {
    key: 'server-live-migrate',
    word: 'server.liveMigrate',
    by: 'manager',
    ask: 'server.liveMigrateAsk',
    able: when('moveLive'),
    fields: [{ key: 'host', label: 'field.host', kind: 'choice', options: (_, row) => hostChoices(row['OS-EXT-SRV-ATTR:host']), when: operators, hint: 'server.anyHost' }],
    call: ({ host = null }, row) => act(row, { 'os-migrateLive': { host, block_migration: 'auto' } }),
  },
  {
    key: 'server-evacuate',
    word: 'server.evacuate',
    by: 'admin',
    danger: true,
    ask: 'server.evacuateAsk',
    // A host that is heard of has its servers.
    able: (row) => ['UNKNOWN', 'DOWN'].includes(row.host_status ?? '') && allowed(row, 'evacuate'),
    fields: [{ key: 'host', label: 'field.host', kind: 'choice', options: (_, row) => hostChoices(row['OS-EXT-SRV-ATTR:host']), hint: 'server.anyHost' }],
    call: (evacuate, row) => act(row, { evacuate }),
  },
];

const parts: Action<Server>[] = [
  {
    key: 'server-attach-volume',
    word: 'server.attachVolume',
    able: when('volumes'),
    fields: [{ key: 'volumeId', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumeChoices('available') }],
    call: (volumeAttachment, row) => post('compute', `/servers/${row.id}/os-volume_attachments`, { volumeAttachment }),
  },
  {
    key: 'server-detach-volume',
    word: 'server.detachVolume',
    ask: 'volume.detachText',
    able: (row) => allowed(row, 'volumes') && (row['os-extended-volumes:volumes_attached'] ?? []).length > 0,
    fields: [{ key: 'volume', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumesOf }],
    call: ({ volume }, row) => del('compute', `/servers/${row.id}/os-volume_attachments/${String(volume)}`),
  },
  {
    key: 'server-attach-interface',
    word: 'server.attachInterface',
    able: when('interfaces'),
    fields: [{ key: 'net_id', label: 'thing.networks.one', kind: 'choice', required: true, options: networkChoices }],
    call: (interfaceAttachment, row) => post('compute', `/servers/${row.id}/os-interface`, { interfaceAttachment }),
  },
  {
    key: 'server-detach-interface',
    word: 'server.detachInterface',
    ask: 'port.deleteAsk',
    able: when('interfaces'),
    fields: [{ key: 'port', label: 'thing.ports.one', kind: 'choice', required: true, options: portsOf }],
    call: ({ port }, row) => del('compute', `/servers/${row.id}/os-interface/${String(port)}`),
  },
];

const about: Action<Server>[] = [
  { key: 'server-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (server, row) => put('compute', `/servers/${row.id}`, { server }) },
  {
    key: 'server-tags',
    word: 'server.setTags',
    fields: [{ key: 'tags', label: 'image.tags', kind: 'lines', hint: 'image.tagsHint', initial: (row) => (row.tags ?? []).join('\n') }],
    call: ({ tags = [] }, row) => put('compute', `/servers/${row.id}/tags`, { tags }),
  },
  {
    key: 'server-metadata',
    word: 'server.setMetadata',
    fields: [{ key: 'metadata', label: 'field.metadata', kind: 'pairs', hint: 'resource.pairsHint', initial: (row) => pairsText(row.metadata) }],
    call: ({ metadata }, row) => put('compute', `/servers/${row.id}/metadata`, { metadata }),
  },
  {
    key: 'server-lock',
    word: 'server.lock',
    ask: 'server.lockAsk',
    bulk: true,
    able: (row) => row.locked !== true,
    fields: [{ key: 'locked_reason', label: 'service.reason', kind: 'text', max: 255 }],
    call: (why, row) => act(row, { lock: orNull(why) }),
  },
  plain('unlock', 'server.unlock', { unlock: null }, (row) => row.locked === true, { bulk: true }),
];

const ends: Action<Server>[] = [
  plain('restore', 'server.restore', { restore: null }, when('restore'), { bulk: true }),
  plain('force-delete', 'server.forceDelete', { forceDelete: null }, when('restore'), { bulk: true, danger: true, ask: 'server.forceDeleteAsk' }),
  { ...removal<Server>('confirm.delete', (row) => ['compute', `/servers/${row.id}`], when('delete')), undo: restoration },
];

// What the cloud does to a locked server for everybody who may change it.
const despiteLock = ['server-unlock', 'server-edit', 'server-tags'];

/** The same, but of a locked server for operators alone. */
const unlocked = (action: Action<Server>): Action<Server> =>
  despiteLock.includes(action.key) ? action : { ...action, able: (row, scope) => (row.locked !== true || scope.operator) && action.able?.(row, scope) !== false };

const sections = [power, repair, moving, copies, parts, about, ends].map((section) => section.map(unlocked));

export const serverActions: Action<Server>[] = sections.flat();

/** What can be done with it as it is, as items of a menu; what is not asked for stands elsewhere already. */
export function menuOf(server: Server, scope: Scope, t: (word: Word) => string, without: string[] = []) {
  const shown = sections
    .map((section) => offered(section, scope).filter((action) => action.able?.(server, scope) !== false && !without.includes(action.key)))
    .filter((section) => section.length > 0);
  return shown.flatMap((section, i) => [
    ...(i > 0 ? [{ type: 'divider' as const }] : []),
    ...section.map((action) => ({ key: action.key, label: t(action.word), danger: action.danger === true })),
  ]);
}

/** Starts what was chosen from a menu. */
export function startByKey(start: Start<Server>, key: string, server: Server) {
  const action = serverActions.find((each) => each.key === key);
  if (action !== undefined) {
    start(action, [server]);
  }
}
