import type { QueryClient } from '@tanstack/react-query';
import { sessionQuery, type Session } from '../api/session';

/** Takes on another session, or none. What was known under the former one is forgotten. */
export async function become(queryClient: QueryClient, session: Session | null): Promise<void> {
  await queryClient.cancelQueries();
  // The session's own query stays: the frame is watching it.
  queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionQuery.queryKey[0] });
  queryClient.setQueryData(sessionQuery.queryKey, session);
}
