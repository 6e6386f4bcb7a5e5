import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description, Ref } from '../../resource/ref';
import { define, del, descriptionField, nameField, patch, post, put, removal } from '../../resource/resource';
import { GroupOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { Assignments } from './assigned';
import { MembersOf } from './members';

interface Group {
  id: string;
  name: string;
  domain_id: string;
  description: string;
}

export default define<Group>({
  kind: 'groups',
  icon: <GroupOutlined />,
  list: (_, signal) => all('identity', '/groups', 'groups', signal),
  read: (id, signal) => one('identity', `/groups/${id}`, 'group', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [{ word: 'thing.domains.one', from: 'md', show: (row) => <Ref kind="domains" id={row.domain_id} /> }, description()],
  create: [
    {
      key: 'user-group-create',
      word: 'userGroup.create',
      fields: [nameField(), descriptionField(), { key: 'domain_id', label: 'thing.domains.one', kind: 'choice', options: choicesOf('identity', '/domains', 'domains') }],
      call: (group) => post('identity', '/groups', { group }),
    },
  ],
  actions: [
    { key: 'user-group-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (group, row) => patch('identity', `/groups/${row.id}`, { group }) },
    {
      key: 'user-group-add',
      word: 'userGroup.add',
      fields: [{ key: 'user', label: 'thing.users.one', kind: 'choice', required: true, options: choicesOf('identity', '/users', 'users') }],
      call: ({ user }, row) => put('identity', `/groups/${row.id}/users/${String(user)}`),
    },
    {
      key: 'user-group-remove',
      word: 'userGroup.remove',
      fields: [{ key: 'user', label: 'thing.users.one', kind: 'choice', required: true, options: (_, row) => choicesOf('identity', `/groups/${row.id}/users`, 'users')() }],
      call: ({ user }, row) => del('identity', `/groups/${row.id}/users/${String(user)}`),
    },
    removal('userGroup.deleteAsk', (row) => ['identity', `/groups/${row.id}`]),
  ],
  Below: ({ row }) => (
    <>
      <MembersOf group={row.id} />
      <Assignments on={{ 'group.id': row.id }} />
    </>
  ),
});
