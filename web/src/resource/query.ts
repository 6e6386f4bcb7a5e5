import { queryOptions, useQuery, type QueryClient } from '@tanstack/react-query';
import { all, ask } from '../api/client';
import { sessionQuery, type Named } from '../api/session';
import { resourceOf, type Kind } from '../kinds';
import { useHere } from '../shell/here';
import type { Resource, Scope } from './resource';

const place = (scope: Scope) => (scope.all ? 'all' : scope.project.id);

/** How often to look again: quickly while something moves, calmly otherwise. */
const pace = (moves: boolean, rows: number) => (moves ? (rows > 500 ? 4_000 : 1_500) : 10_000);

export const rowsQuery = <R>(resource: Resource<R>, scope: Scope) =>
  queryOptions({
    queryKey: ['rows', resource.kind, place(scope)],
    queryFn: ({ signal }) => resource.list(scope, signal),
    refetchInterval: ({ state: { data, error } }) =>
      error !== null && data === undefined ? false : pace(data?.some((row) => resource.moves?.(row) === true) === true, data?.length ?? 0),
  });

export const rowQuery = <R>(resource: Resource<R>, id: string, scope: Scope) =>
  queryOptions({
    queryKey: ['row', resource.kind, id],
    queryFn: async ({ signal }): Promise<R> => {
      if (resource.read === undefined) {
        throw new Error(`${resource.kind} has no page`);
      }
      return resource.read(id, signal, scope);
    },
    refetchInterval: ({ state: { data, error } }) =>
      error === null && data !== undefined ? pace(resource.moves?.(data) === true, 1) : false,
  });

/** The rows of a kind whose code comes when it is needed; with an interval they are looked at again. */
export function useRows<R>(kind: Kind, enabled = true, refetchInterval: number | false = false): R[] | undefined {
  const { scope } = useHere();
  return useQuery({
    queryKey: ['rows', kind, place(scope)],
    queryFn: async ({ signal }) => (await (await resourceOf(kind)).list(scope, signal)) as R[],
    enabled,
    refetchInterval,
  }).data;
}

/** Names of projects, for operators. */
export const projectNamesQuery = queryOptions({
  queryKey: ['project-names'],
  queryFn: async ({ signal }) => {
    const projects = await all<Named>('identity', '/projects', 'projects', signal);
    return new Map(projects.map((project) => [project.id, project.name]));
  },
  staleTime: 60_000,
});

/** Reads the one object in a reply's envelope. */
export const one = async <T>(...[service, path, envelope, signal]: [Parameters<typeof ask>[0], string, string, AbortSignal]): Promise<T> => {
  const reply = await ask<Record<string, T | undefined>>(service, path, { signal });
  const found = reply[envelope];
  if (found === undefined) {
    throw new Error(`${path}: no ${envelope} in the reply`);
  }
  return found;
};

/** After a change, whatever is on the page is asked for again. */
export const refresh = (client: QueryClient) =>
  client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== sessionQuery.queryKey[0] });
