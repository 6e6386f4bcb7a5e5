// Why somebody may do something or may not, as the cloud explains it.
import type { ApiError } from './api/client';

/** Why a check holds, or does not: the operands of and, or, not, or what a named rule says. */
export interface Reason {
  check: string;
  holds: boolean;
  because?: Reason[];
}

export interface Given {
  role: string;
  user_id: string;
  group_id: string;
  project_id: string;
  domain_id: string;
  system: boolean;
  inherited: boolean;
}

export interface Permission {
  allowed: boolean;
  rule: string;
  user_id: string;
  project_id: string;
  domain_id: string;
  system: boolean;
  roles: { name: string; given: Given }[];
  because: Reason;
}

/** A call of the API, by which a rule is found. */
export interface Asked {
  method: string;
  path: string;
  action?: string;
}

const most = 64; // of ways that are worked out: rules are small

/** What it would take for a check to hold: each way is a list of checks that fail now. */
export function ways(reason: Reason): string[][] {
  if (reason.holds) {
    return [[]];
  }
  const parts = reason.because ?? [];
  if (parts.length === 0) {
    return reason.check === '!' ? [] : [[reason.check]];
  }
  if (reason.check === 'or') {
    return smallest(parts.flatMap(ways));
  }
  if (reason.check === 'and') {
    return smallest(parts.reduce<string[][]>((so, part) => so.flatMap((way) => ways(part).map((more) => [...way, ...more])).slice(0, most), [[]]));
  }
  if (reason.check === 'not') {
    return [[`not ${parts[0]?.check ?? ''}`]];
  }
  return smallest(parts.flatMap(ways)); // a named rule says one thing
}

/** Without those that ask for all that another one asks for, the shortest first. */
function smallest(all: string[][]): string[][] {
  const sorted = all.map((way) => [...new Set(way)].sort()).sort((a, b) => a.length - b.length);
  return sorted.filter((way, i) => !sorted.slice(0, i).some((other) => other.every((check) => way.includes(check)))).slice(0, most);
}

/** The roles that one of the ways asks for and nothing else: what an administrator can give. */
export const missingRoles = (reason: Reason): string[][] =>
  ways(reason)
    .filter((way) => way.length > 0 && way.every((check) => check.startsWith('role:')))
    .map((way) => way.map((check) => check.slice('role:'.length)));

/** The question about a refusal, if it was one by a rule. */
export const questionOf = (error: Error & Partial<Pick<ApiError, 'status' | 'asked'>>): Asked | null =>
  error.status === 403 && error.asked !== undefined && !/quota|exceed/i.test(error.message) ? error.asked : null;
