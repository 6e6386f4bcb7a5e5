import type { QueryClient } from '@tanstack/react-query';
import { readSession, sessionQuery, type Session } from '../api/session';

/** Tabs of one browser share the session: when one changes the project, signs out or in, the others are told. */
export const channel = new BroadcastChannel('nacre.session');

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

/** Another tab or window has changed the session. */
export async function heard(queryClient: QueryClient): Promise<void> {
  if (endedSession(queryClient) === null) {
    await queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
    return;
  }
  const session = await readSession();
  if (session !== null) {
    await become(queryClient, session);
  }
}

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
