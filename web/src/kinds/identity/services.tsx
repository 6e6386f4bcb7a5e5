import { useQuery } from '@tanstack/react-query';
import { all } from '../../api/client';
import { choicesOf } from '../choices';

interface Service {
  id: string;
  name: string;
}

export const serviceChoices = choicesOf('identity', '/services', 'services');

/** A service of the catalogue by its name. */
export function ServiceName({ id }: { id: string }) {
  const { data } = useQuery({ queryKey: ['identity-services'], queryFn: ({ signal }) => all<Service>('identity', '/services', 'services', signal), staleTime: 60_000 });
  return <>{data?.find((service) => service.id === id)?.name ?? id.slice(0, 8)}</>;
}
