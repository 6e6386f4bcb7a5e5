import { all } from '../../api/client';
import type { Scope } from '../../resource/resource';

/** Lists what a project has. An operator is shown everybody's by the API, and asks for less. */
export const listed =
  <R>(path: string, collection: string) =>
  (scope: Scope, signal: AbortSignal) =>
    all<R>('network', scope.operator && !scope.all ? `${path}?project_id=${scope.project.id}` : path, collection, signal);
