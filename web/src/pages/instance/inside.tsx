import { useQuery } from '@tanstack/react-query';
import { Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { diagnosticsQuery, topologyQuery, type Diagnostics, type Server } from '../../api/compute';
import { bytes, duration, memory, number } from '../../format';
import { may } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { Panel } from '../../ui/page';
import { Problem } from '../../ui/problem';

/** What the guest has of its host, and, for operators, what it did with it. */
export function Inside({ server }: { server: Server }) {
  const { roles } = useHere();
  return (
    <div className="columns">
      <Topology server={server} />
      {may(roles, 'admin') && <Counters server={server} />}
    </div>
  );
}

function Topology({ server }: { server: Server }) {
  const { t } = useTranslation();
  const topology = useQuery(topologyQuery(server.id));
  return (
    <Panel title={t('inside.topology')}>
      {topology.error && <Problem error={topology.error} retry={() => void topology.refetch()} />}
      {topology.isPending && <Skeleton active title={false} />}
      {topology.data?.nodes.length === 0 && (
        <p className="muted" style={{ margin: 0 }}>
          {t('inside.oneNode')}
        </p>
      )}
      <dl className="facts">
        {topology.data?.nodes.map((node, i) => (
          <Fact key={i} name={t('inside.node', { number: i })}>
            {t('inside.nodeHas', { memory: node.memory_mb, cpus: (node.vcpu_set ?? []).join(', ') })}
          </Fact>
        ))}
      </dl>
    </Panel>
  );
}

function Counters({ server }: { server: Server }) {
  const { t } = useTranslation();
  const runs = server.status === 'ACTIVE' || server.status === 'PAUSED' || server.status === 'RESCUE';
  const counters = useQuery({ ...diagnosticsQuery(server.id), enabled: runs });
  return (
    <Panel title={t('inside.diagnostics')}>
      {!runs && (
        <p className="muted" style={{ margin: 0 }}>
          {t('inside.off')}
        </p>
      )}
      {runs && counters.error && <Problem error={counters.error} retry={() => void counters.refetch()} />}
      {runs && counters.isPending && <Skeleton active title={false} />}
      {runs && counters.data && <Counted of={counters.data} />}
    </Panel>
  );
}

function Counted({ of }: { of: Diagnostics }) {
  const { t, i18n } = useTranslation();
  const language = i18n.language;
  const size = (n: number) => bytes(n, language);
  return (
    <dl className="facts">
      <Fact name={t('inside.uptime')}>{duration(of.uptime * 1000, language)}</Fact>
      <Fact name={t('quota.ram')}>{of.memory_details.used === null ? memory(of.memory_details.maximum, language) : t('usage.of', { used: memory(of.memory_details.used, language), limit: memory(of.memory_details.maximum, language) })}</Fact>
      {of.cpu_details.map((cpu) => (
        <Fact key={cpu.id} name={t('inside.cpu', { number: cpu.id })}>
          {duration(cpu.time / 1e6, language)}
        </Fact>
      ))}
      {of.disk_details.map((disk, i) => (
        <Fact key={i} name={t('inside.disk', { number: i })}>
          {t('inside.diskDid', { read: size(disk.read_bytes), written: size(disk.write_bytes) })}
        </Fact>
      ))}
      {of.nic_details.map((nic) => (
        <Fact key={nic.mac_address} name={<span className="mono">{nic.mac_address}</span>}>
          {t('inside.nicDid', { received: size(nic.rx_octets), sent: size(nic.tx_octets), dropped: number(nic.rx_drop + nic.tx_drop, language) })}
        </Fact>
      ))}
    </dl>
  );
}

function Fact({ name, children }: { name: React.ReactNode; children: React.ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className="nums">{children}</dd>
    </>
  );
}
