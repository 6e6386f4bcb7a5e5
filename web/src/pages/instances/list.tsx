import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Button, Dropdown, Input, Select, Table, type TableColumnsType } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allServersQuery, serversQuery, type Server } from '../../api/compute';
import { imagesQuery } from '../../api/image';
import { memory } from '../../format';
import { AllProjects } from '../../resource/list-page';
import { projectNamesQuery } from '../../resource/query';
import { useHere } from '../../shell/here';
import { addresses, tone, type Tone } from '../../state';
import { Empty } from '../../ui/empty';
import { PageHead } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { Reason, ServerStatus } from '../../ui/status';
import { Ago } from '../../ui/time';
import { Wide } from '../../ui/wide';
import { useActs, type Start } from '../../resource/acts';
import { menuOf, serverActions, startByKey } from '../../kinds/compute/server-actions';
import resource from '../../kinds/compute/servers';
import { may, offered, type Resource } from '../../resource/resource';
import { Bulk } from '../../resource/rows';
import { FloatingIPDialog } from './floating-ip';
import { DesktopOutlined, EllipsisOutlined, PlusOutlined, SearchOutlined } from '../../ui/icons';

const kind = resource as unknown as Resource<Server>;
const none: Server[] = [];

export default function Instances() {
  const { t } = useTranslation();
  const { scope } = useHere();
  const servers = useQuery(scope.all ? allServersQuery : serversQuery);
  const [text, setText] = useState('');
  const [state, setState] = useState<Tone | null>(null);
  const [selected, setSelected] = useState<string[]>([]);
  const [floating, setFloating] = useState<Server | null>(null);
  const { start, dialog } = useActs(kind);
  const list = servers.data ?? none;
  const shown = useMemo(() => matching(list, text, state), [list, text, state]);
  const bulk = offered(serverActions, scope).filter((action) => action.bulk === true);
  const columns = useColumns(start, setFloating);
  // What was deleted meanwhile is no longer selected.
  const chosen = list.filter((server) => selected.includes(server.id));

  const launch = may(scope.roles, 'member') && (
    <Link to="/launch">
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t('instances.launch')}
      </Button>
    </Link>
  );
  return (
    <>
      <PageHead title={t('nav.instances')} beside={<span className="tag nums">{servers.data?.length ?? '…'}</span>}>
        {scope.operator && <AllProjects />}
        {launch}
      </PageHead>
      {servers.error && servers.data === undefined ? (
        <Problem error={servers.error} retry={() => void servers.refetch()} />
      ) : (
        <div className="panel">
          {servers.data?.length === 0 ? (
            <Empty icon={<DesktopOutlined />} title={t('instances.empty.title')} text={t('instances.empty.text')}>
              {launch}
            </Empty>
          ) : (
            <>
              {servers.error && <Problem error={servers.error} hint={t('instances.stale')} />}
              <div className="tools" role="toolbar" aria-label={t('instances.tools')}>
                <Input
                  allowClear
                  prefix={<SearchOutlined aria-hidden="true" />}
                  placeholder={t('instances.filter')}
                  aria-label={t('instances.filter')}
                  style={{ width: 260, maxWidth: '100%' }}
                  value={text}
                  onChange={(event) => setText(event.target.value)}
                />
                <Select<Tone | null>
                  aria-label={t('instances.state')}
                  style={{ width: 150 }}
                  value={state}
                  onChange={setState}
                  options={[
                    { value: null, label: t('instances.anyState') },
                    ...(['ok', 'busy', 'off', 'warn', 'bad'] as const).map((value) => ({ value, label: t(`tone.${value}`) })),
                  ]}
                />
                <span className="grow" />
                <Bulk actions={bulk} chosen={chosen} start={start} />
              </div>
              <Wide label={t('nav.instances')}>
              <Table<Server>
                size="middle"
                rowKey="id"
                columns={columns}
                dataSource={shown}
                loading={servers.isPending}
                {...(bulk.length > 0 && {
                  rowSelection: {
                    selectedRowKeys: chosen.map((server) => server.id),
                    onChange: (keys) => setSelected(keys as string[]),
                    getCheckboxProps: (server) => ({ 'aria-label': t('instances.select', { name: server.name }) }),
                    getTitleCheckboxProps: () => ({ 'aria-label': t('instances.selectAll') }),
                  },
                })}
                pagination={{ defaultPageSize: 20, hideOnSinglePage: true, showSizeChanger: true, pageSizeOptions: [20, 50, 100] }}
                locale={{ emptyText: <p className="muted">{t('instances.noMatch')}</p> }}
                showSorterTooltip={false}
              />
              </Wide>
            </>
          )}
        </div>
      )}
      {dialog}
      {floating && <FloatingIPDialog server={floating} close={() => setFloating(null)} />}
    </>
  );
}

function matching(servers: Server[], text: string, state: Tone | null): Server[] {
  const wanted = text.trim().toLowerCase();
  return servers.filter(
    (server) =>
      (state === null || tone(server) === state) &&
      (wanted === '' ||
        server.name.toLowerCase().includes(wanted) ||
        server.id.startsWith(wanted) ||
        addresses(server).some((address) => address.addr.includes(wanted))),
  );
}

function useColumns(start: Start<Server>, float: (server: Server) => void): TableColumnsType<Server> {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const { data: images } = useQuery(imagesQuery);
  const { data: projects } = useQuery({ ...projectNamesQuery, enabled: scope.all });
  return [
    {
      title: t('field.name'),
      key: 'name',
      sorter: (a, b) => a.name.localeCompare(b.name),
      render: (_, server) => (
        <Link to="/instances/$id/$tab" params={{ id: server.id, tab: 'overview' }} style={{ fontWeight: 600, overflowWrap: 'anywhere' }}>
          {server.name}
        </Link>
      ),
    },
    {
      title: t('field.status'),
      key: 'status',
      width: '24%',
      sorter: (a, b) => a.status.localeCompare(b.status),
      render: (_, server) => (
        <>
          <ServerStatus server={server} />
          <Reason server={server} />
        </>
      ),
    },
    {
      title: t('field.addresses'),
      key: 'addresses',
      render: (_, server) =>
        addresses(server).map((address) => (
          <div key={address.addr} className="mono" style={{ whiteSpace: 'nowrap' }}>
            {address.addr}
            {address['OS-EXT-IPS:type'] === 'floating' && <span className="tag" style={{ marginLeft: 6 }}>{t('instances.floating')}</span>}
          </div>
        )),
    },
    {
      title: t('field.flavor'),
      key: 'flavor',
      responsive: ['lg'],
      render: (_, server) => (
        <>
          {server.flavor.original_name}
          <div className="muted small nums" style={{ whiteSpace: 'nowrap' }}>
            {t('flavor.short', { vcpus: server.flavor.vcpus, ram: memory(server.flavor.ram, i18n.language) })}
          </div>
        </>
      ),
    },
    {
      title: t('field.image'),
      key: 'image',
      responsive: ['xl'],
      render: (_, server) => {
        if (server.image === '') {
          return <span className="muted">{t('instances.fromVolume')}</span>;
        }
        const { id } = server.image;
        return images?.find((image) => image.id === id)?.name ?? <span className="mono">{id.slice(0, 8)}</span>;
      },
    },
    ...(scope.all
      ? [{ title: t('field.project'), key: 'project', render: (_: unknown, server: Server) => projects?.get(server.tenant_id) ?? <span className="mono">{server.tenant_id.slice(0, 8)}</span> }]
      : []),
    {
      title: t('field.created'),
      key: 'created',
      responsive: ['md'],
      defaultSortOrder: 'descend',
      sorter: (a, b) => a.created.localeCompare(b.created) || a.name.localeCompare(b.name),
      render: (_, server) => (
        <span style={{ whiteSpace: 'nowrap' }}>
          <Ago time={server.created} />
        </span>
      ),
    },
    ...(may(scope.roles, 'member')
      ? [
          {
            title: <span className="unseen">{t('field.actions')}</span>,
            key: 'actions',
            width: 56,
            render: (_: unknown, server: Server) => <RowMenu server={server} start={start} float={float} />,
          },
        ]
      : []),
  ];
}

function RowMenu({ server, start, float }: { server: Server; start: Start<Server>; float: (server: Server) => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { scope } = useHere();
  const items = [
    ...menuOf(server, scope, t),
    { type: 'divider' as const },
    { key: 'console', label: t('tab.console'), disabled: server.status !== 'ACTIVE' },
    { key: 'floating', label: t('floating.manage') },
  ];
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      menu={{
        items,
        onClick: ({ key, domEvent }) => {
          domEvent.preventDefault(); // or Enter would press what the dialog focuses
          if (key === 'console') {
            void navigate({ to: '/instances/$id/$tab', params: { id: server.id, tab: 'console' } });
          } else if (key === 'floating') {
            float(server);
          } else {
            startByKey(start, key, server);
          }
        },
      }}
    >
      <Button type="text" icon={<EllipsisOutlined />} aria-label={t('instances.menu', { name: server.name })} />
    </Dropdown>
  );
}
