import { all } from '../../api/client';
import type { KeyPair } from '../../api/compute';
import { KeyPairDialog } from '../../pages/launch/keypair';
import { code } from '../../resource/ref';
import { define, removal } from '../../resource/resource';
import { KeyOutlined } from '../../ui/icons';

const dialog = (mode: 'create' | 'import') =>
  function Dialog({ close }: { close: () => void }) {
    return <KeyPairDialog mode={mode} close={() => close()} />;
  };

// Key pairs are the user's own, whatever the role.
export default define<KeyPair>({
  kind: 'keypairs',
  icon: <KeyOutlined />,
  list: async (_, signal) => (await all<{ keypair: KeyPair }>('compute', '/os-keypairs', 'keypairs', signal)).map((each) => each.keypair),
  id: (row) => row.name,
  name: (row) => row.name,
  terms: (row) => [row.fingerprint],
  columns: [
    { word: 'field.type', show: (row) => row.type },
    { word: 'key.fingerprint', from: 'md', show: (row) => code(row.fingerprint) },
  ],
  create: [
    { key: 'key-create', word: 'key.create', by: 'reader', Dialog: dialog('create') },
    { key: 'key-import', word: 'key.import', by: 'reader', Dialog: dialog('import') },
  ],
  actions: [{ ...removal<KeyPair>('key.deleteAsk', (row) => ['compute', `/os-keypairs/${encodeURIComponent(row.name)}`]), by: 'reader' }],
});
