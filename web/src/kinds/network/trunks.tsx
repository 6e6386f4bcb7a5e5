import { one } from '../../resource/query';
import { code, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { PartitionOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { listed } from './list';

interface Trunk {
  id: string;
  name: string;
  description: string;
  status: string;
  port_id: string;
  project_id: string;
  sub_ports?: { port_id: string; segmentation_type: string; segmentation_id: number }[];
}

const ports = choicesOf('network', '/ports', 'ports');

export default define<Trunk>({
  kind: 'trunks',
  icon: <PartitionOutlined />,
  list: listed('/trunks', 'trunks'),
  read: (id, signal) => one('network', `/trunks/${id}`, 'trunk', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row.project_id,
  state: (row) => stateBy(row.status),
  columns: [
    { word: 'trunk.parent', show: (row) => <Ref kind="ports" id={row.port_id} /> },
    { word: 'trunk.subports', from: 'md', show: (row) => row.sub_ports?.map((sub) => <div key={sub.port_id}>{code(`VLAN ${sub.segmentation_id}`)} <Ref kind="ports" id={sub.port_id} /></div>) },
    description(),
  ],
  create: [{ key: 'trunk-create', word: 'trunk.create', fields: [nameField(false), { key: 'port_id', label: 'trunk.parent', kind: 'choice', required: true, options: ports }, descriptionField()], call: (trunk) => post('network', '/trunks', { trunk }) }],
  actions: [
    { key: 'trunk-edit', word: 'resource.edit', edits: true, fields: [nameField(false), descriptionField()], call: (trunk, row) => put('network', `/trunks/${row.id}`, { trunk }) },
    {
      key: 'trunk-add',
      word: 'trunk.add',
      fields: [
        { key: 'port_id', label: 'thing.ports.one', kind: 'choice', required: true, options: ports },
        { key: 'segmentation_id', label: 'trunk.vlan', kind: 'number', required: true, min: 1, max: 4094 },
      ],
      call: (sub, row) => put('network', `/trunks/${row.id}/add_subports`, { sub_ports: [{ ...sub, segmentation_type: 'vlan' }] }),
    },
    {
      key: 'trunk-remove',
      word: 'trunk.remove',
      able: (row) => (row.sub_ports ?? []).length > 0,
      fields: [{ key: 'port_id', label: 'thing.ports.one', kind: 'choice', required: true, options: async (_, row) => (row.sub_ports ?? []).map((sub) => ({ value: sub.port_id, label: `VLAN ${sub.segmentation_id}` })) }],
      call: (sub, row) => put('network', `/trunks/${row.id}/remove_subports`, { sub_ports: [sub] }),
    },
    removal('trunk.deleteAsk', (row) => ['network', `/trunks/${row.id}`]),
  ],
});
