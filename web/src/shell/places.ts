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
    places: [{ to: '/', word: 'nav.overview' }, { to: '/instances', word: 'nav.instances' }, of('images'), of('keypairs'), of('server-groups')],
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
      of('security-groups'),
      { to: '/reach', word: 'nav.reach' },
    ],
  },
  { word: 'nav.storage', places: [of('volumes'), of('snapshots'), of('backups'), of('transfers'), of('containers')] },
  { word: 'nav.project', places: [{ to: '/quotas', word: 'nav.quotas' }] },
  { word: 'nav.operators', places: [of('hosts'), of('services'), of('aggregates')], operators: true },
];

export const groupsFor = (operator: boolean) => groups.filter((group) => group.operators !== true || operator);
