// Role assignments: as they were given, and what they come to.
import { all } from '../../api/client';

interface Named {
  id: string;
  name?: string;
}

export interface Assignment {
  role: Named;
  user?: Named;
  group?: Named;
  scope: { project?: Named; domain?: Named; system?: { all: boolean }; 'OS-INHERIT:inherited_to'?: string };
  links: { assignment: string; prior_role?: string; membership?: string };
}

/** The assignments that a filter of the API means. */
export const assigned = (filter: Record<string, string>, signal: AbortSignal) =>
  all<Assignment>('identity', `/role_assignments?${new URLSearchParams({ include_names: '', ...filter }).toString()}`, 'role_assignments', signal);

const called = (one: Named | undefined) => one?.name ?? one?.id.slice(0, 8) ?? '';

export const actorOf = (row: Assignment) => called(row.user ?? row.group);
export const targetOf = (row: Assignment) => called(row.scope.project ?? row.scope.domain);
export const roleOf = (row: Assignment) => called(row.role);
export const inherited = (row: Assignment) => row.scope['OS-INHERIT:inherited_to'] !== undefined;

/** What an assignment can be about, and who can have it. */
export const targets = ['project', 'domain', 'system'] as const;
export type Target = (typeof targets)[number];
export const targetKind = (row: Assignment): Target => targets.find((kind) => row.scope[kind] !== undefined) ?? 'system';

/** Where an assignment is in the API. */
export function place(target: Target, on: string, actor: 'user' | 'group', who: string, role: string, handedDown: boolean): string {
  const base = target === 'system' ? '/system' : `/${target}s/${on}`;
  const path = `${base}/${actor}s/${who}/roles/${role}`;
  return handedDown ? `/OS-INHERIT${path}/inherited_to_projects` : path;
}

export const placeOf = (row: Assignment): string =>
  place(targetKind(row), row.scope.project?.id ?? row.scope.domain?.id ?? '', row.user === undefined ? 'group' : 'user', (row.user ?? row.group)?.id ?? '', row.role.id, inherited(row));

/** An assignment as its address in the API says it. */
export interface Origin {
  target: Target;
  on: string;
  actor: 'user' | 'group';
  who: string;
  role: string;
  inherited: boolean;
}

export function originOf(address: string): Origin | null {
  const found = /\/(?:(project|domain)s\/([^/]+)|system)\/(user|group)s\/([^/]+)\/roles\/([^/]+)(\/inherited_to_projects)?$/.exec(address);
  if (found === null) {
    return null;
  }
  const [, target = 'system', on = '', actor, who = '', role = '', handedDown] = found;
  return { target: target as Target, on, actor: actor as 'user' | 'group', who, role, inherited: handedDown !== undefined };
}
