import { all } from '../../api/client';
import { one } from '../../resource/query';
import { code } from '../../resource/ref';
import { define, post, removal } from '../../resource/resource';
import { SwapOutlined } from '../../ui/icons';
import { Moment } from '../../ui/time';
import { literal } from '../choices';
import { untilField } from './until';

interface Trust {
  id: string;
  trustor_user_id: string;
  trustee_user_id: string;
  project_id: string | null;
  impersonation: boolean;
  expires_at: string | null;
  remaining_uses: number | null;
  roles?: { name: string }[];
}

/** Roles that one user lends another. */
export default define<Trust>({
  kind: 'trusts',
  icon: <SwapOutlined />,
  list: async ({ user }, signal) => {
    const [given, taken] = await Promise.all(['trustor', 'trustee'].map((side) => all<Trust>('identity', `/OS-TRUST/trusts?${side}_user_id=${user.id}`, 'trusts', signal)));
    return [...(given ?? []), ...(taken ?? []).filter((trust) => trust.trustor_user_id !== user.id)];
  },
  read: (id, signal) => one('identity', `/OS-TRUST/trusts/${id}`, 'trust', signal),
  id: (row) => row.id,
  name: (row) => row.id.slice(0, 8),
  terms: (row) => [row.trustor_user_id, row.trustee_user_id],
  columns: [
    { word: 'trust.trustee', show: (row) => code(row.trustee_user_id) },
    { word: 'trust.trustor', from: 'lg', show: (row) => code(row.trustor_user_id) },
    { word: 'credential.until', from: 'lg', show: (row) => row.expires_at && <Moment time={row.expires_at} /> },
    { word: 'trust.uses', from: 'xl', right: true, show: (row) => row.remaining_uses },
  ],
  facts: [
    { word: 'field.project', show: (row) => code(row.project_id) },
    { word: 'thing.roles.many', show: (row) => row.roles?.map(({ name }) => name).join(', ') },
    { word: 'trust.impersonation', show: (row, { t }) => t(row.impersonation ? 'yes' : 'no') },
  ],
  create: [
    {
      key: 'trust-create',
      word: 'trust.create',
      by: 'reader',
      ask: 'trust.createAsk',
      fields: [
        { key: 'trustee_user_id', label: 'trust.trustee', kind: 'text', required: true, hint: 'trust.trusteeHint' },
        { key: 'roles', label: 'thing.roles.many', kind: 'choices', required: true, options: async (scope) => literal(...scope.roles), as: (names) => (Array.isArray(names) ? names.map((name) => ({ name })) : null) },
        { key: 'impersonation', label: 'trust.impersonation', kind: 'switch', hint: 'trust.impersonationHint', initial: false },
        untilField(),
        { key: 'remaining_uses', label: 'trust.uses', kind: 'number', min: 1, hint: 'trust.usesHint' },
      ],
      call: (trust, _, scope) => post('identity', '/OS-TRUST/trusts', { trust: { trustor_user_id: scope.user.id, project_id: scope.project.id, ...trust } }),
    },
  ],
  actions: [{ ...removal<Trust>('trust.deleteAsk', (row) => ['identity', `/OS-TRUST/trusts/${row.id}`], (row, scope) => row.trustor_user_id === scope.user.id), by: 'reader' }],
});
