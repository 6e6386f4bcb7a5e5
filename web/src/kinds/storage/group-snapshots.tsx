import { one } from '../../resource/query';
import { created, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, removal } from '../../resource/resource';
import { passes, stateBy } from '../../resource/state';
import { CameraOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { listed } from './list';

interface GroupSnapshot {
  id: string;
  name: string | null;
  description: string | null;
  status: string;
  created_at: string;
  group_id: string;
}

export default define<GroupSnapshot>({
  kind: 'group-snapshots',
  icon: <CameraOutlined />,
  list: listed('/group_snapshots/detail', 'group_snapshots'),
  read: (id, signal) => one('volume', `/group_snapshots/${id}`, 'group_snapshot', signal),
  id: (row) => row.id,
  name: label,
  state: (row) => stateBy(row.status),
  moves: (row) => passes(row.status),
  columns: [{ word: 'thing.volume-groups.one', show: (row) => <Ref kind="volume-groups" id={row.group_id} /> }, description(), created()],
  create: [
    {
      key: 'group-snapshot-create',
      word: 'volumeGroup.snapshot',
      fields: [{ key: 'group_id', label: 'thing.volume-groups.one', kind: 'choice', required: true, options: choicesOf('volume', '/groups', 'groups') }, nameField(false), descriptionField()],
      call: (group_snapshot) => post('volume', '/group_snapshots', { group_snapshot }),
    },
  ],
  actions: [removal('snapshot.deleteAsk', (row) => ['volume', `/group_snapshots/${row.id}`])],
});
