import { one } from '../../resource/query';
import { code, description } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal } from '../../resource/resource';
import { GroupOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { listed } from './list';

interface AddressGroup {
  id: string;
  name: string;
  description: string;
  addresses: string[];
  project_id: string;
}

export default define<AddressGroup>({
  kind: 'address-groups',
  icon: <GroupOutlined />,
  list: listed('/address-groups', 'address_groups'),
  read: (id, signal) => one('network', `/address-groups/${id}`, 'address_group', signal),
  id: (row) => row.id,
  name: label,
  terms: (row) => row.addresses,
  project: (row) => row.project_id,
  columns: [{ word: 'field.addresses', show: (row) => code(row.addresses.join(', ')) }, description()],
  create: [
    {
      key: 'address-group-create',
      word: 'addressGroup.create',
      fields: [nameField(), { key: 'addresses', label: 'field.addresses', kind: 'lines', hint: 'addressGroup.hint' }, descriptionField()],
      call: (address_group) => post('network', '/address-groups', { address_group }),
    },
  ],
  actions: [
    { key: 'address-group-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (address_group, row) => put('network', `/address-groups/${row.id}`, { address_group }) },
    {
      key: 'address-group-add',
      word: 'addressGroup.add',
      fields: [{ key: 'addresses', label: 'field.addresses', kind: 'lines', required: true, hint: 'addressGroup.hint' }],
      call: (address_group, row) => put('network', `/address-groups/${row.id}/add_addresses`, { address_group }),
    },
    {
      key: 'address-group-remove',
      word: 'addressGroup.remove',
      able: (row) => row.addresses.length > 0,
      fields: [{ key: 'addresses', label: 'field.addresses', kind: 'choices', required: true, options: async (_, row) => literal(...row.addresses) }],
      call: (address_group, row) => put('network', `/address-groups/${row.id}/remove_addresses`, { address_group }),
    },
    removal('addressGroup.deleteAsk', (row) => ['network', `/address-groups/${row.id}`]),
  ],
});
