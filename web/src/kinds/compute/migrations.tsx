import { useQuery } from '@tanstack/react-query';
import { all } from '../../api/client';
import { planQuery } from '../../api/plans';
import { code, created, Ref } from '../../resource/ref';
import { define, type State } from '../../resource/resource';
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
});

/** The step that a server on its way is at, and since when; or when its way ended. */
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
      </>
    )
  );
}
