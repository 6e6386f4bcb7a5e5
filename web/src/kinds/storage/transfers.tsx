import type { Transfer } from '../../api/volume';
import { one } from '../../resource/query';
import { created, Ref } from '../../resource/ref';
import { define, label, nameField, post, removal } from '../../resource/resource';
import { SwapOutlined } from '../../ui/icons';
import { volumeChoices } from './choices';
import { listed } from './list';
import { transferSecret } from './volumes';

export default define<Transfer>({
  kind: 'transfers',
  icon: <SwapOutlined />,
  list: listed('/volume-transfers/detail', 'transfers'),
  read: (id, signal) => one('volume', `/volume-transfers/${id}`, 'transfer', signal),
  id: (row) => row.id,
  name: label,
  columns: [{ word: 'thing.volumes.one', show: (row) => <Ref kind="volumes" id={row.volume_id} /> }, created()],
  create: [
    {
      key: 'transfer-create',
      word: 'transfer.create',
      ask: 'transfer.help',
      fields: [{ key: 'volume_id', label: 'thing.volumes.one', kind: 'choice', required: true, options: volumeChoices('available') }, nameField(false)],
      call: (transfer) => post('volume', '/volume-transfers', { transfer }),
      secret: transferSecret,
    },
    {
      key: 'transfer-accept',
      word: 'transfer.accept',
      ask: 'transfer.acceptHelp',
      fields: [
        { key: 'id', label: 'transfer.id', kind: 'text', required: true, pattern: { is: /^\s*[\da-f-]{36}\s*$/, else: 'transfer.badId' } },
        { key: 'auth_key', label: 'transfer.key', kind: 'text', required: true },
      ],
      call: ({ id, auth_key }) => post('volume', `/volume-transfers/${String(id ?? '')}/accept`, { accept: { auth_key } }),
    },
  ],
  actions: [removal('transfer.deleteAsk', (row) => ['volume', `/volume-transfers/${row.id}`])],
});
