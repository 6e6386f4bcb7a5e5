import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description } from '../../resource/ref';
import { define, del, descriptionField, nameField, patch, post, put, removal, type Action } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { ApartmentOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';

interface Project {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
}

const role = (key: string, word: 'projectAdmin.addRole' | 'projectAdmin.removeRole', make: typeof put): Action<Project> => ({
  key,
  word,
  fields: [
    { key: 'user', label: 'thing.users.one', kind: 'choice', required: true, options: choicesOf('identity', '/users', 'users') },
    { key: 'role', label: 'projectAdmin.role', kind: 'choice', required: true, options: choicesOf('identity', '/roles', 'roles') },
  ],
  call: (chosen, row) => make('identity', `/projects/${row.id}/users/${String(chosen['user'])}/roles/${String(chosen['role'])}`),
});

export default define<Project>({
  kind: 'projects',
  icon: <ApartmentOutlined />,
  list: (_, signal) => all('identity', '/projects', 'projects', signal),
  read: (id, signal) => one('identity', `/projects/${id}`, 'project', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  state: (row) => stateBy(row.enabled ? 'enabled' : 'disabled'),
  columns: [description()],
  create: [{ key: 'project-create', word: 'projectAdmin.create', fields: [nameField(), descriptionField()], call: (project) => post('identity', '/projects', { project }) }],
  actions: [
    { key: 'project-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField(), { key: 'enabled', label: 'service.enabled', kind: 'switch' }], call: (project, row) => patch('identity', `/projects/${row.id}`, { project }) },
    role('project-add-role', 'projectAdmin.addRole', put),
    role('project-remove-role', 'projectAdmin.removeRole', del),
    removal('projectAdmin.deleteAsk', (row) => ['identity', `/projects/${row.id}`]),
  ],
});
