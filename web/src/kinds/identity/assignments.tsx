import { define, put, del, type Field } from '../../resource/resource';
import { ApiOutlined } from '../../ui/icons';
import { choicesOf, projectChoices } from '../choices';
import { On, Who } from './assigned';
import { actorOf, assigned, place, placeOf, roleOf, targetKind, targetOf, type Assignment, type Target } from './assignment';

const domainChoices = choicesOf('identity', '/domains', 'domains');

const fields: Field<Assignment>[] = [
  { key: 'actor', label: 'assignment.who', kind: 'choice', required: true, initial: 'user', options: ['user', 'group'].map((value) => ({ value, label: value })), words: { user: 'thing.users.one', group: 'thing.groups.one' } },
  { key: 'user', label: 'thing.users.one', kind: 'choice', required: true, options: choicesOf('identity', '/users', 'users'), when: (values) => values['actor'] !== 'group' },
  { key: 'group', label: 'thing.groups.one', kind: 'choice', required: true, options: choicesOf('identity', '/groups', 'groups'), when: (values) => values['actor'] === 'group' },
  { key: 'role', label: 'thing.roles.one', kind: 'choice', required: true, options: choicesOf('identity', '/roles', 'roles') },
  { key: 'target', label: 'assignment.on', kind: 'choice', required: true, initial: 'project', options: ['project', 'domain', 'system'].map((value) => ({ value, label: value })), words: { project: 'thing.projects.one', domain: 'thing.domains.one', system: 'assignment.system' } },
  { key: 'project', label: 'thing.projects.one', kind: 'choice', required: true, options: projectChoices, when: (values) => values['target'] === 'project' },
  { key: 'domain', label: 'thing.domains.one', kind: 'choice', required: true, options: domainChoices, when: (values) => values['target'] === 'domain' },
  { key: 'inherited', label: 'assignment.handDown', kind: 'switch', initial: false, hint: 'assignment.handDownHint', when: (values) => values['target'] !== 'system' },
];

/** Roles as they were given; what they come to is on the pages of users and projects. */
export default define<Assignment>({
  kind: 'assignments',
  icon: <ApiOutlined />,
  list: (_, signal) => assigned({}, signal),
  id: placeOf,
  name: (row) => `${actorOf(row)}: ${roleOf(row)}`,
  terms: (row) => [targetOf(row), targetKind(row)],
  columns: [
    { word: 'assignment.who', show: (row) => <Who row={row} /> },
    { word: 'assignment.on', sort: targetOf, show: (row) => <On row={row} /> },
  ],
  create: [
    {
      key: 'assignment-grant',
      word: 'projectAdmin.addRole',
      fields,
      call: ({ actor, user, group, role, target, project, domain, inherited }) =>
        put('identity', place(target as Target, String(project ?? domain), actor as 'user' | 'group', String(user ?? group), String(role), inherited === true)),
    },
  ],
  actions: [{ key: 'delete', word: 'projectAdmin.removeRole', danger: true, bulk: true, ask: 'assignment.revokeAsk', call: (_, row) => del('identity', placeOf(row)) }],
});
