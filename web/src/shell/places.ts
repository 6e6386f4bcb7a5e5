// Where one can go: the navigation and the palette list the same places.
import { may, type Role, type Word } from '../resource/resource';

export interface Place {
  to: string;
  word: Word;
  /** For whom it is; everybody, unless said otherwise. */
  by?: Role;
}

export interface Group {
  word: Word;
  places: Place[];
  by?: Role;
}

const of = (kind: Extract<Word, `thing.${string}.many`> extends `thing.${infer K}.many` ? K : never): Place => ({ to: `/${kind}`, word: `thing.${kind}.many` });

export const groups: Group[] = [
  {
    word: 'nav.compute',
    places: [{ to: '/', word: 'nav.overview' }, { to: '/instances', word: 'nav.instances' }, of('images'), of('keypairs'), of('server-groups'), of('flavors'), of('zones'), { ...of('migrations'), by: 'manager' }],
  },
  {
    word: 'nav.network',
    places: [
      { to: '/topology', word: 'nav.topology' },
      of('networks'),
      of('subnets'),
      of('ports'),
      of('routers'),
      of('floating-ips'),
      of('port-forwardings'),
      of('security-groups'),
      of('address-groups'),
      of('subnet-pools'),
      of('address-scopes'),
      of('trunks'),
      of('qos-policies'),
      of('rbac-policies'),
      { to: '/reach', word: 'nav.reach' },
    ],
  },
  { word: 'nav.storage', places: [of('volumes'), of('snapshots'), of('backups'), of('transfers'), of('volume-groups'), of('group-snapshots'), of('volume-types'), of('containers')] },
  { word: 'nav.project', places: [{ to: '/quotas', word: 'nav.quotas' }, of('application-credentials'), of('ec2-credentials'), of('trusts'), { to: '/account', word: 'nav.account' }, { to: '/why', word: 'nav.why' }] },
  { word: 'nav.operators', places: [of('hosts'), of('services'), of('aggregates'), of('volume-qos'), of('group-types')], by: 'admin' },
  {
    word: 'nav.identity',
    places: [of('domains'), of('projects'), of('users'), of('groups'), of('roles'), of('assignments'), of('registered-limits'), of('limits'), of('openid-clients')],
    by: 'admin',
  },
];

export const groupsFor = (roles: readonly string[]) =>
  groups
    .filter((group) => may(roles, group.by ?? 'reader'))
    .map((group) => ({ ...group, places: group.places.filter((place) => may(roles, place.by ?? 'reader')) }));
