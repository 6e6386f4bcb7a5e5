import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { all } from '../../api/client';
import { changeImage, failureQuery, imageMoves, importFailed, type Image } from '../../api/image';
import { bytes, gibibytes, memory } from '../../format';
import { code, created, tags } from '../../resource/ref';
import { define, label, nameField, post, removal, type Scope } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { toneOfImage } from '../../state';
import { FileImageOutlined } from '../../ui/icons';
import { CreateImage } from './image-create';
import { Members } from './image-members';
import { ask } from '../../api/client';

const own = (row: Image, scope: Scope) => scope.operator || row.owner === scope.project.id;

const visibilities = ['private', 'shared', 'community', 'public'];

export default define<Image>({
  kind: 'images',
  icon: <FileImageOutlined />,
  list: async (scope, signal) => {
    const images = await all<Image>('image', '/images?limit=200', 'images', signal);
    return scope.all || !scope.operator ? images : images.filter((image) => image.owner === scope.project.id || image.visibility !== 'private');
  },
  read: (id, signal) => ask<Image>('image', `/images/${id}`, { signal }),
  id: (row) => row.id,
  name: label,
  terms: (row) => row.tags,
  project: (row) => row.owner,
  state: (row) => ({ ...stateBy(row.status), tone: toneOfImage(row) }),
  moves: imageMoves,
  columns: [
    { word: 'field.size', right: true, sort: (row) => row.size ?? 0, show: (row, { language }) => <span className="nums">{row.size === null ? '–' : bytes(row.size, language)}</span> },
    { word: 'image.format', from: 'md', show: (row) => row.disk_format },
    { word: 'image.visibility', from: 'md', show: (row, { t }) => (t('image.visibilities', { returnObjects: true }) as Record<string, string>)[row.visibility] ?? row.visibility },
    { word: 'image.note', show: (row) => <Note image={row} /> },
    created(),
  ],
  facts: [
    { word: 'image.tags', show: (row) => tags(row.tags) },
    { word: 'image.minimum', show: (row, { language }) => `${gibibytes(row.min_disk, language)} · ${memory(row.min_ram, language)}` },
    { word: 'image.protected', show: (row, { t }) => t(row.protected ? 'yes' : 'no') },
    { word: 'image.checksum', show: (row) => code(row.checksum) },
  ],
  create: [{ key: 'image-create', word: 'image.create', Dialog: CreateImage }],
  actions: [
    {
      key: 'image-edit',
      word: 'resource.edit',
      edits: true,
      able: own,
      fields: [
        nameField(),
        { key: 'visibility', label: 'image.visibility', kind: 'choice', required: true, options: visibilities.map((value) => ({ value, label: value })), words: { private: 'image.visibilities.private', shared: 'image.visibilities.shared', community: 'image.visibilities.community', public: 'image.visibilities.public' } },
        { key: 'protected', label: 'image.protected', kind: 'switch', hint: 'image.protectedHint' },
        { key: 'tags', label: 'image.tags', kind: 'lines', hint: 'image.tagsHint' },
        { key: 'min_disk', label: 'image.minDisk', kind: 'number', unit: 'GiB' },
        { key: 'min_ram', label: 'image.minRam', kind: 'number', unit: 'MiB' },
      ],
      call: (fields, row) => changeImage(row.id, fields),
    },
    { key: 'image-members', word: 'image.members', able: (row, scope) => own(row, scope) || row.visibility === 'shared', Dialog: Members },
    { key: 'image-deactivate', word: 'image.deactivate', bulk: true, ask: 'image.deactivateAsk', able: (row, scope) => scope.operator && row.status === 'active', call: (_, row) => post('image', `/images/${row.id}/actions/deactivate`) },
    { key: 'image-reactivate', word: 'image.reactivate', able: (row, scope) => scope.operator && row.status === 'deactivated', call: (_, row) => post('image', `/images/${row.id}/actions/reactivate`) },
    removal('image.deleteText', (row) => ['image', `/images/${row.id}`], (row, scope) => own(row, scope) && !row.protected),
  ],
});

/** Why an import came to nothing. */
function Note({ image }: { image: Image }) {
  const { t } = useTranslation();
  const failed = importFailed(image);
  const { data: reason } = useQuery({ ...failureQuery(image.id), enabled: failed });
  return failed ? (
    <div className="reason tone-bad">
      {t('image.importFailed')}
      {reason != null && `: ${reason}`}
    </div>
  ) : null;
}
