import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { all } from '../../api/client';
import type { Word } from '../../resource/resource';
import { Panel } from '../../ui/page';
import { Problem } from '../../ui/problem';

interface Item {
  id: string;
  name: string;
}

/** Who is in a group. */
export const MembersOf = ({ group }: { group: string }) => <Linked words={['userGroup.members', 'userGroup.noMembers']} kind="users" path={`/groups/${group}/users`} collection="users" />;

/** Which groups a user is in. */
export const GroupsOf = ({ user }: { user: string }) => <Linked words={['thing.groups.many', 'userGroup.inNone']} kind="groups" path={`/users/${user}/groups`} collection="groups" />;

function Linked({ words: [title, none], kind, path, collection }: { words: [Word, Word]; kind: string; path: string; collection: string }) {
  const { t } = useTranslation();
  const found = useQuery({ queryKey: ['linked', path], queryFn: ({ signal }) => all<Item>('identity', path, collection, signal) });
  return (
    <Panel title={t(title)}>
      {found.error && <Problem error={found.error} />}
      {found.isPending && <Skeleton active title={false} />}
      {found.data?.length === 0 && <p className="muted">{t(none)}</p>}
      <ul className="tree">
        {found.data?.map(({ id, name }) => (
          <li key={id}>
            <Link to="/$kind/$id" params={{ kind, id }}>
              {name}
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
