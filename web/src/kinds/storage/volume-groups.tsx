import { one } from '../../resource/query';
import { created, description } from '../../resource/ref';
import { define, descriptionField, label, nameField, post } from '../../resource/resource';
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
        { key: 'volume_types', label: 'thing.volume-types.many', kind: 'choices', required: true, options: choicesOf('volume', '/types', 'volume_types') },
        descriptionField(),
      ],
      call: (group) => post('volume', '/groups', { group }),
    },
  ],
  actions: [
    { key: 'volume-group-snapshot', word: 'volumeGroup.snapshot', fields: [nameField(false), descriptionField()], call: (group_snapshot, row) => post('volume', '/group_snapshots', { group_snapshot: { ...group_snapshot, group_id: row.id } }) },
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
