import { one } from '../../resource/query';
import { define, label, nameField, post, put, removal } from '../../resource/resource';
import { GlobalOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { listed } from './list';

interface AddressScope {
  id: string;
  name: string;
  ip_version: number;
  shared: boolean;
  project_id: string;
}

export default define<AddressScope>({
  kind: 'address-scopes',
  icon: <GlobalOutlined />,
  list: listed('/address-scopes', 'address_scopes'),
  read: (id, signal) => one('network', `/address-scopes/${id}`, 'address_scope', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row.project_id,
  columns: [
    { word: 'group.family', show: (row) => `IPv${row.ip_version}` },
    { word: 'network.share', show: (row, { t }) => t(row.shared ? 'yes' : 'no') },
  ],
  create: [
    {
      key: 'address-scope-create',
      word: 'addressScope.create',
      fields: [nameField(), { key: 'ip_version', label: 'addressScope.version', kind: 'choice', required: true, initial: '4', options: literal('4', '6'), as: Number }, { key: 'shared', label: 'network.share', kind: 'switch', when: (_, scope) => scope.operator }],
      call: (address_scope) => post('network', '/address-scopes', { address_scope }),
    },
  ],
  actions: [
    { key: 'address-scope-edit', word: 'resource.edit', edits: true, fields: [nameField()], call: (address_scope, row) => put('network', `/address-scopes/${row.id}`, { address_scope }) },
    removal('addressScope.deleteAsk', (row) => ['network', `/address-scopes/${row.id}`]),
  ],
});
