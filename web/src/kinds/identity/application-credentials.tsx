import { all } from '../../api/client';
import { description } from '../../resource/ref';
import { define, del, descriptionField, nameField, post } from '../../resource/resource';
import { KeyOutlined } from '../../ui/icons';
import { Ago } from '../../ui/time';

interface Credential {
  id: string;
  name: string;
  description: string | null;
  expires_at: string | null;
  unrestricted: boolean;
}

/** What programs sign in with instead of a password. */
export default define<Credential>({
  kind: 'application-credentials',
  icon: <KeyOutlined />,
  list: (scope, signal) => all('identity', `/users/${scope.user.id}/application_credentials`, 'application_credentials', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [{ word: 'credential.until', show: (row) => row.expires_at && <Ago time={row.expires_at} /> }, description()],
  create: [
    {
      key: 'credential-create',
      word: 'credential.create',
      fields: [nameField(), { key: 'expires_at', label: 'credential.until', kind: 'text', hint: 'credential.untilHint', pattern: { is: /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?$/, else: 'credential.badTime' }, as: (value) => (/^.{10}$/.test(String(value ?? '')) ? `${String(value)}T00:00:00` : value) }, descriptionField()],
      call: (application_credential, _, scope) => post('identity', `/users/${scope.user.id}/application_credentials`, { application_credential }),
      secret: (reply) => [{ word: 'credential.file', text: cloudsYaml((reply as { application_credential: { id: string; secret: string } }).application_credential) }],
    },
  ],
  actions: [
    { key: 'delete', word: 'resource.delete', danger: true, bulk: true, ask: 'credential.deleteAsk', call: (_, row, scope) => del('identity', `/users/${scope.user.id}/application_credentials/${row.id}`) },
  ],
});

/** The file that the clients read, complete. */
const cloudsYaml = ({ id, secret }: { id: string; secret: string }) => `clouds:
  nacre:
    auth_type: v3applicationcredential
    auth:
      auth_url: ${location.origin}/identity/v3
      application_credential_id: ${id}
      application_credential_secret: ${secret}`;
