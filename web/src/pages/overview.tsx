import { useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { actionsQuery, computeLimitsQuery, serversQuery, type Server } from '../api/compute';
import { networkQuotaQuery } from '../api/network';
import { volumeLimitsQuery } from '../api/volume';
import { gibibytes, memory } from '../format';
import { may } from '../resource/resource';
import { useHere } from '../shell/here';
import { tone, type Tone } from '../state';
import { PageHead, Panel } from '../ui/page';
import { Problem } from '../ui/problem';
import { Mark, ServerStatus } from '../ui/status';
import { Ago } from '../ui/time';
import { Usage } from '../ui/usage';
import { useActionWord } from './instance/history';
import { PlusOutlined } from '../ui/icons';

const often = { refetchInterval: 10_000 };

export default function Overview() {
  const { t } = useTranslation();
  const { project, roles } = useHere();
  return (
    <>
      <PageHead title={t('overview.title', { project: project.name })}>
        {may(roles, 'member') && (
          <Link to="/launch">
            <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
              {t('instances.launch')}
            </Button>
          </Link>
        )}
      </PageHead>
      <Quotas />
      <div className="columns" style={{ marginTop: 16 }}>
        <Instances />
        <Activity />
      </div>
    </>
  );
}

function Quotas() {
  const { t } = useTranslation();
  const { project } = useHere();
  const compute = useQuery({ ...computeLimitsQuery, ...often });
  const volume = useQuery({ ...volumeLimitsQuery, ...often });
  const network = useQuery({ ...networkQuotaQuery(project.id), ...often });
  const error = compute.error ?? volume.error ?? network.error;
  const c = compute.data;
  const v = volume.data;
  const n = network.data;
  return (
    <Panel title={t('overview.usage')}>
      {error && (
        <div style={{ marginBottom: 16 }}>
          <Problem error={error} />
        </div>
      )}
      {compute.isPending || volume.isPending || network.isPending ? (
        <Skeleton active title={false} paragraph={{ rows: 4 }} />
      ) : (
        <div className="usage-grid">
          {c && (
            <>
              <Usage label={t('quota.instances')} used={c.totalInstancesUsed} limit={c.maxTotalInstances} />
              <Usage label={t('quota.cores')} used={c.totalCoresUsed} limit={c.maxTotalCores} />
              <Usage label={t('quota.ram')} used={c.totalRAMUsed} limit={c.maxTotalRAMSize} show={memory} />
            </>
          )}
          {v && (
            <>
              <Usage label={t('quota.volumes')} used={v.totalVolumesUsed} limit={v.maxTotalVolumes} />
              <Usage label={t('quota.gigabytes')} used={v.totalGigabytesUsed} limit={v.maxTotalVolumeGigabytes} show={gibibytes} />
            </>
          )}
          {n &&
            (['floatingip', 'network', 'port', 'router', 'security_group'] as const).map((kind) => {
              const quota = n[kind];
              return quota && <Usage key={kind} label={t(`quota.${kind}`)} used={quota.used} limit={quota.limit} />;
            })}
        </div>
      )}
    </Panel>
  );
}

function Instances() {
  const { t } = useTranslation();
  const { data: servers, isPending } = useQuery(serversQuery);
  const counts = new Map<Tone, number>();
  for (const server of servers ?? []) {
    const key = tone(server);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return (
    <Panel title={t('nav.instances')} tools={<Link to="/instances">{t('overview.all')}</Link>}>
      {isPending && <Skeleton active title={false} />}
      {servers?.length === 0 && (
        <p className="muted" style={{ margin: 0 }}>
          {t('overview.noInstances')}
        </p>
      )}
      {servers && servers.length > 0 && (
        <>
          <div className="row" style={{ gap: 20, marginBottom: 14 }}>
            {(['ok', 'busy', 'off', 'warn', 'bad'] as const)
              .filter((key) => counts.has(key))
              .map((key) => (
                <Mark key={key} tone={key}>
                  <strong className="nums">{counts.get(key)}</strong> {t(`tone.${key}`)}
                </Mark>
              ))}
          </div>
          {recent(servers).map((server) => (
            <div key={server.id} className="row" style={{ padding: '5px 0' }}>
              <Link to="/instances/$id/$tab" params={{ id: server.id, tab: 'overview' }}>
                {server.name}
              </Link>
              <span style={{ flex: 1 }} />
              <ServerStatus server={server} />
            </div>
          ))}
        </>
      )}
    </Panel>
  );
}

const recent = (servers: Server[]) => [...servers].sort((a, b) => b.updated.localeCompare(a.updated)).slice(0, 6);

/** What was last done, over the instances that changed last: the API has no list of everything. */
function Activity() {
  const { t } = useTranslation();
  const word = useActionWord();
  const { data: servers } = useQuery(serversQuery);
  const touched = recent(servers ?? []);
  const histories = useQueries({ queries: touched.map((server) => ({ ...actionsQuery(server.id), refetchInterval: 5_000 })) });
  const entries = histories
    .flatMap((history, i) => (history.data ?? []).map((action) => ({ action, server: touched[i] })))
    .sort((a, b) => b.action.start_time.localeCompare(a.action.start_time))
    .slice(0, 8);
  return (
    <Panel title={t('overview.activity')}>
      {entries.length === 0 && (
        <p className="muted" style={{ margin: 0 }}>
          {t('overview.noActivity')}
        </p>
      )}
      {entries.map(({ action, server }) =>
        server === undefined ? null : (
          <div key={action.request_id + server.id} className="row" style={{ padding: '5px 0' }}>
            <span>{word(action.action)}</span>
            <Link to="/instances/$id/$tab" params={{ id: server.id, tab: 'history' }}>
              {server.name}
            </Link>
            {action.message && <Mark tone="bad">{t('history.bad')}</Mark>}
            <span style={{ flex: 1 }} />
            <span className="muted small">
              <Ago time={action.start_time} />
            </span>
          </div>
        ),
      )}
    </Panel>
  );
}
