import { all } from '../../api/client';
import { gibibytes, memory } from '../../format';
import { one } from '../../resource/query';
import { pairs } from '../../resource/pairs';
import { description } from '../../resource/ref';
import { define, del, descriptionField, nameField, post, put, removal, restricted, type Action } from '../../resource/resource';
import { DashboardOutlined } from '../../ui/icons';
import { keysOf, projectChoices } from '../choices';

interface Flavor {
  id: string;
  name: string;
  vcpus: number;
  ram: number;
  disk: number;
  'os-flavor-access:is_public': boolean;
  description: string | null;
  extra_specs?: Record<string, string>;
}

const access = (key: string, word: 'access.give' | 'access.take', body: string): Action<Flavor> => ({
  key,
  word,
  ask: 'access.help',
  operators: true,
  able: (row) => !row['os-flavor-access:is_public'],
  fields: [{ key: 'tenant', label: 'field.project', kind: 'choice', required: true, options: projectChoices }],
  call: (tenant, row) => post('compute', `/flavors/${row.id}/action`, { [body]: tenant }),
});

export default define<Flavor>({
  kind: 'flavors',
  icon: <DashboardOutlined />,
  list: (scope, signal) => all('compute', scope.operator ? '/flavors/detail?is_public=None' : '/flavors/detail', 'flavors', signal),
  read: (id, signal) => one('compute', `/flavors/${id}`, 'flavor', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'quota.cores', right: true, sort: (row) => row.vcpus, show: (row) => row.vcpus },
    { word: 'quota.ram', right: true, sort: (row) => row.ram, show: (row, { language }) => memory(row.ram, language) },
    { word: 'flavor.rootDisk', right: true, from: 'md', sort: (row) => row.disk, show: (row, { language }) => gibibytes(row.disk, language) },
    { word: 'access.public', from: 'md', show: (row, { t }) => t(row['os-flavor-access:is_public'] ? 'yes' : 'no') },
    { word: 'specs.many', from: 'lg', show: (row) => pairs(row.extra_specs) },
  ],
  facts: [description()],
  create: [
    {
      key: 'flavor-create',
      word: 'flavor.create',
      operators: true,
      fields: [
        nameField(),
        { key: 'vcpus', label: 'quota.cores', kind: 'number', required: true, min: 1, initial: 1 },
        { key: 'ram', label: 'quota.ram', kind: 'number', required: true, min: 1, unit: 'MiB', initial: 1024 },
        { key: 'disk', label: 'flavor.rootDisk', kind: 'number', required: true, min: 0, unit: 'GiB', initial: 10 },
        { key: 'os-flavor-access:is_public', label: 'access.public', kind: 'switch', initial: true, hint: 'access.publicHint' },
        descriptionField(),
      ],
      call: (flavor) => post('compute', '/flavors', { flavor }),
    },
  ],
  actions: [
    restricted<Flavor>({ key: 'flavor-edit', word: 'resource.edit', edits: true, fields: [descriptionField()], call: (flavor, row) => put('compute', `/flavors/${row.id}`, { flavor }) }),
    {
      key: 'flavor-specs',
      word: 'specs.set',
      operators: true,
      fields: [{ key: 'extra_specs', label: 'specs.many', kind: 'pairs', required: true, hint: 'resource.pairsHint' }],
      call: ({ extra_specs }, row) => post('compute', `/flavors/${row.id}/os-extra_specs`, { extra_specs }),
    },
    {
      key: 'flavor-unset',
      word: 'specs.unset',
      operators: true,
      able: (row) => keysOf(row.extra_specs).length > 0,
      fields: [{ key: 'key', label: 'specs.key', kind: 'choice', required: true, options: async (_, row) => keysOf(row.extra_specs) }],
      call: ({ key }, row) => del('compute', `/flavors/${row.id}/os-extra_specs/${encodeURIComponent(String(key))}`),
    },
    access('flavor-access', 'access.give', 'addTenantAccess'),
    access('flavor-no-access', 'access.take', 'removeTenantAccess'),
    restricted(removal<Flavor>('flavor.deleteAsk', (row) => ['compute', `/flavors/${row.id}`])),
  ],
});
