import { useQuery } from '@tanstack/react-query';
import { all, ask } from '../../api/client';
import { one } from '../../resource/query';
import { description, Ref } from '../../resource/ref';
import { define, del, descriptionField, nameField, patch, post, put, removal, type Choice } from '../../resource/resource';
import { SafetyOutlined } from '../../ui/icons';
import { choicesOf } from '../choices';
import { Assignments } from './assigned';

interface Role {
  id: string;
  name: string;
  description: string | null;
  domain_id: string | null;
}

interface Inference {
  prior_role: { id: string };
  implies: { id: string; name: string }[];
}

const inferences = async (signal: AbortSignal) => (await ask<{ role_inferences: Inference[] }>('identity', '/role_inferences', { signal })).role_inferences;

const implied = async (role: string): Promise<Choice[]> =>
  (await inferences(new AbortController().signal)).find((each) => each.prior_role.id === role)?.implies.map(({ id, name }) => ({ value: id, label: name })) ?? [];

/** Roles of all domains, and those that belong to none. */
async function list(signal: AbortSignal): Promise<Role[]> {
  const domains = await all<{ id: string }>('identity', '/domains', 'domains', signal);
  const lists = await Promise.all(['', ...domains.map(({ id }) => `?domain_id=${id}`)].map((query) => all<Role>('identity', `/roles${query}`, 'roles', signal)));
  return lists.flat();
}

export default define<Role>({
  kind: 'roles',
  icon: <SafetyOutlined />,
  list: (_, signal) => list(signal),
  read: (id, signal) => one('identity', `/roles/${id}`, 'role', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'role.implies', from: 'md', show: (row) => <Implied role={row.id} /> },
    { word: 'thing.domains.one', from: 'lg', show: (row) => row.domain_id && <Ref kind="domains" id={row.domain_id} /> },
    description(),
  ],
  create: [
    {
      key: 'role-create',
      word: 'role.create',
      fields: [nameField(), descriptionField(), { key: 'domain_id', label: 'thing.domains.one', kind: 'choice', options: choicesOf('identity', '/domains', 'domains'), hint: 'role.domainHint' }],
      call: (role) => post('identity', '/roles', { role }),
    },
  ],
  actions: [
    { key: 'role-edit', word: 'resource.edit', edits: true, fields: [nameField(), descriptionField()], call: (role, row) => patch('identity', `/roles/${row.id}`, { role }) },
    {
      key: 'role-imply',
      word: 'role.imply',
      ask: 'role.implyAsk',
      fields: [{ key: 'role', label: 'thing.roles.one', kind: 'choice', required: true, options: choicesOf('identity', '/roles', 'roles') }],
      call: ({ role }, row) => put('identity', `/roles/${row.id}/implies/${String(role)}`),
    },
    {
      key: 'role-unimply',
      word: 'role.unimply',
      fields: [{ key: 'role', label: 'thing.roles.one', kind: 'choice', required: true, options: (_, row) => implied(row.id) }],
      call: ({ role }, row) => del('identity', `/roles/${row.id}/implies/${String(role)}`),
    },
    removal('role.deleteAsk', (row) => ['identity', `/roles/${row.id}`]),
  ],
  Below: ({ row }) => <Assignments on={{ 'role.id': row.id }} />,
});

function Implied({ role }: { role: string }) {
  const { data } = useQuery({ queryKey: ['role-inferences'], queryFn: ({ signal }) => inferences(signal) });
  return data?.find((each) => each.prior_role.id === role)?.implies.map(({ name }) => name).join(', ');
}
