import type { QueryClient } from '@tanstack/react-query';
import { sessionQuery, type Session } from '../api/session';

const endedKey = ['session-ended'];

/** Notes that the session has ended without the user's doing. */
export function ended(queryClient: QueryClient): void {
  const session = queryClient.getQueryData(sessionQuery.queryKey);
  if (session != null) {
    queryClient.setQueryDefaults(endedKey, { gcTime: Infinity });
    queryClient.setQueryData(endedKey, session);
    queryClient.setQueryData(sessionQuery.queryKey, null);
  }
}

/** The session that has ended without the user's doing; null when none has. */
export const endedSession = (queryClient: QueryClient) => queryClient.getQueryData<Session | null>(endedKey) ?? null;

/** Takes on another session, or none. */
export async function become(queryClient: QueryClient, session: Session | null): Promise<void> {
  const former = endedSession(queryClient);
  await queryClient.cancelQueries();
  queryClient.setQueryData(endedKey, null);
  if (session !== null && former?.user.id === session.user.id && former.project?.id === session.project?.id) {
    // The same person goes on in the same place: what is on the page stays, forms included.
    queryClient.setQueryData(sessionQuery.queryKey, session);
    await queryClient.invalidateQueries({ predicate: (query) => query.queryKey[0] !== sessionQuery.queryKey[0] });
    return;
  }
  // What was known under the former session is forgotten. The session's own
  // query stays: the frame is watching it.
  queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionQuery.queryKey[0] });
  queryClient.setQueryData(sessionQuery.queryKey, session);
}
