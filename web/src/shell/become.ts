import type { QueryClient } from '@tanstack/react-query';
import { sessionQuery, type Session } from '../api/session';

const endedKey = ['session-ended'];

/** Notes that the session has ended without the user's doing. */
export function ended(queryClient: QueryClient): void {
  if (queryClient.getQueryData(sessionQuery.queryKey) != null) {
    queryClient.setQueryData(endedKey, true);
    queryClient.setQueryData(sessionQuery.queryKey, null);
  }
}

/** Whether the sign-in is owed to an ended session. */
export const hasEnded = (queryClient: QueryClient) => queryClient.getQueryData(endedKey) === true;

/** Takes on another session, or none. What was known under the former one is forgotten. */
export async function become(queryClient: QueryClient, session: Session | null): Promise<void> {
  await queryClient.cancelQueries();
  // The session's own query stays: the frame is watching it.
  queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionQuery.queryKey[0] });
  queryClient.setQueryData(sessionQuery.queryKey, session);
}
