import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { all, ask } from '../../api/client';
import { planQuery } from '../../api/plans';
import { bytes } from '../../format';
import { code, created, Ref } from '../../resource/ref';
import { define, del, post, type Action, type State } from '../../resource/resource';
import { SwapOutlined } from '../../ui/icons';
import { Ago, Lasting } from '../../ui/time';

interface Migration {
  id: number;
  uuid: string;
  instance_uuid: string;
  migration_type: string;
  status: string;
  source_compute: string | null;
  dest_compute: string | null;
  created_at: string;
  updated_at: string | null;
}

const over = new Set(['confirmed', 'reverted', 'completed', 'cancelled', 'failed', 'error', 'done']);
const failed = new Set(['cancelled', 'failed', 'error']);
// A server that has arrived waits for somebody to keep it there.
const moves = (row: Migration) => !over.has(row.status) && row.status !== 'finished';

const state = (row: Migration): State => ({ raw: row.status, tone: failed.has(row.status) ? 'bad' : moves(row) ? 'busy' : row.status === 'finished' ? 'warn' : 'ok' });

const path = (row: Migration) => `/servers/${row.instance_uuid}/migrations/${row.id}`;

/** What can be done with a running guest that is on its way, while its state is one of these. */
const underway = (states: string[], action: Omit<Action<Migration>, 'able' | 'by' | 'bulk'>): Action<Migration> => ({
  ...action,
  by: 'manager',
  bulk: true,
  able: (row) => row.migration_type === 'live-migration' && states.includes(row.status),
});

/** The ways of servers from host to host, newest first: those under way with what they are at. */
export default define<Migration>({
  kind: 'migrations',
  icon: <SwapOutlined />,
  list: async (_, signal) => (await all<Migration>('compute', '/os-migrations?limit=200', 'migrations', signal, 1000)).sort((a, b) => b.id - a.id),
  id: (row) => row.uuid,
  name: (row) => String(row.id),
  terms: (row) => [row.instance_uuid, row.source_compute, row.dest_compute],
  state,
  moves,
  work: (row) => row.instance_uuid,
  columns: [
    { word: 'thing.servers.one', show: (row) => <Ref kind="servers" id={row.instance_uuid} /> },
    { word: 'field.type', sort: (row) => row.migration_type, show: (row, { t }) => (t('migration.kinds', { returnObjects: true }) as Record<string, string>)[row.migration_type] ?? row.migration_type },
    { word: 'migration.way', from: 'md', show: (row) => row.source_compute && <span className="mono">{`${row.source_compute} → ${row.dest_compute ?? '…'}`}</span> },
    { word: 'migration.progress', show: (row) => <Progress row={row} /> },
    created(),
    { word: 'field.id', from: 'xl', show: (row) => code(row.uuid) },
  ],
  actions: [
    underway(['running'], { key: 'migration-force', word: 'migration.force', ask: 'migration.forceAsk', call: (_, row) => post('compute', `${path(row)}/action`, { force_complete: null }) }),
    underway(['accepted', 'preparing', 'running'], { key: 'migration-abort', word: 'migration.abort', ask: 'migration.abortAsk', danger: true, call: (_, row) => del('compute', path(row)) }),
  ],
});

/** The step that a server on its way is at, what of it has moved, and since when; or when its way ended. */
function Progress({ row }: { row: Migration }) {
  const under = moves(row);
  const { data: plan } = useQuery({ ...planQuery(row.instance_uuid), enabled: under });
  if (!under) {
    return row.updated_at && <Ago time={row.updated_at} />;
  }
  return (
    plan != null && (
      <>
        {plan.step} · <Lasting since={plan.since} />
        {row.migration_type === 'live-migration' && <Moved row={row} />}
      </>
    )
  );
}

interface Live {
  uuid: string;
  memory_total_bytes: number;
  memory_processed_bytes: number;
  disk_total_bytes: number;
  disk_processed_bytes: number;
}

/** How much of a running guest is there already. */
function Moved({ row }: { row: Migration }) {
  const { t, i18n } = useTranslation();
  const { data } = useQuery({
    queryKey: ['live', row.instance_uuid],
    queryFn: async ({ signal }) => (await ask<{ migrations: Live[] }>('compute', `/servers/${row.instance_uuid}/migrations`, { signal })).migrations,
    refetchInterval: 1_000,
  });
  const live = data?.find((each) => each.uuid === row.uuid);
  const part = (done: number, whole: number) => t('usage.of', { used: bytes(done, i18n.language), limit: bytes(whole, i18n.language) });
  return (
    live && (
      <div className="reason nums">
        {t('migration.moved', { memory: part(live.memory_processed_bytes, live.memory_total_bytes), disk: part(live.disk_processed_bytes, live.disk_total_bytes) })}
      </div>
    )
  );
}
