import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description } from '../../resource/ref';
import { define, descriptionField, nameField, patch, post, removal } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { GlobalOutlined } from '../../ui/icons';
import { Assignments } from './assigned';
import groups from './groups';
import users from './users';

interface Domain {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
}

export default define<Domain>({
  kind: 'domains',
  icon: <GlobalOutlined />,
  list: (_, signal) => all('identity', '/domains', 'domains', signal),
  read: (id, signal) => one('identity', `/domains/${id}`, 'domain', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  state: (row) => stateBy(row.enabled ? 'enabled' : 'disabled'),
  columns: [description()],
  create: [{ key: 'domain-create', word: 'domain.create', fields: [nameField(), descriptionField()], call: (domain) => post('identity', '/domains', { domain }) }],
  actions: [
    { key: 'domain-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField(), { key: 'enabled', label: 'service.enabled', kind: 'switch', hint: 'domain.enabledHint' }], call: (domain, row) => patch('identity', `/domains/${row.id}`, { domain }) },
    removal('domain.deleteAsk', (row) => ['identity', `/domains/${row.id}`], (row) => !row.enabled),
  ],
  Below: ({ row }) => (
    <>
      <Rows resource={users} where={(user) => (user as { domain_id: string }).domain_id === row.id} preset={{ domain_id: row.id }} />
      <Rows resource={groups} where={(group) => (group as { domain_id: string }).domain_id === row.id} preset={{ domain_id: row.id }} />
      <Assignments on={{ 'scope.domain.id': row.id }} />
    </>
  ),
});
