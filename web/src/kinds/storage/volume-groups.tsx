import { one } from '../../resource/query';
import { created, description } from '../../resource/ref';
import { all } from '../../api/client';
import type { Volume } from '../../api/volume';
import { define, descriptionField, label, nameField, post, put, type Scope, type Value } from '../../resource/resource';
import { passes, stateBy } from '../../resource/state';
import { GroupOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { listed } from './list';

interface Group {
  id: string;
  name: string | null;
  description: string | null;
  status: string;
  created_at: string;
  volume_types: string[];
}

/** The volumes that some test picks, by their names. */
const volumes = (picks: (volume: Volume, group: Group) => boolean) => async (_: Scope, row: Group) =>
  (await all<Volume>('volume', '/volumes/detail', 'volumes', new AbortController().signal)).filter((volume) => picks(volume, row)).map((volume) => ({ value: volume.id, label: label(volume) }));
const types = choicesOf('volume', '/types', 'volume_types');
const free = (row: Group) => row.status === 'available';
const listOf = (value: Value) => (Array.isArray(value) ? value.join(',') : value);

export default define<Group>({
  kind: 'volume-groups',
  icon: <GroupOutlined />,
  list: listed('/groups/detail', 'groups'),
  read: (id, signal) => one('volume', `/groups/${id}`, 'group', signal),
  id: (row) => row.id,
  name: label,
  state: (row) => stateBy(row.status),
  moves: (row) => passes(row.status),
  columns: [description(), created()],
  create: [
    {
      key: 'volume-group-create',
      word: 'volumeGroup.create',
      fields: [
        nameField(false),
        { key: 'group_type', label: 'volumeGroup.type', kind: 'choice', required: true, options: choicesOf('volume', '/group_types', 'group_types') },
        { key: 'volume_types', label: 'thing.volume-types.many', kind: 'choices', required: true, options: types },
        descriptionField(),
      ],
      call: (group) => post('volume', '/groups', { group }),
    },
  ],
  actions: [
    { key: 'volume-group-edit', word: 'resource.edit', edits: true, able: free, fields: [nameField(false), descriptionField()], call: (group, row) => put('volume', `/groups/${row.id}`, { group }) },
    {
      key: 'volume-group-volume',
      word: 'volume.create',
      able: free,
      fields: [
        nameField(),
        { key: 'size', label: 'field.size', kind: 'number', required: true, min: 1, unit: 'GiB', initial: 10 },
        { key: 'volume_type', label: 'field.type', kind: 'choice', required: true, options: async (_, row) => (await types()).filter(({ value }) => row.volume_types.includes(value)) },
      ],
      call: (volume, row) => post('volume', '/volumes', { volume: { ...volume, group_id: row.id } }),
    },
    {
      key: 'volume-group-add',
      word: 'volumeGroup.add',
      ask: 'volumeGroup.addAsk',
      able: free,
      fields: [{ key: 'add_volumes', label: 'thing.volumes.many', kind: 'choices', required: true, as: listOf, options: volumes((volume) => volume.group_id == null && ['available', 'in-use'].includes(volume.status)) }],
      call: (group, row) => put('volume', `/groups/${row.id}`, { group }),
    },
    {
      key: 'volume-group-remove',
      word: 'volumeGroup.remove',
      able: free,
      fields: [{ key: 'remove_volumes', label: 'thing.volumes.many', kind: 'choices', required: true, as: listOf, options: volumes((volume, group) => volume.group_id === group.id) }],
      call: (group, row) => put('volume', `/groups/${row.id}`, { group }),
    },
    { key: 'volume-group-snapshot', word: 'volumeGroup.snapshot', able: free, fields: [nameField(false), descriptionField()], call: (group_snapshot, row) => post('volume', '/group_snapshots', { group_snapshot: { ...group_snapshot, group_id: row.id } }) },
    {
      key: 'delete',
      word: 'resource.delete',
      danger: true,
      bulk: true,
      ask: 'volumeGroup.deleteAsk',
      fields: [{ key: 'delete-volumes', label: 'volumeGroup.volumesToo', kind: 'switch', initial: false }],
      call: (body, row) => post('volume', `/groups/${row.id}/action`, { delete: body }),
    },
  ],
});
