import { describe, expect, it } from 'vitest';
import { pace, transient, type Server } from '../src/api/compute';
import { firstFlavor, firstNetwork, misfit, pluggable } from '../src/pages/launch/defaults';
import { allowed, tone, toneOfVolume } from '../src/state';

const server = (status: string, task: string | null = null) =>
  ({ status, 'OS-EXT-STS:task_state': task }) as Server;

describe('a server', () => {
  it.each([
    ['ACTIVE', null, 'ok'],
    ['ACTIVE', 'powering-off', 'busy'],
    ['BUILD', null, 'busy'],
    ['SHUTOFF', null, 'off'],
    ['ERROR', 'deleting', 'bad'],
    ['PAUSED', null, 'warn'],
    ['SOMETHING_NEW', null, 'warn'],
  ])('%s with task %s is %s', (status, task, want) => {
    expect(tone(server(status, task))).toBe(want);
  });

  it('is looked at often while it moves', () => {
    expect(transient(server('ACTIVE', 'rebooting'))).toBe(true);
    expect(pace([server('ACTIVE'), server('BUILD')])).toBeLessThanOrEqual(2_000);
    expect(pace([server('ACTIVE')])).toBeGreaterThan(5_000);
    expect(pace([])).toBeGreaterThan(5_000);
  });

  it.each([
    ['ACTIVE', null, ['stop', 'reboot', 'hardReboot', 'rescue', 'shelve', 'crash', 'delete']],
    ['SHUTOFF', null, ['start', 'hardReboot', 'rescue', 'shelve', 'delete']],
    ['ERROR', null, ['stop', 'hardReboot', 'rescue', 'crash', 'delete']],
    ['SHELVED_OFFLOADED', null, ['unshelve', 'delete']],
    ['SOFT_DELETED', null, ['restore']],
    ['ACTIVE', 'rebooting', ['crash', 'delete']],
    ['BUILD', 'spawning', ['delete']],
    ['ACTIVE', 'deleting', []],
  ] as const)('%s with task %s allows %j', (status, task, want) => {
    const all = ['start', 'stop', 'reboot', 'hardReboot', 'rescue', 'shelve', 'unshelve', 'restore', 'crash', 'delete'] as const;
    expect(all.filter((action) => allowed(server(status, task), action))).toEqual(want);
  });
});

it('volumes have tones', () => {
  expect(['available', 'in-use', 'creating', 'error', 'error_deleting'].map(toneOfVolume)).toEqual(['off', 'ok', 'busy', 'bad', 'bad']);
});

describe('what the launch page proposes', () => {
  const flavor = (id: string, ram: number, disk: number) => ({ id, name: id, vcpus: 1, ram, disk, description: null });
  const flavors = [flavor('tiny', 512, 1), flavor('diskless', 1024, 0), flavor('small', 2048, 20)];
  const image = { id: 'i', name: 'i', status: 'active', size: 1, min_disk: 3, min_ram: 0, disk_format: 'qcow2', visibility: 'public', owner: 'p', protected: false, created_at: '2026-12-01T08:00:00Z', tags: [], checksum: null, os_hidden: false };

  it('is the smallest flavor that carries the image', () => {
    expect(firstFlavor(flavors, undefined)?.id).toBe('tiny');
    expect(firstFlavor(flavors, image)?.id).toBe('diskless');
    expect(firstFlavor(flavors, { ...image, min_ram: 1500 })?.id).toBe('small');
    expect(misfit(flavors[0]!, { ...image, min_disk: 0, virtual_size: 2 ** 31 })).toBe('disk');
  });

  it("is the project's own network", () => {
    const network = (id: string, project_id: string, shared: boolean, external: boolean, subnets: string[]) => ({
      id, name: id, project_id, shared, subnets, status: 'ACTIVE', admin_state_up: true, 'router:external': external, mtu: 1442, description: '', created_at: '', tags: [],
    });
    const all = [
      network('public', 'admin', true, true, ['s']),
      network('shared', 'admin', true, false, ['s']),
      network('bare', 'mine', false, false, []),
      network('own', 'mine', false, false, ['s']),
      network('foreign', 'other', false, false, ['s']),
    ];
    const offered = pluggable(all, 'mine');
    expect(offered.map((n) => n.id)).toEqual(['shared', 'own']);
    expect(firstNetwork(offered, 'mine')?.id).toBe('own');
  });
});
