import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Modal, Radio, Select, Spin } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { serversQuery, type Server } from '../../api/compute';
import { allocate, associate, floatingIPsQuery, networksQuery, release, serverPortsQuery, type FloatingIP } from '../../api/network';
import { perform } from '../../api/client';
import { AsCommand } from '../../resource/as-command';
import { Problem } from '../../ui/problem';

/** Makes an instance reachable from outside, and takes that back. */
export function FloatingIPDialog({ server, close }: { server: Server; close: () => void }) {
  const { t } = useTranslation();
  const ports = useQuery(serverPortsQuery(server.id));
  const addresses = useQuery(floatingIPsQuery);
  const networks = useQuery(networksQuery);
  const error = ports.error ?? addresses.error ?? networks.error;
  const ready = ports.data && addresses.data && networks.data;
  const mine = addresses.data?.filter((a) => ports.data?.some((port) => port.id === a.port_id)) ?? [];
  return (
    <Modal open title={t('floating.title', { name: server.name })} onCancel={close} footer={null} destroyOnHidden>
      {error && <Problem error={error} />}
      {!error && !ready && <Spin />}
      {ready && (
        <div className="stack">
          <p className="muted" style={{ margin: 0 }}>
            {t('floating.help')}
          </p>
          {mine.map((address) => (
            <Associated key={address.id} address={address} />
          ))}
          <Associate server={server} close={close} />
        </div>
      )}
    </Modal>
  );
}

function useRefresh() {
  const queryClient = useQueryClient();
  return () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: floatingIPsQuery.queryKey }),
      queryClient.invalidateQueries({ queryKey: serversQuery.queryKey }),
      queryClient.invalidateQueries({ queryKey: ['limits'] }),
    ]);
}

function Associated({ address }: { address: FloatingIP }) {
  const { t } = useTranslation();
  const refresh = useRefresh();
  const take = useMutation({
    mutationFn: async (forGood: boolean): Promise<unknown> =>
      perform(forGood ? release(address.id) : associate(address.id, null)),
    onSuccess: refresh,
  });
  return (
    <>
      <div className="row">
        <strong className="mono">{address.floating_ip_address}</strong>
        <span className="muted mono">→ {address.fixed_ip_address}</span>
        <span style={{ flex: 1 }} />
        <Button size="small" loading={take.isPending} onClick={() => take.mutate(false)}>
          {t('floating.disassociate')}
        </Button>
        <Button size="small" danger loading={take.isPending} onClick={() => take.mutate(true)}>
          {t('floating.release')}
        </Button>
      </div>
      <AsCommand calls={[associate(address.id, null)]} title={t('floating.disassociate')} />
      <AsCommand calls={[release(address.id)]} title={t('floating.release')} />
      {take.error && <Problem error={take.error} />}
    </>
  );
}

function Associate({ server, close }: { server: Server; close: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const refresh = useRefresh();
  const { data: ports = [] } = useQuery(serverPortsQuery(server.id));
  const { data: all = [] } = useQuery(floatingIPsQuery);
  const { data: networks = [] } = useQuery(networksQuery);
  const taken = new Set(all.map((a) => a.port_id));
  const targets = ports.filter((port) => !taken.has(port.id) && port.fixed_ips.some((ip) => !ip.ip_address.includes(':')));
  const pools = networks.filter((network) => network['router:external']);
  const free = all.filter((a) => a.port_id === null);

  const [source, setSource] = useState<string>();
  const [target, setTarget] = useState<string>();
  const from = source ?? free[0]?.id ?? pools[0]?.id;
  const to = target ?? targets[0]?.id;
  const call = from === undefined || to === undefined ? undefined : free.some((a) => a.id === from) ? associate(from, to) : allocate(from, to);
  const join = useMutation({
    mutationFn: async () => {
      if (call === undefined) {
        throw new Error('nothing to join');
      }
      return (await perform(call)) as { floatingip: FloatingIP };
    },
    onSuccess: async ({ floatingip }) => {
      await refresh();
      message.success(t('floating.done', { address: floatingip.floating_ip_address, name: server.name }));
      close();
    },
  });

  if (targets.length === 0) {
    return <p className="muted">{t('floating.noPort')}</p>;
  }
  if (pools.length === 0 && free.length === 0) {
    return <p className="muted">{t('floating.noPool')}</p>;
  }
  return (
    <>
      <div>
        <div id="floating-source" className="muted" style={{ marginBottom: 6 }}>
          {t('floating.source')}
        </div>
        <Radio.Group
          aria-labelledby="floating-source"
          value={from}
          onChange={(event) => setSource(event.target.value as string)}
          style={{ display: 'flex', flexDirection: 'column', gap: 8 }}
        >
          {free.map((address) => (
            <Radio key={address.id} value={address.id}>
              <span className="mono">{address.floating_ip_address}</span>
            </Radio>
          ))}
          {pools.map((network) => (
            <Radio key={network.id} value={network.id}>
              {t('floating.new', { network: network.name })}
            </Radio>
          ))}
        </Radio.Group>
      </div>
      {targets.length > 1 && (
        <Select
          aria-label={t('floating.target')}
          value={to}
          onChange={setTarget}
          options={targets.map((port) => ({ value: port.id, label: port.fixed_ips.map((ip) => ip.ip_address).join(', ') }))}
        />
      )}
      {call && <AsCommand calls={[call]} />}
      {join.error && <Problem error={join.error} />}
      <div className="row" style={{ justifyContent: 'flex-end' }}>
        <Button onClick={close}>{t('cancel')}</Button>
        <Button type="primary" loading={join.isPending} onClick={() => join.mutate()}>
          {t('floating.associate')}
        </Button>
      </div>
    </>
  );
}
