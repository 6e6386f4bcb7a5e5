import { all } from '../../api/client';
import { define, removal } from '../../resource/resource';
import { SafetyOutlined } from '../../ui/icons';
import { Enrol } from './enrol';

interface Factor {
  id: string;
}

/** Authenticators of the user, whose passcodes are a second factor. */
export default define<Factor>({
  kind: 'factors',
  icon: <SafetyOutlined />,
  list: (scope, signal) => all('identity', `/credentials?user_id=${scope.user.id}&type=totp`, 'credentials', signal),
  id: (row) => row.id,
  name: (row) => row.id.slice(0, 8),
  columns: [],
  create: [{ key: 'factor-create', word: 'factor.add', by: 'reader', Dialog: ({ close }) => <Enrol close={close} /> }],
  actions: [{ ...removal<Factor>('factor.deleteAsk', (row) => ['identity', `/credentials/${row.id}`]), by: 'reader' }],
});
