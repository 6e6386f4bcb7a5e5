import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Verdict } from '../src/api/plans';
import { start } from '../src/i18n';
import { Scores } from '../src/ui/scores';

const factors = { VCPU: 1, MEMORY_MB: 1, DISK_GB: 1 };
const refused: Verdict = { id: '3', host: 'three', score: null, factors: null, refused_by: 'NUMA topology' };
const rows = () => screen.getAllByRole('row').map((row) => [...row.children].map((cell) => cell.textContent));

describe('the scores of hosts', () => {
  beforeAll(async () => {
    vi.stubGlobal('ResizeObserver', class { observe() {} disconnect() {} });
    await start();
  });
  afterEach(cleanup);

  it('are alone where nothing goes before them', () => {
    render(<Scores hosts={[{ id: '1', host: 'one', score: 0.5, factors }, refused]} chosen="one" />);
    expect(rows()).toEqual([
      ['Host', 'Score', 'vCPUs', 'Memory', 'Disk'],
      ['one chosen', '0.5', '1', '1', '1'],
      ['three', 'refused: no NUMA nodes with enough free cores and memory for the topology'],
    ]);
  });

  it('come after what goes before them', () => {
    const before = (members: number, busy: number) => [{ of: 'soft-affinity', n: members }, { of: 'io_ops', n: busy }];
    render(
      <Scores
        hosts={[
          { id: '1', host: 'one', score: 0.5, factors, before: before(2, 3) },
          { id: '2', host: 'two', score: 0.75, factors, before: before(0, 0) },
          refused,
        ]}
        chosen="one"
      />,
    );
    expect(rows()).toEqual([
      ['Host', 'Affinity: instances of the group', 'Busy instances', 'Score', 'vCPUs', 'Memory', 'Disk'],
      ['one chosen', '2', '3', '0.5', '1', '1', '1'],
      ['two', '0', '0', '0.75', '1', '1', '1'],
      ['three', 'refused: no NUMA nodes with enough free cores and memory for the topology'],
    ]);
  });
});
