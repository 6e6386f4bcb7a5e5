import type { SecurityGroup } from '../../api/network';
import { one } from '../../resource/query';
import { created, description } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { SafetyOutlined } from '../../ui/icons';
import { listed } from './list';
import rules from './rules';

export default define<SecurityGroup>({
  kind: 'security-groups',
  icon: <SafetyOutlined />,
  list: listed('/security-groups', 'security_groups'),
  read: (id, signal) => one('network', `/security-groups/${id}`, 'security_group', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row.project_id,
  columns: [description(), { word: 'thing.rules.many', right: true, sort: (row) => row.security_group_rules.length, show: (row) => row.security_group_rules.length }, created()],
  facts: [{ word: 'group.stateful', show: (row, { t }) => t(row.stateful === false ? 'no' : 'yes') }],
  create: [
    {
      key: 'group-create',
      word: 'group.create',
      fields: [nameField(), descriptionField(), { key: 'stateful', label: 'group.stateful', kind: 'switch', initial: true, hint: 'group.statefulHint' }],
      call: (security_group) => post('network', '/security-groups', { security_group }),
    },
  ],
  actions: [
    {
      key: 'group-edit',
      word: 'resource.edit',
      edits: true,
      fields: [nameField(), descriptionField()],
      able: (row) => row.name !== 'default',
      call: (security_group, row) => put('network', `/security-groups/${row.id}`, { security_group }),
    },
    removal('group.deleteAsk', (row) => ['network', `/security-groups/${row.id}`], (row) => row.name !== 'default'),
  ],
  Below: ({ row }) => <Rows resource={rules} where={(rule) => (rule as { security_group_id: string }).security_group_id === row.id} preset={{ security_group_id: row.id }} />,
});
