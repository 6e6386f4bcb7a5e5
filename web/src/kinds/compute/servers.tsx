import { all } from '../../api/client';
import { transient, type Server } from '../../api/compute';
import { define, label, type Resource } from '../../resource/resource';
import { addresses, tone } from '../../state';
import { serverActions } from './server-actions';
import { DesktopOutlined } from '../../ui/icons';

/** Servers as others find them; their own pages are in pages/instances. */
export const servers: Resource<Server> = {
  kind: 'servers',
  icon: <DesktopOutlined />,
  list: (scope, signal) => all('compute', scope.all ? '/servers/detail?limit=1000&all_tenants=1&soft_deleted=1' : '/servers/detail?limit=1000', 'servers', signal),
  id: (row) => row.id,
  name: label,
  place: (row) => `/instances/${row.id}/overview`,
  terms: (row) => addresses(row).map((address) => address.addr),
  project: (row) => row.tenant_id,
  state: (row) => ({ raw: row.status, tone: tone(row) }),
  moves: transient,
  columns: [],
  actions: serverActions,
};

export default define(servers);
