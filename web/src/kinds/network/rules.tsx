import { useQuery } from '@tanstack/react-query';
import { addressGroupsQuery, type Rule } from '../../api/network';
import { code, Ref } from '../../resource/ref';
import { define, descriptionField, post, removal } from '../../resource/resource';
import { SafetyOutlined } from '../../ui/icons';
import { listed } from './list';
import { groupChoices } from './ports';
import { portsOf } from './reach';

const choices = (...values: string[]) => values.map((value) => ({ value, label: value }));

/** A rule in one line, as it is in no language. */
export const ruleText = (rule: Rule) =>
  [rule.ethertype, rule.protocol?.toUpperCase(), portsOf(rule)].filter((part) => part != null && part !== '').join(' ');

export default define<Rule>({
  kind: 'rules',
  icon: <SafetyOutlined />,
  list: listed('/security-group-rules', 'security_group_rules'),
  id: (row) => row.id,
  name: ruleText,
  terms: (row) => [row.remote_ip_prefix, row.protocol, row.direction],
  project: (row) => row.project_id,
  columns: [
    { word: 'group.direction', sort: (row) => row.direction, show: (row, { t }) => t(`group.${row.direction}`) },
    {
      word: 'group.remote',
      show: (row, { t }) =>
        row.remote_address_group_id != null ? <Addresses group={row.remote_address_group_id} /> : row.remote_group_id !== null ? <Ref kind="security-groups" id={row.remote_group_id} /> : row.remote_ip_prefix !== null ? code(row.remote_ip_prefix) : t('group.anywhere'),
    },
    { word: 'thing.security-groups.one', from: 'lg', show: (row) => <Ref kind="security-groups" id={row.security_group_id} /> },
    { word: 'field.description', from: 'lg', show: (row) => row.description },
  ],
  create: [
    {
      key: 'rule-create',
      word: 'group.addRule',
      fields: [
        { key: 'security_group_id', label: 'thing.security-groups.one', kind: 'choice', required: true, options: groupChoices },
        { key: 'direction', label: 'group.direction', kind: 'choice', required: true, initial: 'ingress', options: choices('ingress', 'egress'), words: { ingress: 'group.ingress', egress: 'group.egress' } },
        { key: 'ethertype', label: 'group.family', kind: 'choice', required: true, initial: 'IPv4', options: choices('IPv4', 'IPv6') },
        { key: 'protocol', label: 'group.protocol', kind: 'choice', initial: 'tcp', options: choices('tcp', 'udp', 'icmp', 'ipv6-icmp', 'sctp'), hint: 'group.protocolHint' },
        {
          key: 'ports',
          label: 'group.ports',
          kind: 'text',
          hint: 'group.portsHint',
          pattern: { is: /^\d{1,5}(\s*[-:]\s*\d{1,5})?$/, else: 'group.badPorts' },
          when: (values) => ['tcp', 'udp', 'sctp'].includes(String(values['protocol'])),
        },
        { key: 'remote_ip_prefix', label: 'group.remotePrefix', kind: 'text', hint: 'group.remotePrefixHint', when: (values) => !values['remote_group_id'] },
        { key: 'remote_group_id', label: 'group.remoteGroup', kind: 'choice', options: groupChoices, when: (values) => !values['remote_ip_prefix'] },
        descriptionField(),
      ],
      call: ({ ports, ...rule }) => {
        const [from, to = from] = String(ports ?? '').split(/[-:]/).map((part) => part.trim());
        return post('network', '/security-group-rules', {
          security_group_rule: { ...rule, ...(from && { port_range_min: Number(from), port_range_max: Number(to) }) },
        });
      },
    },
  ],
  actions: [removal('group.deleteRuleAsk', (row) => ['network', `/security-group-rules/${row.id}`])],
});

/** The addresses of a group by its name. */
function Addresses({ group }: { group: string }) {
  const { data } = useQuery(addressGroupsQuery);
  const found = data?.find((each) => each.id === group);
  return (
    <>
      {found?.name ?? group} {code(found?.addresses.join(', '))}
    </>
  );
}
