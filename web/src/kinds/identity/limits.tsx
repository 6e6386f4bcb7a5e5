import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description, Ref } from '../../resource/ref';
import { define, descriptionField, patch, post, removal, type Choice } from '../../resource/resource';
import { DashboardOutlined } from '../../ui/icons';
import { choicesOf, projectChoices } from '../choices';
import type { RegisteredLimit } from './registered-limits';
import { ServiceName } from './services';

interface Limit {
  id: string;
  project_id: string | null;
  domain_id: string | null;
  service_id: string;
  region_id: string | null;
  resource_name: string;
  resource_limit: number;
  description: string | null;
}

const registered = (signal: AbortSignal) => all<RegisteredLimit>('identity', '/registered_limits', 'registered_limits', signal);

/** What a limit can be of: of which service, and what. */
async function resources(): Promise<Choice[]> {
  const rows = await registered(new AbortController().signal);
  return rows.map((row) => ({ value: JSON.stringify({ service_id: row.service_id, resource_name: row.resource_name, ...(row.region_id !== null && { region_id: row.region_id }) }), label: row.resource_name }));
}

const chosen = (value: unknown): Record<string, string> => {
  try {
    return JSON.parse(String(value)) as Record<string, string>;
  } catch {
    return { resource_name: String(value) };
  }
};

/** How much a project or a domain may have of something. */
export default define<Limit>({
  kind: 'limits',
  icon: <DashboardOutlined />,
  list: (_, signal) => all('identity', '/limits', 'limits', signal),
  read: (id, signal) => one('identity', `/limits/${id}`, 'limit', signal),
  id: (row) => row.id,
  name: (row) => row.resource_name,
  columns: [
    { word: 'assignment.on', show: (row) => (row.project_id !== null ? <Ref kind="projects" id={row.project_id} /> : <Ref kind="domains" id={row.domain_id} />) },
    { word: 'limit.service', from: 'md', show: (row) => <ServiceName id={row.service_id} /> },
    { word: 'limit.limit', right: true, show: (row) => row.resource_limit },
    description(),
  ],
  create: [
    {
      key: 'limit-create',
      word: 'limit.create',
      fields: [
        { key: 'resource', label: 'limit.resource', kind: 'choice', required: true, options: resources },
        { key: 'project_id', label: 'thing.projects.one', kind: 'choice', options: projectChoices, when: (values) => values['domain_id'] == null },
        { key: 'domain_id', label: 'thing.domains.one', kind: 'choice', options: choicesOf('identity', '/domains', 'domains'), when: (values) => values['project_id'] == null },
        { key: 'resource_limit', label: 'limit.limit', kind: 'number', min: -1, required: true, hint: 'quota.changeHelp' },
        descriptionField(),
      ],
      call: ({ resource, ...limit }) => post('identity', '/limits', { limits: [{ ...chosen(resource), ...limit }] }),
    },
  ],
  actions: [
    { key: 'limit-edit', word: 'resource.edit', edits: true, fields: [{ key: 'resource_limit', label: 'limit.limit', kind: 'number', min: -1, required: true, hint: 'quota.changeHelp' }, descriptionField()], call: (limit, row) => patch('identity', `/limits/${row.id}`, { limit }) },
    removal('limit.deleteAsk', (row) => ['identity', `/limits/${row.id}`]),
  ],
});
