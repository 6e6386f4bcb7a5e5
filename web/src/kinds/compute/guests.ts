import { all } from '../../api/client';
import type { Server } from '../../api/compute';
import { define } from '../../resource/resource';
import { servers } from './servers';

/** The servers of all projects, as those who run the hosts see them. */
export default define<Server>({
  ...servers,
  list: (_, signal) => all('compute', '/servers/detail?limit=1000&all_tenants=1', 'servers', signal),
  columns: [
    { word: 'field.flavor', from: 'md', show: (row) => row.flavor.original_name },
    { word: 'field.zone', from: 'lg', show: (row) => row['OS-EXT-AZ:availability_zone'] },
  ],
});
