import { all } from '../../api/client';
import { define, put, type Action } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { ControlOutlined } from '../../ui/icons';
import { Ago } from '../../ui/time';

interface Service {
  id: string;
  binary: string;
  host: string;
  zone: string;
  status: string;
  state: string;
  updated_at: string | null;
  disabled_reason: string | null;
  forced_down?: boolean;
  of: 'compute' | 'volume';
}

const set = (row: Service, body: Record<string, unknown>) => ({
  ...put('compute', `/os-services/${row.id}`, body),
  // The command knows a service by its host and program.
  operands: { host: row.host, binary: row.binary },
});

const own = (row: Service) => row.of === 'compute';

const actions: Action<Service>[] = [
  { key: 'service-enable', word: 'service.enable', bulk: true, ask: 'service.enableAsk', able: (row) => own(row) && row.status === 'disabled', call: (_, row) => set(row, { status: 'enabled' }) },
  {
    key: 'service-disable',
    word: 'service.disable',
    bulk: true,
    ask: 'service.disableAsk',
    able: (row) => own(row) && row.status === 'enabled',
    fields: [{ key: 'disabled_reason', label: 'service.reason', kind: 'text', max: 255 }],
    call: (body, row) => set(row, { status: 'disabled', ...body }),
  },
  { key: 'service-down', word: 'service.down', ask: 'service.downAsk', danger: true, able: (row) => own(row) && row.forced_down !== true, call: (_, row) => set(row, { forced_down: true }) },
  { key: 'service-up', word: 'service.up', ask: 'service.upAsk', able: (row) => own(row) && row.forced_down === true, call: (_, row) => set(row, { forced_down: false }) },
];

/** The parts of the cloud that run on hosts. */
export default define<Service>({
  kind: 'services',
  icon: <ControlOutlined />,
  list: async (_, signal) => {
    const [compute, volume] = await Promise.all([all<Service>('compute', '/os-services', 'services', signal), all<Service>('volume', '/os-services', 'services', signal)]);
    return [
      ...compute.map((row) => ({ ...row, of: 'compute' as const })),
      ...volume.map((row) => ({ ...row, of: 'volume' as const, id: `${row.binary}@${row.host}` })),
    ];
  },
  id: (row) => row.id,
  name: (row) => row.binary,
  terms: (row) => [row.host, row.zone],
  state: (row) => ({ ...stateBy(row.state), why: row.forced_down === true ? 'forced_down' : null }),
  columns: [
    { word: 'field.host', sort: (row) => row.host, show: (row) => row.host },
    {
      word: 'service.enabled',
      show: (row, { t }) => (
        <>
          {t(row.status === 'enabled' ? 'yes' : 'no')}
          {row.disabled_reason && <div className="reason">{row.disabled_reason}</div>}
        </>
      ),
    },
    { word: 'field.zone', from: 'md', show: (row) => row.zone },
    { word: 'field.updated', from: 'md', show: (row) => row.updated_at && <Ago time={row.updated_at} /> },
  ],
  actions,
});
