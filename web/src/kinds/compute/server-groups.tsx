import { all } from '../../api/client';
import { one } from '../../resource/query';
import { Ref } from '../../resource/ref';
import { define, nameField, post, removal } from '../../resource/resource';
import { GroupOutlined } from '../../ui/icons';

interface ServerGroup {
  id: string;
  name: string;
  policy: string;
  rules: { max_server_per_host?: number };
  members: string[];
  project_id: string;
}

const policies = ['anti-affinity', 'affinity', 'soft-anti-affinity', 'soft-affinity'];

export default define<ServerGroup>({
  kind: 'server-groups',
  icon: <GroupOutlined />,
  list: (scope, signal) => all('compute', scope.all ? '/os-server-groups?all_projects=true' : '/os-server-groups', 'server_groups', signal),
  read: (id, signal) => one('compute', `/os-server-groups/${id}`, 'server_group', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  project: (row) => row.project_id,
  columns: [
    { word: 'serverGroup.policy', sort: (row) => row.policy, show: (row, { t }) => (t('serverGroup.policies', { returnObjects: true }) as Record<string, string>)[row.policy] ?? row.policy },
    { word: 'serverGroup.members', show: (row) => row.members.map((id) => <div key={id}><Ref kind="servers" id={id} /></div>) },
  ],
  facts: [{ word: 'serverGroup.most', show: (row) => row.rules.max_server_per_host }],
  create: [
    {
      key: 'server-group-create',
      word: 'serverGroup.create',
      fields: [
        nameField(),
        {
          key: 'policy',
          label: 'serverGroup.policy',
          kind: 'choice',
          required: true,
          initial: 'anti-affinity',
          options: policies.map((value) => ({ value, label: value })),
          words: {
            'anti-affinity': 'serverGroup.policies.anti-affinity',
            affinity: 'serverGroup.policies.affinity',
            'soft-anti-affinity': 'serverGroup.policies.soft-anti-affinity',
            'soft-affinity': 'serverGroup.policies.soft-affinity',
          },
        },
        { key: 'max_server_per_host', label: 'serverGroup.most', kind: 'number', min: 1, hint: 'serverGroup.mostHint', when: (values) => values['policy'] === 'anti-affinity' },
      ],
      call: ({ max_server_per_host, ...group }) =>
        post('compute', '/os-server-groups', { server_group: { ...group, ...(max_server_per_host !== undefined && { rules: { max_server_per_host } }) } }),
    },
  ],
  actions: [removal('serverGroup.deleteAsk', (row) => ['compute', `/os-server-groups/${row.id}`])],
});
