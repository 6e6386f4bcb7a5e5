import { queryOptions } from '@tanstack/react-query';
import { ApiError, ask } from './client';

export interface Named {
  id: string;
  name: string;
  domain?: Named;
}

export interface Session {
  user: Named;
  project: Named | null;
  roles: string[];
  expires_at: string;
}

/** Who is signed in; null when nobody is. */
export async function readSession(signal?: AbortSignal): Promise<Session | null> {
  try {
    return await ask<Session>('dashboard', '/session', { ...(signal && { signal }) });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      return null;
    }
    throw error;
  }
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => readSession(signal),
  staleTime: 60_000,
  refetchOnWindowFocus: 'always',
});

export const signOut = () => ask<void>('dashboard', '/session', { method: 'DELETE' });
export const changeProject = (project: string) =>
  ask<Session>('dashboard', '/session', { method: 'PATCH', body: { project } });

export interface Project extends Named {
  enabled: boolean;
  description?: string;
}

/** What the user may work in. */
export const projectsQuery = queryOptions({
  queryKey: ['projects'],
  queryFn: async ({ signal }) => {
    const reply = await ask<{ projects: Project[] }>('identity', '/auth/projects', { signal });
    return reply.projects.filter((p) => p.enabled).sort((a, b) => a.name.localeCompare(b.name));
  },
  staleTime: 60_000,
});
