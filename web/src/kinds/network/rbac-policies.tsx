import { code } from '../../resource/ref';
import { define, post, removal } from '../../resource/resource';
import { SafetyOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { listed } from './list';
import { networkChoices } from './subnets';

interface Policy {
  id: string;
  object_type: string;
  object_id: string;
  action: string;
  target_tenant: string;
  project_id: string;
}

/** What a project lets others use of its networks. */
export default define<Policy>({
  kind: 'rbac-policies',
  icon: <SafetyOutlined />,
  list: listed('/rbac-policies', 'rbac_policies'),
  id: (row) => row.id,
  name: (row) => `${row.object_type} ${row.object_id.slice(0, 8)}`,
  terms: (row) => [row.object_id, row.target_tenant],
  project: (row) => row.project_id,
  columns: [
    { word: 'field.actions', show: (row) => code(row.action) },
    { word: 'rbac.target', show: (row, { t }) => (row.target_tenant === '*' ? t('resource.allProjects') : code(row.target_tenant)) },
  ],
  create: [
    {
      key: 'rbac-create',
      word: 'rbac.create',
      fields: [
        { key: 'object_id', label: 'thing.networks.one', kind: 'choice', required: true, options: networkChoices },
        { key: 'action', label: 'rbac.action', kind: 'choice', required: true, initial: 'access_as_shared', options: literal('access_as_shared', 'access_as_external') },
        { key: 'target_tenant', label: 'rbac.target', kind: 'text', required: true, hint: 'image.memberHint' },
      ],
      call: (rbac_policy) => post('network', '/rbac-policies', { rbac_policy: { object_type: 'network', ...rbac_policy } }),
    },
  ],
  actions: [removal('rbac.deleteAsk', (row) => ['network', `/rbac-policies/${row.id}`])],
});
