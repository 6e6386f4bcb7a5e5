import { code } from '../../resource/ref';
import { define, post, removal, type Choice, type Field, type Scope, type Word } from '../../resource/resource';
import { SafetyOutlined } from '../../ui/icons';
import { choicesOf, literal } from '../choices';
import { listed } from './list';

interface Policy {
  id: string;
  object_type: string;
  object_id: string;
  action: string;
  target_tenant: string;
  project_id: string;
}

/** One's own; operators share everybody's. */
const own = (path: string, collection: string) => (scope: Scope) => choicesOf('network', scope.operator ? path : `${path}?project_id=${scope.project.id}`, collection)();

/** What can be shared, and how it is chosen. */
const shareable: { type: string; word: Word; options: (scope: Scope) => Promise<Choice[]> }[] = [
  { type: 'network', word: 'thing.networks.one', options: own('/networks', 'networks') },
  { type: 'security_group', word: 'thing.security-groups.one', options: own('/security-groups', 'security_groups') },
  { type: 'address_group', word: 'thing.address-groups.one', options: own('/address-groups', 'address_groups') },
  { type: 'address_scope', word: 'thing.address-scopes.one', options: own('/address-scopes', 'address_scopes') },
  { type: 'subnetpool', word: 'thing.subnet-pools.one', options: own('/subnetpools', 'subnetpools') },
  { type: 'qos_policy', word: 'thing.qos-policies.one', options: own('/qos/policies', 'policies') },
];

/** What a project lets others use. */
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
        {
          key: 'object_type',
          label: 'rbac.what',
          kind: 'choice',
          required: true,
          initial: 'network',
          options: literal(...shareable.map(({ type }) => type)),
          words: Object.fromEntries(shareable.map(({ type, word }) => [type, word])),
        },
        ...shareable.map(({ type, word, options }): Field<Policy> => ({ key: type, label: word, kind: 'choice', required: true, options, when: (values) => values['object_type'] === type })),
        {
          key: 'action',
          label: 'rbac.action',
          kind: 'choice',
          required: true,
          initial: 'access_as_shared',
          options: literal('access_as_shared', 'access_as_external'),
          when: (values) => values['object_type'] === 'network', // the others know one way
        },
        { key: 'target_tenant', label: 'rbac.target', kind: 'text', required: true, hint: 'rbac.targetHint' },
      ],
      call: ({ object_type, action = 'access_as_shared', target_tenant, ...chosen }) =>
        post('network', '/rbac-policies', { rbac_policy: { object_type, object_id: chosen[String(object_type)], action, target_tenant } }),
    },
  ],
  actions: [removal('rbac.deleteAsk', (row) => ['network', `/rbac-policies/${row.id}`])],
});
