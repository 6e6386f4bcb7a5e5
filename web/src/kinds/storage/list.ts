import { all } from '../../api/client';
import type { Scope } from '../../resource/resource';

export const listed =
  <R>(path: string, collection: string) =>
  (scope: Scope, signal: AbortSignal) =>
    all<R>('volume', scope.all ? `${path}?all_tenants=1` : path, collection, signal);
