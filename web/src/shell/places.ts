// Where one can go: the navigation and the palette list the same places.
import type { Word } from '../resource/resource';

export interface Place {
  to: string;
  word: Word;
}

export interface Group {
  word: Word;
  places: Place[];
  operators?: boolean;
}

const of = (kind: Extract<Word, `thing.${string}.many`> extends `thing.${infer K}.many` ? K : never): Place => ({ to: `/${kind}`, word: `thing.${kind}.many` });

export const groups: Group[] = [
  {
    word: 'nav.compute',
    places: [{ to: '/', word: 'nav.overview' }, { to: '/instances', word: 'nav.instances' }, of('images'), of('keypairs'), of('server-groups'), of('flavors')],
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
  { word: 'nav.operators', places: [of('hosts'), of('services'), of('aggregates'), of('volume-qos'), of('group-types')], operators: true },
  {
    word: 'nav.identity',
    places: [of('domains'), of('projects'), of('users'), of('groups'), of('roles'), of('assignments'), of('registered-limits'), of('limits'), of('openid-clients')],
    operators: true,
  },
];

export const groupsFor = (operator: boolean) => groups.filter((group) => group.operators !== true || operator);
