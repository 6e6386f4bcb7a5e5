import { keepPreviousData, queryOptions } from '@tanstack/react-query';
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

const finished = new Set(['done', 'undone']);

/** The newest plan of a resource that is still under way; null when there is none. */
export const planQuery = (resource: string) =>
  queryOptions({
    queryKey: ['plans', resource],
    queryFn: async ({ signal }): Promise<Plan | null> => {
      try {
        const reply = await ask<{ plans: Plan[] }>('nacre', `/plans?resource=${resource}`, { signal });
        return reply.plans.find((plan) => !finished.has(plan.status)) ?? null;
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

/** What the scheduler thought of a host. */
export interface Verdict {
  id: string;
  host: string;
  score: number | null; // null when refused
  /** The shares of each resource that would be left: the score is their product. */
  factors: Record<string, number> | null;
  /** What goes before the score, in its order: the same for all hosts that are not refused. */
  before?: { of: string; n: number }[];
  refused_by?: string;
  reason?: string;
}

export interface Schedule {
  server: string;
  chosen: string; // a host; empty when none was suitable
  decided_at: string;
  summary?: string;
  considered: number;
  passed: number;
  hosts: Verdict[];
}

/** Whether servers would find room. Only operators are told of hosts. */
export interface Fit {
  fits: number;
  hosts: { host: string; servers: number }[];
  explanation: { considered: number; passed: number; refused: Record<string, number> };
}

export interface Wanted {
  flavor: string;
  image: string;
  count: number;
  zone?: string | undefined;
  group?: string | undefined;
}

/** Asks whether these servers would find hosts now, without making any. */
export const fitQuery = ({ flavor, image, count, zone, group }: Wanted) =>
  queryOptions({
    queryKey: ['fit', flavor, image, count, zone, group],
    queryFn: ({ signal }) => {
      const asked = { flavor, image, count: String(count), ...(zone && { availability_zone: zone }), ...(group && { server_group: group }) };
      return ask<Fit>('nacre', `/schedule/dry-run?${new URLSearchParams(asked).toString()}`, { signal });
    },
    placeholderData: keepPreviousData,
    refetchInterval: 5_000,
    retry: false,
  });

/** Why a server is where it is. For administrators. */
export const scheduleQuery = (server: string) =>
  queryOptions({
    queryKey: ['schedule', server],
    queryFn: ({ signal }) => ask<Schedule>('nacre', `/schedule?server=${server}`, { signal }),
    retry: false,
    staleTime: 30_000,
  });
