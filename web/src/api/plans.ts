import { queryOptions } from '@tanstack/react-query';
import { ApiError, ask } from './client';

/** One piece of work on a resource: what it is at, and why it waits. */
export interface Plan {
  id: string;
  name: string;
  resource: string;
  step: string;
  status: string;
  reason: string;
  since: string;
  deadline: string | null;
}

/** The newest plan of a resource that moves; null when there is none. */
export const planQuery = (resource: string) =>
  queryOptions({
    queryKey: ['plans', resource],
    queryFn: async ({ signal }): Promise<Plan | null> => {
      try {
        const reply = await ask<{ plans: Plan[] }>('nacre', `/plans?resource=${resource}`, { signal });
        return reply.plans[0] ?? null;
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) {
          return null;
        }
        throw error;
      }
    },
    refetchInterval: 1_500,
    retry: false,
  });
