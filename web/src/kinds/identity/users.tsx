import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description } from '../../resource/ref';
import { define, descriptionField, nameField, patch, post, removal, type Field } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { UserOutlined } from '../../ui/icons';

interface User {
  id: string;
  name: string;
  description?: string;
  email?: string;
  enabled: boolean;
}

const about: Field<User>[] = [nameField(), { key: 'email', label: 'account.email', kind: 'text', max: 255 }, descriptionField()];

export default define<User>({
  kind: 'users',
  icon: <UserOutlined />,
  list: (_, signal) => all('identity', '/users', 'users', signal),
  read: (id, signal) => one('identity', `/users/${id}`, 'user', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  terms: (row) => [row.email],
  state: (row) => stateBy(row.enabled ? 'enabled' : 'disabled'),
  columns: [{ word: 'account.email', show: (row) => row.email }, description()],
  create: [{ key: 'user-create', word: 'account.create', fields: [...about, { key: 'password', label: 'account.password', kind: 'secret', required: true }], call: (user) => post('identity', '/users', { user }) }],
  actions: [
    { key: 'user-edit', word: 'resource.edit', edits: true, fields: [...about, { key: 'enabled', label: 'service.enabled', kind: 'switch' }], call: (user, row) => patch('identity', `/users/${row.id}`, { user }) },
    { key: 'user-password', word: 'account.newPassword', fields: [{ key: 'password', label: 'account.password', kind: 'secret', required: true }], call: (user, row) => patch('identity', `/users/${row.id}`, { user }) },
    removal('account.deleteAsk', (row) => ['identity', `/users/${row.id}`]),
  ],
});
