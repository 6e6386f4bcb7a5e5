import { all } from '../../api/client';
import { one } from '../../resource/query';
import { pairs } from '../../resource/pairs';
import { description } from '../../resource/ref';
import { define, del, descriptionField, nameField, post, put, removal, restricted, type Action } from '../../resource/resource';
import { HddOutlined } from '../../ui/icons';
import { keysOf, literal, projectChoices } from '../choices';

interface VolumeType {
  id: string;
  name: string;
  description: string | null;
  'os-volume-type-access:is_public'?: boolean;
  extra_specs?: Record<string, string>;
}

const open = { key: 'os-volume-type-access:is_public', label: 'access.public', kind: 'switch', initial: true, hint: 'access.publicHint' } as const;

const access = (key: string, word: 'access.give' | 'access.take', body: string): Action<VolumeType> => ({
  key,
  word,
  ask: 'access.help',
  by: 'admin',
  able: (row) => row['os-volume-type-access:is_public'] === false,
  fields: [{ key: 'project', label: 'field.project', kind: 'choice', required: true, options: projectChoices }],
  call: (project, row) => post('volume', `/types/${row.id}/action`, { [body]: project }),
});

export default define<VolumeType>({
  kind: 'volume-types',
  icon: <HddOutlined />,
  list: (scope, signal) => all('volume', scope.operator ? '/types?is_public=None' : '/types', 'volume_types', signal),
  read: (id, signal) => one('volume', `/types/${id}`, 'volume_type', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'access.public', show: (row, { t }) => t(row['os-volume-type-access:is_public'] === false ? 'no' : 'yes') },
    { word: 'specs.many', from: 'md', show: (row) => pairs(row.extra_specs) },
    description(),
  ],
  create: [
    {
      key: 'volume-type-create',
      word: 'volumeType.create',
      by: 'admin',
      fields: [nameField(), descriptionField(), open, { key: 'extra_specs', label: 'specs.many', kind: 'pairs', hint: 'resource.pairsHint' }],
      call: (volume_type) => post('volume', '/types', { volume_type }),
    },
  ],
  actions: [
    restricted<VolumeType>({ key: 'volume-type-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (volume_type, row) => put('volume', `/types/${row.id}`, { volume_type }) }),
    {
      key: 'volume-type-specs',
      word: 'specs.set',
      by: 'admin',
      fields: [{ key: 'extra_specs', label: 'specs.many', kind: 'pairs', required: true, hint: 'resource.pairsHint' }],
      call: ({ extra_specs }, row) => post('volume', `/types/${row.id}/extra_specs`, { extra_specs }),
    },
    {
      key: 'volume-type-unset',
      word: 'specs.unset',
      by: 'admin',
      able: (row) => keysOf(row.extra_specs).length > 0,
      fields: [{ key: 'key', label: 'specs.key', kind: 'choice', required: true, options: async (_, row) => keysOf(row.extra_specs) }],
      call: ({ key }, row) => del('volume', `/types/${row.id}/extra_specs/${encodeURIComponent(String(key))}`),
    },
    {
      key: 'volume-type-encrypt',
      word: 'volumeType.encrypt',
      ask: 'volumeType.encryptAsk',
      by: 'admin',
      fields: [
        { key: 'provider', label: 'volumeType.provider', kind: 'choice', required: true, initial: 'luks', options: literal('luks') },
        { key: 'cipher', label: 'volumeType.cipher', kind: 'text', initial: 'aes-xts-plain64' },
        { key: 'key_size', label: 'volumeType.keySize', kind: 'number', initial: 256, unit: 'bit' },
        { key: 'control_location', label: 'volumeType.place', kind: 'choice', required: true, initial: 'front-end', options: literal('front-end') },
      ],
      call: (encryption, row) => post('volume', `/types/${row.id}/encryption`, { encryption }),
    },
    { key: 'volume-type-decrypt', word: 'volumeType.decrypt', ask: 'volumeType.decryptAsk', by: 'admin', call: (_, row) => del('volume', `/types/${row.id}/encryption/provider`) },
    access('volume-type-access', 'access.give', 'addProjectAccess'),
    access('volume-type-no-access', 'access.take', 'removeProjectAccess'),
    restricted(removal<VolumeType>('volumeType.deleteAsk', (row) => ['volume', `/types/${row.id}`])),
  ],
});
