import { one } from '../../resource/query';
import { code, description } from '../../resource/ref';
import { define, del, descriptionField, label, nameField, post, put, removal, restricted } from '../../resource/resource';
import { DashboardOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { listed } from './list';

interface Rule {
  id: string;
  type: string;
  direction?: string;
  max_kbps?: number;
  dscp_mark?: number;
}

interface Policy {
  id: string;
  name: string;
  description: string;
  shared: boolean;
  project_id: string;
  rules?: Rule[];
}

const text = (rule: Rule) => [rule.type, rule.direction, rule.max_kbps !== undefined ? `${rule.max_kbps} kbit/s` : rule.dscp_mark].filter((part) => part !== undefined).join(' · ');

export default define<Policy>({
  kind: 'qos-policies',
  icon: <DashboardOutlined />,
  list: listed('/qos/policies', 'policies'),
  read: (id, signal) => one('network', `/qos/policies/${id}`, 'policy', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row.project_id,
  columns: [
    { word: 'thing.rules.many', show: (row) => row.rules?.map((rule) => <div key={rule.id}>{code(text(rule))}</div>) },
    { word: 'network.share', from: 'md', show: (row, { t }) => t(row.shared ? 'yes' : 'no') },
    description(),
  ],
  create: [
    {
      key: 'qos-create',
      word: 'qos.create',
      by: 'admin',
      fields: [nameField(), { key: 'shared', label: 'network.share', kind: 'switch', initial: false }, descriptionField()],
      call: (policy) => post('network', '/qos/policies', { policy }),
    },
  ],
  actions: [
    restricted<Policy>({ key: 'qos-edit', word: 'resource.edit', edits: true, fields: [nameField(), { key: 'shared', label: 'network.share', kind: 'switch' }, descriptionField()], call: (policy, row) => put('network', `/qos/policies/${row.id}`, { policy }) }),
    {
      key: 'qos-bandwidth',
      word: 'qos.bandwidth',
      by: 'admin',
      fields: [
        { key: 'max_kbps', label: 'qos.rate', kind: 'number', required: true, min: 1, unit: 'kbit/s' },
        { key: 'max_burst_kbps', label: 'qos.burst', kind: 'number', min: 0, unit: 'kbit' },
        { key: 'direction', label: 'group.direction', kind: 'choice', required: true, initial: 'egress', options: literal('ingress', 'egress'), words: { ingress: 'group.ingress', egress: 'group.egress' } },
      ],
      call: (bandwidth_limit_rule, row) => post('network', `/qos/policies/${row.id}/bandwidth_limit_rules`, { bandwidth_limit_rule }),
    },
    {
      key: 'qos-dscp',
      word: 'qos.dscp',
      by: 'admin',
      fields: [{ key: 'dscp_mark', label: 'qos.mark', kind: 'number', required: true, min: 0, max: 56 }],
      call: (dscp_marking_rule, row) => post('network', `/qos/policies/${row.id}/dscp_marking_rules`, { dscp_marking_rule }),
    },
    {
      key: 'qos-remove',
      word: 'qos.remove',
      by: 'admin',
      able: (row) => (row.rules ?? []).length > 0,
      fields: [{ key: 'rule', label: 'thing.rules.one', kind: 'choice', required: true, options: async (_, row) => (row.rules ?? []).map((rule) => ({ value: `${rule.type}_rules ${rule.id}`, label: text(rule) })) }],
      call: ({ rule }, row) => {
        const [type = '', id = ''] = String(rule ?? '').split(' ');
        return del('network', `/qos/policies/${row.id}/${type}/${id}`);
      },
    },
    restricted(removal<Policy>('qos.deleteAsk', (row) => ['network', `/qos/policies/${row.id}`])),
  ],
});
