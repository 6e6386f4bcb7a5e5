import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description, Ref, tags } from '../../resource/ref';
import { define, del, descriptionField, nameField, patch, post, put, removal, type Action, type Field } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { ApartmentOutlined } from '../../ui/icons';
import { choicesOf, projectChoices } from '../choices';
import { Assignments } from './assigned';

interface Project {
  id: string;
  name: string;
  description: string;
  domain_id: string;
  parent_id: string;
  tags: string[];
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

const tagsField: Field<Project> = { key: 'tags', label: 'image.tags', kind: 'lines', hint: 'image.tagsHint' };

/** A project of the first level has its domain as parent. */
const parent = (row: Project) => (row.parent_id === row.domain_id ? null : <Ref kind="projects" id={row.parent_id} />);

const projects = define<Project>({
  kind: 'projects',
  icon: <ApartmentOutlined />,
  list: (_, signal) => all('identity', '/projects', 'projects', signal),
  read: (id, signal) => one('identity', `/projects/${id}`, 'project', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  terms: (row) => row.tags,
  state: (row) => stateBy(row.enabled ? 'enabled' : 'disabled'),
  columns: [
    { word: 'projectAdmin.parent', from: 'md', show: parent },
    { word: 'thing.domains.one', from: 'lg', show: (row) => <Ref kind="domains" id={row.domain_id} /> },
    { word: 'image.tags', from: 'lg', show: (row) => tags(row.tags) },
    description(),
  ],
  facts: [{ word: 'nav.quotas', show: (row) => <Quotas project={row.id} /> }],
  create: [
    {
      key: 'project-create',
      word: 'projectAdmin.create',
      fields: [
        { ...nameField(), max: 64 },
        descriptionField(),
        { key: 'parent_id', label: 'projectAdmin.parent', kind: 'choice', options: projectChoices, hint: 'projectAdmin.parentHint' },
        { key: 'domain_id', label: 'thing.domains.one', kind: 'choice', options: choicesOf('identity', '/domains', 'domains'), when: (values) => values['parent_id'] == null },
        tagsField,
      ],
      call: (project) => post('identity', '/projects', { project }),
    },
  ],
  actions: [
    { key: 'project-edit', word: 'resource.edit', edits: true, fields: [{ ...nameField(), max: 64 }, descriptionField(), tagsField, { key: 'enabled', label: 'service.enabled', kind: 'switch' }], call: (project, row) => patch('identity', `/projects/${row.id}`, { project }) },
    role('project-add-role', 'projectAdmin.addRole', put),
    role('project-remove-role', 'projectAdmin.removeRole', del),
    removal('projectAdmin.deleteAsk', (row) => ['identity', `/projects/${row.id}`]),
  ],
  Below: ({ row }) => (
    <>
      <Assignments on={{ 'scope.project.id': row.id, effective: '' }} />
      <Rows resource={projects} where={(other) => (other as Project).parent_id === row.id} preset={{ parent_id: row.id }} />
    </>
  ),
});

export default projects;

/** Where the quotas of a project are shown and changed. */
function Quotas({ project }: { project: string }) {
  const { t } = useTranslation();
  return (
    <Link to="/quotas" search={{ project }}>
      {t('projectAdmin.quotas')}
    </Link>
  );
}
