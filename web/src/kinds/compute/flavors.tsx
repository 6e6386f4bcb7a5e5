import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { all, ask } from '../../api/client';
import { gibibytes, memory } from '../../format';
import { one, projectNamesQuery } from '../../resource/query';
import { pairs } from '../../resource/pairs';
import { description } from '../../resource/ref';
import { define, del, descriptionField, nameField, post, put, removal, restricted, type Action } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { DashboardOutlined } from '../../ui/icons';
import { Panel } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { keysOf, projectChoices } from '../choices';

interface Flavor {
  id: string;
  name: string;
  vcpus: number;
  ram: number;
  disk: number;
  'os-flavor-access:is_public': boolean;
  description: string | null;
  swap: number | '';
  'OS-FLV-EXT-DATA:ephemeral': number;
  extra_specs?: Record<string, string>;
}

const access = (key: string, word: 'access.give' | 'access.take', body: string): Action<Flavor> => ({
  key,
  word,
  ask: 'access.help',
  by: 'admin',
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
  facts: [
    { word: 'flavor.swap', show: (row, { language }) => row.swap !== '' && row.swap > 0 && memory(row.swap, language) },
    { word: 'flavor.ephemeral', show: (row, { language }) => row['OS-FLV-EXT-DATA:ephemeral'] > 0 && gibibytes(row['OS-FLV-EXT-DATA:ephemeral'], language) },
    description(),
  ],
  Below: Access,
  create: [
    {
      key: 'flavor-create',
      word: 'flavor.create',
      by: 'admin',
      fields: [
        nameField(),
        { key: 'vcpus', label: 'quota.cores', kind: 'number', required: true, min: 1, initial: 1 },
        { key: 'ram', label: 'quota.ram', kind: 'number', required: true, min: 1, unit: 'MiB', initial: 1024 },
        { key: 'disk', label: 'flavor.rootDisk', kind: 'number', required: true, min: 0, unit: 'GiB', initial: 10 },
        { key: 'swap', label: 'flavor.swap', kind: 'number', min: 0, unit: 'MiB' },
        { key: 'OS-FLV-EXT-DATA:ephemeral', label: 'flavor.ephemeral', kind: 'number', min: 0, unit: 'GiB' },
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
      by: 'admin',
      fields: [{ key: 'extra_specs', label: 'specs.many', kind: 'pairs', required: true, hint: 'resource.pairsHint' }],
      call: ({ extra_specs }, row) => post('compute', `/flavors/${row.id}/os-extra_specs`, { extra_specs }),
    },
    {
      key: 'flavor-unset',
      word: 'specs.unset',
      by: 'admin',
      able: (row) => keysOf(row.extra_specs).length > 0,
      fields: [{ key: 'key', label: 'specs.key', kind: 'choice', required: true, options: async (_, row) => keysOf(row.extra_specs) }],
      call: ({ key }, row) => del('compute', `/flavors/${row.id}/os-extra_specs/${encodeURIComponent(String(key))}`),
    },
    access('flavor-access', 'access.give', 'addTenantAccess'),
    access('flavor-no-access', 'access.take', 'removeTenantAccess'),
    restricted(removal<Flavor>('flavor.deleteAsk', (row) => ['compute', `/flavors/${row.id}`])),
  ],
});

/** The projects that may use a flavor which is not for all. */
function Access({ row }: { row: Flavor }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const asked = scope.operator && !row['os-flavor-access:is_public'];
  const { data: names } = useQuery({ ...projectNamesQuery, enabled: asked });
  const access = useQuery({
    queryKey: ['flavor-access', row.id],
    queryFn: async ({ signal }) => (await ask<{ flavor_access: { tenant_id: string }[] }>('compute', `/flavors/${row.id}/os-flavor-access`, { signal })).flavor_access,
    enabled: asked,
  });
  if (!asked) {
    return null;
  }
  return (
    <Panel title={t('access.many')}>
      {access.error && <Problem error={access.error} retry={() => void access.refetch()} />}
      {access.data?.length === 0 && <p className="muted">{t('access.nobody')}</p>}
      <ul className="steps">
        {access.data?.map(({ tenant_id }) => (
          <li key={tenant_id}>
            <span />
            {names?.get(tenant_id) ?? <span className="mono">{tenant_id}</span>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
