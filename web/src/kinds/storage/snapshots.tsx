import type { Snapshot } from '../../api/volume';
import { gibibytes } from '../../format';
import { one } from '../../resource/query';
import { created, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal } from '../../resource/resource';
import { passes, stateBy } from '../../resource/state';
import { CameraOutlined } from '../../ui/icons';
import { volumeChoices } from './choices';
import { listed } from './list';

export default define<Snapshot>({
  kind: 'snapshots',
  icon: <CameraOutlined />,
  list: listed('/snapshots/detail', 'snapshots'),
  read: (id, signal) => one('volume', `/snapshots/${id}`, 'snapshot', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row['os-extended-snapshot-attributes:project_id'],
  state: (row) => stateBy(row.status),
  moves: (row) => passes(row.status),
  columns: [
    { word: 'thing.volumes.one', show: (row) => <Ref kind="volumes" id={row.volume_id} /> },
    { word: 'field.size', right: true, sort: (row) => row.size, show: (row, { language }) => <span className="nums">{gibibytes(row.size, language)}</span> },
    created(),
  ],
  facts: [description()],
  create: [
    {
      key: 'snapshot-create',
      word: 'volume.snapshot',
      fields: [
        { key: 'volume_id', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumeChoices('available', 'in-use') },
        nameField(false),
        descriptionField(),
      ],
      // Force lets a volume in use have one too, and does nothing for others.
      call: (snapshot) => post('volume', '/snapshots', { snapshot: { ...snapshot, force: true } }),
    },
  ],
  actions: [
    { key: 'snapshot-edit', word: 'resource.edit', edits: true, fields: [nameField(false), descriptionField()], call: (snapshot, row) => put('volume', `/snapshots/${row.id}`, { snapshot }) },
    {
      key: 'snapshot-volume',
      word: 'volume.fromThis',
      able: (row) => row.status === 'available',
      fields: [nameField(), { key: 'size', label: 'field.size', kind: 'number', required: true, min: 1, unit: 'GiB', initial: (row) => row.size }],
      call: (volume, row) => post('volume', '/volumes', { volume: { ...volume, snapshot_id: row.id } }),
    },
    removal('snapshot.deleteAsk', (row) => ['volume', `/snapshots/${row.id}`], (row) => !passes(row.status)),
  ],
});
