import { useQuery } from '@tanstack/react-query';
import { Table } from 'antd';
import { useTranslation } from 'react-i18next';
import { Ref } from '../../resource/ref';
import { Panel } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { actorOf, assigned, inherited, originOf, placeOf, roleOf, targetOf, type Assignment } from './assignment';

/** Who has which role on what, and for those that are in effect: where it comes from. */
export function Assignments({ on }: { on: Record<string, string> }) {
  const { t } = useTranslation();
  const effective = 'effective' in on;
  const found = useQuery({ queryKey: ['assigned', on], queryFn: ({ signal }) => assigned(on, signal), refetchInterval: 10_000 });
  return (
    <Panel title={t(effective ? 'assignment.effective' : 'thing.assignments.many')} bare>
      {found.error && <Problem error={found.error} />}
      <Table<Assignment>
        size="middle"
        rowKey={(row) => placeOf(row) + row.links.assignment + (row.links.prior_role ?? '') + (row.links.membership ?? '')}
        dataSource={found.data ?? []}
        loading={found.isPending}
        pagination={{ defaultPageSize: 20, hideOnSinglePage: true }}
        locale={{ emptyText: <p className="muted">{t('assignment.none')}</p> }}
        columns={[
          { title: t('assignment.who'), render: (_, row) => <Who row={row} /> },
          { title: t('thing.roles.one'), render: (_, row) => roleOf(row) },
          { title: t('assignment.on'), render: (_, row) => <On row={row} effective={effective} /> },
          ...(effective ? [{ title: t('assignment.from'), render: (_: unknown, row: Assignment) => <From row={row} /> }] : []),
        ]}
      />
    </Panel>
  );
}

export function Who({ row }: { row: Assignment }) {
  const { t } = useTranslation();
  return <>{row.group === undefined ? actorOf(row) : t('assignment.group', { name: actorOf(row) })}</>;
}

/** What an assignment is about; one in effect is about the thing itself, wherever it comes from. */
export function On({ row, effective = false }: { row: Assignment; effective?: boolean }) {
  const { t } = useTranslation();
  const name = targetOf(row);
  const text = row.scope.system ? t('assignment.system') : row.scope.domain ? t('assignment.domain', { name }) : t('assignment.project', { name });
  return <>{inherited(row) && !effective ? t('assignment.inherited', { what: text }) : text}</>;
}

/** The assignment that somebody has made, of which this one comes. */
function From({ row }: { row: Assignment }) {
  const { t } = useTranslation();
  const from = originOf(row.links.assignment);
  if (from === null) {
    return null;
  }
  const ways = [
    ...(from.actor === 'group' ? [<span key="group">{t('assignment.byGroup')} <Ref kind="groups" id={from.who} /></span>] : []),
    ...(from.role !== row.role.id ? [<span key="role">{t('assignment.byRole')} <Ref kind="roles" id={from.role} /></span>] : []),
    ...(from.inherited ? [<span key="above">{t('assignment.byParent')} <Ref kind={from.target === 'domain' ? 'domains' : 'projects'} id={from.on} /></span>] : []),
  ];
  return ways.length === 0 ? <>{t('assignment.direct')}</> : <span className="row origin">{ways}</span>;
}
