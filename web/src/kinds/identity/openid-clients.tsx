import { ask } from '../../api/client';
import { one } from '../../resource/query';
import { code } from '../../resource/ref';
import { define, nameField, post, removal } from '../../resource/resource';
import { ExportOutlined } from '../../ui/icons';

interface Client {
  id: string;
  name: string;
  redirect_uris: string[];
  public: boolean;
}

/** Programs whose users sign in by this cloud. */
export default define<Client>({
  kind: 'openid-clients',
  icon: <ExportOutlined />,
  list: async (_, signal) => (await ask<{ clients: Client[] }>('oidc', '/clients', { signal })).clients,
  read: (id, signal) => one('oidc', `/clients/${id}`, 'client', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'openid.redirects', from: 'md', show: (row) => row.redirect_uris.map((uri) => <div key={uri}>{code(uri)}</div>) },
    { word: 'openid.public', from: 'lg', show: (row, { t }) => t(row.public ? 'yes' : 'no') },
  ],
  facts: [{ word: 'openid.issuer', show: () => code(`${location.origin}/oidc`) }],
  create: [
    {
      key: 'openid-create',
      word: 'openid.create',
      fields: [
        nameField(),
        { key: 'redirect_uris', label: 'openid.redirects', kind: 'lines', required: true, hint: 'openid.redirectsHint' },
        { key: 'public', label: 'openid.public', kind: 'switch', hint: 'openid.publicHint' },
      ],
      call: (client) => post('oidc', '/clients', { client }),
      secret: (reply) => {
        const { id, secret } = (reply as { client: { id: string; secret?: string } }).client;
        return [{ word: 'openid.id', text: id }, ...(secret === undefined ? [] : [{ word: 'openid.secret' as const, text: secret }])];
      },
    },
  ],
  actions: [{ ...removal('openid.deleteAsk', (row: Client) => ['oidc', `/clients/${row.id}`]), key: 'openid-delete' }],
});
