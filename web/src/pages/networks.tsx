import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Table } from 'antd';
import { useTranslation } from 'react-i18next';
import { serversQuery } from '../api/compute';
import { floatingIPsQuery, networksQuery, release, subnetsQuery, type FloatingIP, type Network } from '../api/network';
import { addresses } from '../state';
import { Copyable } from '../ui/copy';
import { Empty } from '../ui/empty';
import { PageHead, Panel } from '../ui/page';
import { Problem, problemText } from '../ui/problem';
import { Mark } from '../ui/status';
import { ClusterOutlined, GlobalOutlined } from '../ui/icons';

export default function Networks() {
  const { t } = useTranslation();
  const networks = useQuery({ ...networksQuery, refetchInterval: 10_000 });
  const { data: subnets = [] } = useQuery(subnetsQuery);
  return (
    <>
      <PageHead title={t('nav.networks')} />
      {networks.error && networks.data === undefined ? (
        <Problem error={networks.error} retry={() => void networks.refetch()} />
      ) : (
        <Panel title={t('nav.networks')} bare>
          <Table<Network>
            size="middle"
            rowKey="id"
            loading={networks.isPending}
            dataSource={networks.data ?? []}
            pagination={{ pageSize: 50, hideOnSinglePage: true }}
            locale={{ emptyText: <Empty icon={<ClusterOutlined />} title={t('networks.empty')} text={t('networks.emptyText')} /> }}
            columns={[
              { title: t('field.name'), render: (_, n) => <strong>{n.name}</strong> },
              {
                title: t('field.status'),
                render: (_, n) => (
                  <Mark tone={n.status === 'ACTIVE' ? 'ok' : n.status === 'DOWN' ? 'off' : 'warn'} raw={n.status}>
                    {t(n.status === 'ACTIVE' ? 'networks.active' : n.status === 'DOWN' ? 'networks.down' : 'networks.other')}
                  </Mark>
                ),
              },
              {
                title: t('networks.subnets'),
                render: (_, n) =>
                  subnets
                    .filter((s) => s.network_id === n.id)
                    .map((s) => (
                      <div key={s.id}>
                        <span className="mono">{s.cidr}</span> <span className="muted">{s.name}</span>
                      </div>
                    )),
              },
              {
                title: t('networks.kind'),
                render: (_, n) => (
                  <span className="row">
                    {n['router:external'] && <span className="tag">{t('networks.external')}</span>}
                    {n.shared && <span className="tag">{t('networks.shared')}</span>}
                  </span>
                ),
              },
              { title: 'ID', responsive: ['lg'], render: (_, n) => <Copyable text={n.id} /> },
            ]}
          />
        </Panel>
      )}
      <FloatingIPs />
    </>
  );
}

function FloatingIPs() {
  const { t } = useTranslation();
  const { modal, notification } = App.useApp();
  const queryClient = useQueryClient();
  const list = useQuery({ ...floatingIPsQuery, refetchInterval: 10_000 });
  const { data: servers = [] } = useQuery(serversQuery);
  const drop = useMutation({
    mutationFn: (address: FloatingIP) => release(address.id),
    onError: (error) => notification.error({ title: t('floating.failed'), description: problemText(t, error) }),
    onSettled: () => queryClient.invalidateQueries({ queryKey: floatingIPsQuery.queryKey }),
  });
  const ask = async (address: FloatingIP) => {
    const sure = await modal.confirm({
      title: t('floating.releaseTitle', { address: address.floating_ip_address }),
      content: t('floating.releaseText'),
      okText: t('floating.release'),
      okButtonProps: { danger: true },
      cancelText: t('cancel'),
    });
    if (sure) {
      drop.mutate(address);
    }
  };
  if (list.error && list.data === undefined) {
    return <Problem error={list.error} retry={() => void list.refetch()} />;
  }
  return (
    <Panel title={t('floating.short')} bare>
      <Table<FloatingIP>
        size="middle"
        rowKey="id"
        loading={list.isPending}
        dataSource={list.data ?? []}
        pagination={{ pageSize: 50, hideOnSinglePage: true }}
        locale={{ emptyText: <Empty icon={<GlobalOutlined />} title={t('floating.empty')} text={t('floating.emptyText')} /> }}
        columns={[
          { title: t('field.address'), render: (_, a) => <Copyable text={a.floating_ip_address} /> },
          {
            title: t('floating.leadsTo'),
            render: (_, a) => {
              if (a.port_id === null) {
                return <span className="muted">{t('floating.free')}</span>;
              }
              const server = servers.find((s) => addresses(s).some((one) => one.addr === a.floating_ip_address));
              return (
                <>
                  <span className="mono">{a.fixed_ip_address}</span> {server && <span className="muted">{server.name}</span>}
                </>
              );
            },
          },
          {
            title: '',
            align: 'right',
            render: (_, a) => (
              <Button
                size="small"
                aria-label={t('floating.releaseLabel', { address: a.floating_ip_address })}
                onClick={() => void ask(a)}
              >
                {t('floating.release')}
              </Button>
            ),
          },
        ]}
      />
    </Panel>
  );
}
