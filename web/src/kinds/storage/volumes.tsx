import { all } from '../../api/client';
import type { Image } from '../../api/image';
import { volumeMoves, type Snapshot, type Volume, type VolumeType } from '../../api/volume';
import { gibibytes } from '../../format';
import { one } from '../../resource/query';
import { created, description, Ref } from '../../resource/ref';
import { del, define, descriptionField, label, nameField, post, put, removal, type Field } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { toneOfVolume } from '../../state';
import { HddOutlined } from '../../ui/icons';
import backups from './backups';
import { listed } from './list';
import snapshots from './snapshots';

const signal = () => new AbortController().signal;
const named = (rows: { id: string; name?: string | null }[]) => rows.map((row) => ({ value: row.id, label: label(row) }));

const types = async () => named(await all<VolumeType>('volume', '/types', 'volume_types', signal()));
const size: Field<Volume> = { key: 'size', label: 'field.size', kind: 'number', required: true, min: 1, unit: 'GiB', initial: 10 };
const act = (row: Volume, body: unknown) => post('volume', `/volumes/${row.id}/action`, body);
const free = (row: Volume) => row.status === 'available';

export default define<Volume>({
  kind: 'volumes',
  icon: <HddOutlined />,
  list: listed('/volumes/detail', 'volumes'),
  read: (id, s) => one('volume', `/volumes/${id}`, 'volume', s),
  id: (row) => row.id,
  name: label,
  terms: (row) => [row.description, ...row.attachments.map((attachment) => attachment.server_id)],
  project: (row) => row['os-vol-tenant-attr:tenant_id'],
  state: (row) => ({ ...stateBy(row.status), tone: toneOfVolume(row.status) }),
  moves: volumeMoves,
  columns: [
    { word: 'field.size', right: true, sort: (row) => row.size, show: (row, { language }) => <span className="nums">{gibibytes(row.size, language)}</span> },
    {
      word: 'volume.attachedTo',
      show: (row) =>
        row.attachments.map((attachment) => (
          <div key={attachment.attachment_id}>
            <Ref kind="servers" id={attachment.server_id} /> <span className="mono muted">{attachment.device}</span>
          </div>
        )),
    },
    { word: 'field.type', from: 'lg', show: (row) => row.volume_type },
    created(),
  ],
  facts: [
    description(),
    { word: 'volume.bootable', show: (row, { t }) => t(row.bootable === 'true' ? 'yes' : 'no') },
    { word: 'field.metadata', show: (row) => Object.entries(row.metadata).map(([key, value]) => <div key={key} className="mono">{`${key}=${value}`}</div>) },
  ],
  create: [
    {
      key: 'volume-create',
      word: 'volume.create',
      fields: [
        nameField(),
        size,
        { key: 'volume_type', label: 'field.type', kind: 'choice', options: async () => (await types()).map(({ label: name }) => ({ value: name, label: name })), hint: 'volume.typeHint' },
        {
          key: 'imageRef',
          label: 'volume.fromImage',
          kind: 'choice',
          when: (values) => !values['snapshot_id'],
          options: async () => named(await all<Image>('image', '/images?status=active', 'images', signal())),
        },
        {
          key: 'snapshot_id',
          label: 'volume.fromSnapshot',
          kind: 'choice',
          when: (values) => !values['imageRef'],
          options: async () => named(await all<Snapshot>('volume', '/snapshots?status=available', 'snapshots', signal())),
        },
        descriptionField(),
      ],
      call: (volume) => post('volume', '/volumes', { volume }),
    },
  ],
  actions: [
    { key: 'volume-edit', word: 'resource.edit', edits: true, fields: [nameField(false), descriptionField(), { key: 'metadata', label: 'field.metadata', kind: 'pairs', hint: 'resource.pairsHint' }], call: (volume, row) => put('volume', `/volumes/${row.id}`, { volume }) },
    {
      key: 'volume-attach',
      word: 'volume.attach',
      able: (row) => free(row) || (row.multiattach === true && row.status === 'in-use'),
      fields: [{ key: 'server', label: 'volume.server', kind: 'choice', required: true, options: async () => named(await all<{ id: string; name: string }>('compute', '/servers', 'servers', signal())) }],
      call: ({ server }, row) => post('compute', `/servers/${String(server)}/os-volume_attachments`, { volumeAttachment: { volumeId: row.id } }),
    },
    {
      key: 'volume-detach',
      word: 'volume.detach',
      ask: 'volume.detachText',
      able: (row) => row.attachments.length > 0 && row.status === 'in-use',
      fields: [
        {
          key: 'server',
          label: 'volume.attachedTo',
          kind: 'choice',
          required: true,
          initial: (row) => row.attachments[0]?.server_id,
          options: async (_, row) => {
            const servers = await all<{ id: string; name: string }>('compute', '/servers', 'servers', signal());
            return row.attachments.map(({ server_id }) => ({ value: server_id, label: servers.find((server) => server.id === server_id)?.name ?? server_id }));
          },
        },
      ],
      call: ({ server }, row) => del('compute', `/servers/${String(server)}/os-volume_attachments/${row.id}`),
    },
    {
      key: 'volume-snapshot',
      word: 'volume.snapshot',
      bulk: true,
      able: (row) => free(row) || row.status === 'in-use',
      fields: [nameField(false), descriptionField()],
      call: (snapshot, row) => post('volume', '/snapshots', { snapshot: { ...snapshot, volume_id: row.id, ...(!free(row) && { force: true }) } }),
    },
    {
      key: 'volume-backup',
      word: 'volume.backup',
      bulk: true,
      able: (row) => free(row) || row.status === 'in-use',
      fields: [nameField(false), { key: 'incremental', label: 'backup.incremental', kind: 'switch', hint: 'backup.incrementalHint', initial: false }, descriptionField()],
      call: (backup, row) => post('volume', '/backups', { backup: { ...backup, volume_id: row.id, ...(!free(row) && { force: true }) } }),
    },
    {
      key: 'volume-extend',
      word: 'volume.extend',
      able: (row) => free(row) || row.status === 'in-use',
      fields: [{ key: 'new_size', label: 'volume.newSize', kind: 'number', required: true, min: 1, unit: 'GiB', initial: (row) => row.size + 1 }],
      call: (extend, row) => act(row, { 'os-extend': extend }),
    },
    {
      key: 'volume-retype',
      word: 'volume.retype',
      fields: [
        { key: 'new_type', label: 'field.type', kind: 'choice', required: true, options: async () => (await types()).map(({ label: name }) => ({ value: name, label: name })) },
        { key: 'migration_policy', label: 'volume.policy', kind: 'choice', required: true, initial: 'never', options: ['never', 'on-demand'].map((value) => ({ value, label: value })) },
      ],
      call: (retype, row) => act(row, { 'os-retype': retype }),
    },
    {
      key: 'volume-transfer',
      word: 'transfer.create',
      able: free,
      ask: 'transfer.help',
      fields: [nameField(false)],
      call: (transfer, row) => post('volume', '/volume-transfers', { transfer: { ...transfer, volume_id: row.id } }),
      secret: transferSecret,
    },
    removal('volume.deleteText', (row) => ['volume', `/volumes/${row.id}`], (row) => row.attachments.length === 0 && !volumeMoves(row)),
  ],
  Below: ({ row }) => (
    <>
      <Rows resource={snapshots} where={(snapshot) => (snapshot as Snapshot).volume_id === row.id} preset={{ volume_id: row.id }} />
      <Rows resource={backups} where={(backup) => (backup as { volume_id: string }).volume_id === row.id} preset={{ volume_id: row.id }} />
    </>
  ),
});

/** What the receiver of a volume must be told; the key is never shown again. */
export function transferSecret(reply: unknown) {
  const { transfer } = reply as { transfer: { id: string; auth_key: string } };
  return [
    { word: 'transfer.id' as const, text: transfer.id },
    { word: 'transfer.key' as const, text: transfer.auth_key },
  ];
}
