import { all } from '../../api/client';
import { pairs } from '../../resource/pairs';
import { one } from '../../resource/query';
import { description } from '../../resource/ref';
import { define, descriptionField, nameField, post, put, removal } from '../../resource/resource';
import { GroupOutlined } from '../../ui/icons';

interface GroupType {
  id: string;
  name: string;
  description: string | null;
  is_public: boolean;
  group_specs?: Record<string, string>;
}

/** What groups of volumes can do, as operators decide. */
export default define<GroupType>({
  kind: 'group-types',
  icon: <GroupOutlined />,
  list: (_, signal) => all('volume', '/group_types?is_public=None', 'group_types', signal),
  read: (id, signal) => one('volume', `/group_types/${id}`, 'group_type', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'access.public', show: (row, { t }) => t(row.is_public ? 'yes' : 'no') },
    { word: 'specs.many', from: 'md', show: (row) => pairs(row.group_specs) },
    description(),
  ],
  create: [
    {
      key: 'group-type-create',
      word: 'groupType.create',
      fields: [nameField(), descriptionField(), { key: 'is_public', label: 'access.public', kind: 'switch', initial: true, hint: 'access.publicHint' }],
      call: (group_type) => post('volume', '/group_types', { group_type }),
    },
  ],
  actions: [
    { key: 'group-type-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (group_type, row) => put('volume', `/group_types/${row.id}`, { group_type }) },
    {
      key: 'group-type-specs',
      word: 'specs.set',
      fields: [{ key: 'group_specs', label: 'specs.many', kind: 'pairs', required: true, hint: 'groupType.hint' }],
      call: ({ group_specs }, row) => post('volume', `/group_types/${row.id}/group_specs`, { group_specs }),
    },
    removal('groupType.deleteAsk', (row) => ['volume', `/group_types/${row.id}`]),
  ],
});
