import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, Dropdown, Input, Select, Table, type TableColumnsType } from 'antd';
import { useMemo, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useHere } from '../shell/here';
import { Empty } from '../ui/empty';
import { EllipsisOutlined, PlusOutlined, SearchOutlined } from '../ui/icons';
import { Problem } from '../ui/problem';
import { Wide } from '../ui/wide';
import { projectNamesQuery, rowsQuery } from './query';
import { offered, type Action, type Column, type Resource, type Say, type Scope, type Values } from './resource';
import { StateOf, stateWord } from './state';
import { useActs, type Start } from './acts';

interface Props<R> {
  resource: Resource<R>;
  /** Only these rows, as part of something else's page. */
  where?: (row: R) => boolean;
  /** What a creation from here is about. */
  preset?: Values;
  /** Those of all projects, whatever the page shows else. */
  everybodys?: boolean;
}

/** The rows of a resource: found by a filter, acted on one by one or together, kept fresh. */
export function Rows<R>({ resource, where, preset, everybodys = false }: Props<R>) {
  const { t, i18n } = useTranslation();
  const here = useHere().scope;
  const scope = useMemo(() => (everybodys ? { ...here, all: true } : here), [everybodys, here]);
  const rows = useQuery(rowsQuery(resource, scope));
  const [text, setText] = useState('');
  const [state, setState] = useState<string | null>(null);
  const [selected, setSelected] = useState<string[]>([]);
  const { start, dialog } = useActs(resource, preset);
  const list = (rows.data ?? []).filter((row) => where?.(row) !== false);
  const shown = list.filter((row) => matches(resource, row, text) && (state === null || resource.state?.(row).raw === state));
  // What was deleted meanwhile is no longer selected.
  const chosen = list.filter((row) => selected.includes(resource.id(row)));
  const bulk = offered(resource.actions, scope).filter((action) => action.bulk === true);
  const states = [...new Set(list.map((row) => resource.state?.(row).raw).filter((raw) => raw !== undefined))].sort();
  const columns = useColumns(resource, scope, start, { t, language: i18n.language });
  const many = t(`thing.${resource.kind}.many`);

  if (rows.error !== null && rows.data === undefined) {
    return <Problem error={rows.error} retry={() => void rows.refetch()} />;
  }
  return (
    <div className="panel">
      {rows.error && <Problem error={rows.error} hint={t('resource.stale')} />}
      {rows.data !== undefined && list.length === 0 ? (
        <Empty icon={resource.icon} title={t('resource.empty', { what: many })} text={t(`thing.${resource.kind}.empty`)}>
          <Creations resource={resource} start={start} />
        </Empty>
      ) : (
        <>
          <div className="tools" role="toolbar" aria-label={t('resource.tools', { what: many })}>
            {where !== undefined && <h2>{many}</h2>}
            <Input
              allowClear
              prefix={<SearchOutlined aria-hidden="true" />}
              placeholder={t('resource.filter')}
              aria-label={t('resource.filter')}
              style={{ width: 240, maxWidth: '100%' }}
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
            {states.length > 1 && (
              <Select
                aria-label={t('resource.state')}
                style={{ width: 150 }}
                value={state}
                onChange={setState}
                options={[{ value: null, label: t('resource.anyState') }, ...states.map((raw) => ({ value: raw, label: stateWord(t, raw) }))]}
              />
            )}
            <span className="grow" />
            {where !== undefined && <Creations resource={resource} start={start} />}
            <Bulk actions={bulk} chosen={chosen} start={start} />
          </div>
          <Wide label={many}>
            <Table<R>
              size="middle"
              rowKey={resource.id}
              columns={columns}
              dataSource={shown}
              loading={rows.isPending}
              {...(bulk.length > 0 && {
                rowSelection: {
                  selectedRowKeys: chosen.map(resource.id),
                  onChange: (keys) => setSelected(keys as string[]),
                  getCheckboxProps: (row) => ({ 'aria-label': t('resource.select', { name: resource.name(row) }) }),
                  getTitleCheckboxProps: () => ({ 'aria-label': t('resource.selectAll') }),
                },
              })}
              pagination={{ defaultPageSize: 20, hideOnSinglePage: true, showSizeChanger: true, pageSizeOptions: [20, 50, 100] }}
              locale={{ emptyText: <p className="muted">{t('resource.noMatch')}</p> }}
              showSorterTooltip={false}
            />
          </Wide>
        </>
      )}
      {dialog}
    </div>
  );
}

export function matches<R>(resource: Resource<R>, row: R, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return (
    wanted === '' ||
    resource.name(row).toLowerCase().includes(wanted) ||
    resource.id(row).toLowerCase().startsWith(wanted) ||
    resource.terms?.(row).some((term) => term?.toLowerCase().includes(wanted)) === true
  );
}

/** The buttons that make a new one. */
export function Creations<R>({ resource, start }: { resource: Resource<R>; start: Start<R> }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  return offered(resource.create, scope).map((action, i) => (
    <Button key={action.key} type={i === 0 ? 'primary' : 'default'} {...(i === 0 && { icon: <PlusOutlined /> })} onClick={() => start(action, [])}>
      {t(action.word)}
    </Button>
  ));
}

const handy = 4; // what has a button, the rest is in a menu

/** What can be done with all chosen rows. Those whose state does not allow it are named by the dialog. */
export function Bulk<R>({ actions, chosen, start }: { actions: Action<R>[]; chosen: R[]; start: Start<R> }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  if (actions.length === 0) {
    return null;
  }
  const able = (action: Action<R>) => chosen.some((row) => action.able?.(row, scope) !== false);
  const buttons = actions.length <= handy ? actions : [...actions.slice(0, handy - 1), ...actions.slice(-1)];
  const others = actions.filter((action) => !buttons.includes(action));
  return (
    <div className={chosen.length > 0 ? 'row bulk' : 'row bulk idle'}>
      {chosen.length > 0 && <span className="muted nums">{t('resource.selected', { count: chosen.length })}</span>}
      {buttons.map((action) => (
        <Button key={action.key} danger={action.danger === true} disabled={!able(action)} onClick={() => start(action, chosen)}>
          {t(action.word)}
        </Button>
      ))}
      {others.length > 0 && (
        <ActionMenu actions={others.filter(able)} choose={(action) => start(action, chosen)}>
          <Button disabled={!others.some(able)}>{t('resource.more')}</Button>
        </ActionMenu>
      )}
    </div>
  );
}

function useColumns<R>(resource: Resource<R>, scope: Scope, start: Start<R>, say: Say): TableColumnsType<R> {
  const { t } = say;
  const { data: projects } = useQuery({ ...projectNamesQuery, enabled: scope.all });
  const columns: TableColumnsType<R> = [
    {
      title: t('field.name'),
      key: 'name',
      sorter: (a, b) => resource.name(a).localeCompare(resource.name(b)),
      render: (_, row) => <NameOf resource={resource} row={row} />,
    },
  ];
  if (resource.state !== undefined) {
    columns.push({
      title: t('field.status'),
      key: 'state',
      sorter: (a, b) => (resource.state?.(a).raw ?? '').localeCompare(resource.state?.(b).raw ?? ''),
      render: (_, row) => <StateOf resource={resource} row={row} />,
    });
  }
  for (const column of resource.columns) {
    columns.push(drawn(column, say));
  }
  if (scope.all && resource.project !== undefined) {
    columns.push({
      title: t('field.project'),
      key: 'project',
      responsive: ['md'],
      render: (_, row) => {
        const id = resource.project?.(row) ?? '';
        return projects?.get(id) ?? <span className="mono">{id.slice(0, 8)}</span>;
      },
    });
  }
  if (offered(resource.actions, scope).length > 0) {
    columns.push({
      title: <span className="unseen">{t('field.actions')}</span>,
      key: 'actions',
      width: 56,
      render: (_, row) => <Menu resource={resource} row={row} scope={scope} start={start} />,
    });
  }
  return columns;
}

function drawn<R>(column: Column<R>, say: Say): TableColumnsType<R>[number] {
  const { sort } = column;
  return {
    title: say.t(column.word),
    key: column.word,
    ...(column.from !== undefined && { responsive: [column.from] }),
    ...(column.right === true && { align: 'right' }),
    ...(sort !== undefined && {
      sorter: (a, b) => {
        const [x, y] = [sort(a), sort(b)];
        return typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
      },
    }),
    render: (_, row) => column.show(row, say),
  };
}

/** The name, which leads to the row's own page where it has one. */
export function NameOf<R>({ resource, row }: { resource: Resource<R>; row: R }): ReactNode {
  const name = resource.name(row);
  if (resource.place !== undefined) {
    return (
      <Link to={resource.place(row) as '/'} className="name">
        {name}
      </Link>
    );
  }
  if (resource.read === undefined) {
    return <strong className="name">{name}</strong>;
  }
  return (
    <Link to="/$kind/$id" params={{ kind: resource.kind, id: resource.id(row) }} className="name">
      {name}
    </Link>
  );
}

function Menu<R>({ resource, row, scope, start }: { resource: Resource<R>; row: R; scope: Scope; start: Start<R> }) {
  const { t } = useTranslation();
  return (
    <ActionMenu actions={offered(resource.actions, scope)} able={(action) => action.able?.(row, scope) !== false} choose={(action) => start(action, [row])}>
      <Button type="text" icon={<EllipsisOutlined />} aria-label={t('resource.menu', { name: resource.name(row) })} />
    </ActionMenu>
  );
}

interface MenuProps<R> {
  actions: Action<R>[];
  able?: (action: Action<R>) => boolean;
  choose: (action: Action<R>) => void;
  /** What opens it. */
  children: ReactNode;
}

/** Actions to choose one from. */
function ActionMenu<R>({ actions, able = () => true, choose, children }: MenuProps<R>) {
  const { t } = useTranslation();
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      menu={{
        items: actions.map((action) => ({ key: action.key, label: t(action.word), danger: action.danger === true, disabled: !able(action) })),
        onClick: ({ key, domEvent }) => {
          domEvent.preventDefault(); // or Enter would press what the dialog focuses
          const action = actions.find((each) => each.key === key);
          if (action !== undefined) {
            choose(action);
          }
        },
      }}
    >
      {children}
    </Dropdown>
  );
}
