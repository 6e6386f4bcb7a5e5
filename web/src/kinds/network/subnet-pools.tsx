import { one } from '../../resource/query';
import { code, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal } from '../../resource/resource';
import { ApartmentOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { listed } from './list';

interface SubnetPool {
  id: string;
  name: string;
  description: string;
  prefixes: string[];
  default_prefixlen: number | string;
  address_scope_id: string | null;
  shared: boolean;
  project_id: string;
}

export default define<SubnetPool>({
  kind: 'subnet-pools',
  icon: <ApartmentOutlined />,
  list: listed('/subnetpools', 'subnetpools'),
  read: (id, signal) => one('network', `/subnetpools/${id}`, 'subnetpool', signal),
  id: (row) => row.id,
  name: label,
  terms: (row) => row.prefixes,
  project: (row) => row.project_id,
  columns: [
    { word: 'subnetPool.prefixes', show: (row) => code(row.prefixes.join(', ')) },
    { word: 'subnetPool.length', from: 'md', show: (row) => `/${row.default_prefixlen}` },
    { word: 'thing.address-scopes.one', from: 'md', show: (row) => <Ref kind="address-scopes" id={row.address_scope_id} /> },
    description(),
  ],
  create: [
    {
      key: 'subnet-pool-create',
      word: 'subnetPool.create',
      fields: [
        nameField(),
        { key: 'prefixes', label: 'subnetPool.prefixes', kind: 'lines', required: true, hint: 'addressGroup.hint' },
        { key: 'default_prefixlen', label: 'subnetPool.length', kind: 'number', min: 1, max: 128 },
        { key: 'address_scope_id', label: 'thing.address-scopes.one', kind: 'choice', options: choicesOf('network', '/address-scopes', 'address_scopes') },
        { key: 'shared', label: 'network.share', kind: 'switch', when: (_, scope) => scope.operator },
        descriptionField(),
      ],
      call: (subnetpool) => post('network', '/subnetpools', { subnetpool }),
    },
  ],
  actions: [
    { key: 'subnet-pool-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField(), { key: 'prefixes', label: 'subnetPool.prefixes', kind: 'lines' }], call: (subnetpool, row) => put('network', `/subnetpools/${row.id}`, { subnetpool }) },
    removal('subnetPool.deleteAsk', (row) => ['network', `/subnetpools/${row.id}`]),
  ],
});
