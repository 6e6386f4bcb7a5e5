import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description, Ref } from '../../resource/ref';
import { define, descriptionField, nameField, patch, post, removal, type Field } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { UserOutlined } from '../../ui/icons';
import { Moment } from '../../ui/time';
import { choicesOf, projectChoices } from '../choices';
import { Assignments } from './assigned';
import { GroupsOf } from './members';

export interface User {
  id: string;
  name: string;
  domain_id: string;
  default_project_id?: string;
  description?: string;
  email?: string;
  enabled: boolean;
  password_expires_at: string | null;
  options?: { multi_factor_auth_enabled?: boolean };
}

const about: Field<User>[] = [
  nameField(),
  { key: 'email', label: 'account.email', kind: 'text', max: 255 },
  descriptionField(),
  { key: 'default_project_id', label: 'account.defaultProject', kind: 'choice', options: projectChoices },
];

const needsFactor = (row: User) => row.options?.multi_factor_auth_enabled === true;

export default define<User>({
  kind: 'users',
  icon: <UserOutlined />,
  list: (_, signal) => all('identity', '/users', 'users', signal),
  read: (id, signal) => one('identity', `/users/${id}`, 'user', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  terms: (row) => [row.email],
  state: (row) => stateBy(row.enabled ? 'enabled' : 'disabled'),
  columns: [
    { word: 'account.email', from: 'md', show: (row) => row.email },
    { word: 'thing.domains.one', from: 'lg', show: (row) => <Ref kind="domains" id={row.domain_id} /> },
    { word: 'factor.short', from: 'lg', show: (row, { t }) => t(needsFactor(row) ? 'factor.needed' : 'factor.notNeeded') },
    description(),
  ],
  facts: [
    { word: 'account.defaultProject', show: (row) => <Ref kind="projects" id={row.default_project_id} /> },
    { word: 'account.passwordUntil', show: (row) => row.password_expires_at && <Moment time={row.password_expires_at} /> },
  ],
  create: [
    {
      key: 'user-create',
      word: 'account.create',
      fields: [...about, { key: 'domain_id', label: 'thing.domains.one', kind: 'choice', options: choicesOf('identity', '/domains', 'domains') }, { key: 'password', label: 'account.password', kind: 'secret', required: true }],
      call: (user) => post('identity', '/users', { user }),
    },
  ],
  actions: [
    { key: 'user-edit', word: 'resource.edit', edits: true, fields: [...about, { key: 'enabled', label: 'service.enabled', kind: 'switch' }], call: (user, row) => patch('identity', `/users/${row.id}`, { user }) },
    { key: 'user-password', word: 'account.newPassword', fields: [{ key: 'password', label: 'account.password', kind: 'secret', required: true }], call: (user, row) => patch('identity', `/users/${row.id}`, { user }) },
    {
      key: 'user-factor',
      word: 'factor.require',
      ask: 'factor.requireAsk',
      able: (row) => !needsFactor(row),
      call: (_, row) => patch('identity', `/users/${row.id}`, { user: { options: { multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'totp']] } } }),
    },
    {
      key: 'user-no-factor',
      word: 'factor.release',
      ask: 'factor.releaseAsk',
      able: needsFactor,
      call: (_, row) => patch('identity', `/users/${row.id}`, { user: { options: { multi_factor_auth_enabled: false } } }),
    },
    removal('account.deleteAsk', (row) => ['identity', `/users/${row.id}`]),
  ],
  Below: ({ row }) => (
    <>
      <GroupsOf user={row.id} />
      <Assignments on={{ 'user.id': row.id, effective: '' }} />
    </>
  ),
});
