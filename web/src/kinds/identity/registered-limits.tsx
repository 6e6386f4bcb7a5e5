import { all } from '../../api/client';
import { one } from '../../resource/query';
import { description } from '../../resource/ref';
import { define, descriptionField, patch, post, removal } from '../../resource/resource';
import { DashboardOutlined } from '../../ui/icons';
import { serviceChoices, ServiceName } from './services';

export interface RegisteredLimit {
  id: string;
  service_id: string;
  region_id: string | null;
  resource_name: string;
  default_limit: number;
  description: string | null;
}

/** What there is a limit of, and how much of it projects without a limit of their own may have. */
export default define<RegisteredLimit>({
  kind: 'registered-limits',
  icon: <DashboardOutlined />,
  list: (_, signal) => all('identity', '/registered_limits', 'registered_limits', signal),
  read: (id, signal) => one('identity', `/registered_limits/${id}`, 'registered_limit', signal),
  id: (row) => row.id,
  name: (row) => row.resource_name,
  columns: [
    { word: 'limit.service', show: (row) => <ServiceName id={row.service_id} /> },
    { word: 'limit.default', right: true, show: (row) => row.default_limit },
    description(),
  ],
  create: [
    {
      key: 'registered-limit-create',
      word: 'limit.register',
      fields: [
        { key: 'service_id', label: 'limit.service', kind: 'choice', required: true, options: serviceChoices },
        { key: 'resource_name', label: 'limit.resource', kind: 'text', required: true, max: 255, hint: 'limit.resourceHint' },
        { key: 'default_limit', label: 'limit.default', kind: 'number', min: -1, required: true, hint: 'quota.changeHelp' },
        descriptionField(),
      ],
      call: (limit) => post('identity', '/registered_limits', { registered_limits: [limit] }),
    },
  ],
  actions: [
    { key: 'registered-limit-edit', word: 'resource.edit', edits: true, fields: [{ key: 'default_limit', label: 'limit.default', kind: 'number', min: -1, required: true, hint: 'quota.changeHelp' }, descriptionField()], call: (registered_limit, row) => patch('identity', `/registered_limits/${row.id}`, { registered_limit }) },
    removal('limit.unregisterAsk', (row) => ['identity', `/registered_limits/${row.id}`]),
  ],
});
