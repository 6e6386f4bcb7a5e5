import { queryOptions } from '@tanstack/react-query';
import type { Asked, Permission } from '../why';
import { ask } from './client';

/** Whose permission it is about; what is left out is the asker's own. */
export interface Whose {
  user_id?: string;
  project_id?: string;
}

export type Question = ({ rule: string } | Asked) & Whose;

export const permissionQuery = (question: Question) =>
  queryOptions({
    queryKey: ['permission', question],
    queryFn: ({ signal }) => ask<Permission>('nacre', `/permission?${new URLSearchParams(question as unknown as Record<string, string>).toString()}`, { signal }),
  });
