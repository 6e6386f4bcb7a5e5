import { all } from '../../api/client';
import { one } from '../../resource/query';
import { code, description } from '../../resource/ref';
import { define, del, descriptionField, nameField, post, type Value } from '../../resource/resource';
import { KeyOutlined } from '../../ui/icons';
import { Moment } from '../../ui/time';
import { literal } from '../choices';
import { untilField } from './until';

interface Credential {
  id: string;
  name: string;
  description: string | null;
  expires_at: string | null;
  unrestricted: boolean;
  user_id: string;
  project_id: string;
  roles: { name: string }[];
  access_rules?: { method: string; service: string; path: string }[];
}

/** `GET compute /v2.1/servers` a line. */
const rulesOf = (text: Value) =>
  String(text ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([method]) => method !== undefined && method !== '')
    .map(([method, service = '', path = '']) => ({ method: method?.toUpperCase(), service, path }));

/** What programs sign in with instead of a password. */
export default define<Credential>({
  kind: 'application-credentials',
  icon: <KeyOutlined />,
  list: (scope, signal) => all('identity', `/users/${scope.user.id}/application_credentials`, 'application_credentials', signal),
  read: (id, signal, scope) => one('identity', `/users/${scope.user.id}/application_credentials/${id}`, 'application_credential', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'thing.roles.many', from: 'md', show: (row) => row.roles.map(({ name }) => name).join(', ') },
    { word: 'credential.until', from: 'md', show: (row) => row.expires_at && <Moment time={row.expires_at} /> },
    description(),
  ],
  facts: [
    { word: 'credential.unrestricted', show: (row, { t }) => t(row.unrestricted ? 'yes' : 'no') },
    { word: 'credential.rules', show: (row) => row.access_rules?.map(({ method, service, path }) => <div key={method + service + path}>{code(`${method} ${service} ${path}`)}</div>) },
  ],
  create: [
    {
      key: 'credential-create',
      word: 'credential.create',
      by: 'reader',
      fields: [
        nameField(),
        descriptionField(),
        { key: 'roles', label: 'thing.roles.many', kind: 'choices', hint: 'credential.rolesHint', options: async (scope) => literal(...scope.roles), as: (names) => (Array.isArray(names) ? names.map((name) => ({ name })) : null) },
        untilField(),
        { key: 'access_rules', label: 'credential.rules', kind: 'lines', hint: 'credential.rulesHint', pattern: { is: /^(\s*[a-zA-Z]+ +\S+ +\/\S*\s*(\n|$))*$/, else: 'credential.badRules' }, as: rulesOf },
        { key: 'unrestricted', label: 'credential.unrestricted', kind: 'switch', hint: 'credential.unrestrictedHint' },
      ],
      call: (application_credential, _, scope) => post('identity', `/users/${scope.user.id}/application_credentials`, { application_credential }),
      secret: (reply) => [{ word: 'credential.file', file: 'clouds.yaml', text: cloudsYaml((reply as { application_credential: { id: string; secret: string } }).application_credential) }],
    },
  ],
  actions: [
    { key: 'delete', word: 'resource.delete', by: 'reader', danger: true, bulk: true, ask: 'credential.deleteAsk', call: (_, row, scope) => del('identity', `/users/${scope.user.id}/application_credentials/${row.id}`) },
  ],
});

/** The file that the clients read, complete. */
const cloudsYaml = ({ id, secret }: { id: string; secret: string }) => `clouds:
  nacre:
    auth_type: v3applicationcredential
    auth:
      auth_url: ${location.origin}/identity/v3
      application_credential_id: ${id}
      application_credential_secret: ${secret}
`;
