import { describe, expect, it } from 'vitest';
import type { Server } from '../src/api/compute';
import { serverActions } from '../src/kinds/compute/server-actions';

describe('evacuation', () => {
  const evacuate = serverActions.find((action) => action.key === 'server-evacuate');
  const operator = { operator: true } as Parameters<NonNullable<NonNullable<typeof evacuate>['able']>>[1];
  const on = (host_status?: string) => evacuate?.able?.({ id: '1', status: 'ACTIVE', 'OS-EXT-STS:task_state': null, host_status } as Server, operator);

  it('is offered where the host is silent, or declared down', () => {
    expect(['UNKNOWN', 'DOWN'].map(on)).toEqual([true, true]);
  });

  it('is not offered where the host may run it, or there is none', () => {
    expect(['UP', 'MAINTENANCE', '', undefined].map(on)).toEqual([false, false, false, false]);
  });
});
