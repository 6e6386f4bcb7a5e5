import type { Server } from '../../api/compute';
import type { Resource } from '../../resource/resource';
import { servers } from './servers';

/** Servers as those who run the hosts see them. */
export const guests: Resource<Server> = {
  ...servers,
  columns: [
    { word: 'field.flavor', from: 'md', show: (row) => row.flavor.original_name },
    { word: 'field.zone', from: 'lg', show: (row) => row['OS-EXT-AZ:availability_zone'] },
  ],
};
