import { useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import { Button, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, type Call } from '../api/client';
import { account, head } from '../api/object';
import { bytes, gibibytes, memory, number } from '../format';
import { ActionDialog } from '../resource/dialog';
import { projectNamesQuery } from '../resource/query';
import { put, type Action, type Word } from '../resource/resource';
import { useHere } from '../shell/here';
import { DashboardOutlined } from '../ui/icons';
import { PageHead, Panel } from '../ui/page';
import { Problem } from '../ui/problem';
import { Usage } from '../ui/usage';

interface Quota {
  limit: number;
  used: number;
}

type Set = Record<string, Quota>;

const parts = ['compute', 'volume', 'network'] as const;
type Part = (typeof parts)[number];

// What of each service is worth a bar, and how its numbers are read.
const shown: Record<Part, Record<string, { word: Word; show?: (n: number, language: string) => string }>> = {
  compute: {
    instances: { word: 'quota.instances' },
    cores: { word: 'quota.cores' },
    ram: { word: 'quota.ram', show: memory },
    server_groups: { word: 'thing.server-groups.many' },
    key_pairs: { word: 'thing.keypairs.many' },
  },
  volume: {
    volumes: { word: 'quota.volumes' },
    gigabytes: { word: 'quota.gigabytes', show: gibibytes },
    snapshots: { word: 'thing.snapshots.many' },
    backups: { word: 'thing.backups.many' },
    backup_gigabytes: { word: 'quota.backupGigabytes', show: gibibytes },
  },
  network: {
    network: { word: 'quota.network' },
    subnet: { word: 'thing.subnets.many' },
    port: { word: 'quota.port' },
    router: { word: 'quota.router' },
    floatingip: { word: 'quota.floatingip' },
    security_group: { word: 'quota.security_group' },
    security_group_rule: { word: 'thing.rules.many' },
  },
};

interface Reply {
  quota_set?: Record<string, QuotaReply>;
  quota?: Record<string, QuotaReply>;
}
type QuotaReply = { limit: number; in_use?: number; used?: number } | string;

const paths: Record<Part, (project: string) => string> = {
  compute: (project) => `/os-quota-sets/${project}/detail`,
  volume: (project) => `/os-quota-sets/${project}?usage=true`,
  network: (project) => `/quotas/${project}/details`,
};

async function read(part: Part, project: string, signal: AbortSignal): Promise<Set> {
  const reply = await ask<Reply>(part, paths[part](project), { signal });
  return Object.fromEntries(
    Object.entries(reply.quota_set ?? reply.quota ?? {}).flatMap(([key, value]) =>
      typeof value === 'string' ? [] : [[key, { limit: value.limit, used: value.in_use ?? value.used ?? 0 }]],
    ),
  );
}

function change(part: Part, project: string, body: Record<string, unknown>): Call {
  return part === 'network' ? put('network', `/quotas/${project}`, { quota: body }) : put(part, `/os-quota-sets/${project}`, { quota_set: body });
}

/** How much of each quota is used; operators choose the project and change it. */
export default function Quotas() {
  const { t } = useTranslation();
  const { scope } = useHere();
  const asked = useSearch({ from: '/signed-in/quotas' }).project;
  const [project, setProject] = useState(scope.operator && asked !== undefined ? asked : scope.project.id);
  const { data: names } = useQuery({ ...projectNamesQuery, enabled: scope.operator });
  return (
    <>
      <PageHead title={t('nav.quotas')}>
        {scope.operator && (
          <Select
            aria-label={t('field.project')}
            style={{ width: 220, maxWidth: '100%' }}
            value={project}
            onChange={setProject}
            showSearch={{ optionFilterProp: 'label' }}
            options={[...(names ?? new Map([[scope.project.id, scope.project.name]]))].map(([value, label]) => ({ value, label }))}
          />
        )}
      </PageHead>
      <div className="stack">
        {parts.map((part) => (
          <Service key={part + project} part={part} project={project} />
        ))}
        {project === scope.project.id && <Objects />}
      </div>
    </>
  );
}

function Service({ part, project }: { part: Part; project: string }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const [editing, setEditing] = useState(false);
  const quotas = useQuery({ queryKey: ['quotas', part, project], queryFn: ({ signal }) => read(part, project, signal), refetchInterval: 10_000 });
  const known = Object.entries(shown[part]).filter(([key]) => quotas.data?.[key] !== undefined);
  const action: Action<Set> = {
    key: `quota-${part}`,
    word: 'quota.change',
    ask: 'quota.changeHelp',
    edits: true,
    fields: known.map(([key, { word }]) => ({ key, label: word, kind: 'number', min: -1, initial: (row) => row[key]?.limit })),
    call: (body) => change(part, project, body),
  };
  return (
    <Panel title={t(`quota.${part}`)} tools={scope.operator && quotas.data && <Button onClick={() => setEditing(true)}>{t('quota.change')}</Button>}>
      {quotas.error && <Problem error={quotas.error} />}
      {quotas.isPending && <Skeleton active title={false} />}
      <div className="usage-grid">
        {known.map(([key, { word, show }]) => {
          const quota = quotas.data?.[key];
          return quota && <Usage key={key} label={t(word)} used={quota.used} limit={quota.limit} {...(show && { show })} />;
        })}
      </div>
      {editing && quotas.data && (
        <ActionDialog
          resource={{ kind: 'hosts', icon: <DashboardOutlined />, list: async () => [], id: () => part, name: () => t(`quota.${part}`), columns: [] }}
          action={action}
          rows={[quotas.data]}
          close={() => setEditing(false)}
        />
      )}
    </Panel>
  );
}

/** What an account of object storage holds: it has a limit only where an operator set one. */
function Objects() {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const found = useQuery({ queryKey: ['quotas', 'object', scope.project.id], queryFn: ({ signal }) => head(account(scope.project.id), signal) });
  const count = (name: string) => Number(found.data?.[`x-account-${name}`] ?? 0);
  return (
    <Panel title={t('quota.object')}>
      {found.error && <Problem error={found.error} />}
      {found.data && (
        <div className="usage-grid">
          <Usage label={t('thing.containers.many')} used={count('container-count')} limit={-1} />
          <Usage label={t('object.many')} used={count('object-count')} limit={-1} />
          <Usage label={t('field.size')} used={count('bytes-used')} limit={count('meta-quota-bytes') || -1} show={(n) => (n === 0 ? number(0, i18n.language) : bytes(n, i18n.language))} />
        </div>
      )}
    </Panel>
  );
}
