import { zones, type Zone } from '../../api/compute';
import { define } from '../../resource/resource';
import { GlobalOutlined } from '../../ui/icons';
import { Mark } from '../../ui/status';

/** Where servers can be asked for. Who may not see hosts sees the zones alone. */
export default define<Zone>({
  kind: 'zones',
  icon: <GlobalOutlined />,
  list: (scope, signal) => zones(signal, scope.operator),
  id: (row) => row.zoneName,
  name: (row) => row.zoneName,
  terms: (row) => Object.keys(row.hosts ?? {}),
  state: (row) => (row.zoneState.available ? { raw: 'available', tone: 'ok' } : { raw: 'unavailable', tone: 'warn' }),
  columns: [
    {
      word: 'thing.hosts.many',
      show: (row, { t }) =>
        Object.entries(row.hosts ?? {}).map(([host, services]) => {
          const up = Object.values(services).every((service) => service.available && service.active);
          return (
            <div key={host}>
              <Mark tone={up ? 'ok' : 'warn'}>
                {host} <span className="unseen">{t(up ? 'stateOf.up' : 'stateOf.down')}</span>
              </Mark>
            </div>
          );
        }),
    },
  ],
});
