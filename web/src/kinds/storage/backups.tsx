import type { Backup } from '../../api/volume';
import { gibibytes } from '../../format';
import { one } from '../../resource/query';
import { created, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, removal } from '../../resource/resource';
import { passes, stateBy } from '../../resource/state';
import { SaveOutlined } from '../../ui/icons';
import { volumeChoices } from './choices';
import { listed } from './list';

export default define<Backup>({
  kind: 'backups',
  icon: <SaveOutlined />,
  list: listed('/backups/detail', 'backups'),
  read: (id, signal) => one('volume', `/backups/${id}`, 'backup', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row['os-backup-project-attr:project_id'],
  state: (row) => ({ ...stateBy(row.status), why: row.status === 'error' ? row.fail_reason : null }),
  moves: (row) => passes(row.status),
  columns: [
    { word: 'thing.volumes.one', show: (row) => <Ref kind="volumes" id={row.volume_id} /> },
    { word: 'backup.kind', from: 'md', show: (row, { t }) => t(row.is_incremental ? 'backup.incremental' : 'backup.full') },
    { word: 'field.size', right: true, sort: (row) => row.size, show: (row, { language }) => <span className="nums">{gibibytes(row.size, language)}</span> },
    created(),
  ],
  facts: [description()],
  create: [
    {
      key: 'backup-create',
      word: 'volume.backup',
      fields: [
        { key: 'volume_id', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumeChoices('available', 'in-use') },
        nameField(false),
        { key: 'incremental', label: 'backup.incremental', kind: 'switch', hint: 'backup.incrementalHint', initial: false },
        descriptionField(),
      ],
      call: (backup) => post('volume', '/backups', { backup: { ...backup, force: true } }),
    },
  ],
  actions: [
    {
      key: 'backup-restore',
      word: 'backup.restore',
      ask: 'backup.restoreHelp',
      able: (row) => row.status === 'available',
      fields: [
        { key: 'volume_id', label: 'backup.into', kind: 'choice', hint: 'backup.intoHint', options: volumeChoices('available') },
        { ...nameField(false), when: (values) => !values['volume_id'] },
      ],
      call: (restore, row) => post('volume', `/backups/${row.id}/restore`, { restore }),
    },
    removal('backup.deleteAsk', (row) => ['volume', `/backups/${row.id}`], (row) => !passes(row.status) && row.has_dependent_backups !== true),
  ],
});
