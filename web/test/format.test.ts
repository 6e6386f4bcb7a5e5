import { describe, expect, it } from 'vitest';
import { ago, bytes, duration, gibibytes, instant, memory, moment, plain } from '../src/format';

describe('sizes', () => {
  it.each([
    [bytes(0, 'en'), '0 B'],
    [bytes(1023, 'en'), '1,023 B'],
    [bytes(1536, 'en'), '1.5 KiB'],
    [bytes(21692416, 'en'), '21 MiB'],
    [memory(512, 'en'), '512 MiB'],
    [memory(2048, 'en'), '2 GiB'],
    [memory(51200, 'zh-CN'), '50 GiB'],
    [gibibytes(1000, 'en'), '1,000 GiB'],
    [gibibytes(2048, 'en'), '2 TiB'],
  ])('%s', (got, want) => {
    expect(got).toBe(want);
  });
});

describe('times', () => {
  it('without a zone are UTC', () => {
    expect(instant('2026-11-22T10:00:00.000000').toISOString()).toBe('2026-11-22T10:00:00.000Z');
    expect(instant('2026-11-22T10:00:00Z').toISOString()).toBe('2026-11-22T10:00:00.000Z');
    expect(instant('2026-11-22T10:00:00+08:00').toISOString()).toBe('2026-11-22T02:00:00.000Z');
  });

  const now = Date.UTC(2026, 10, 22, 12, 0, 0);
  it.each([
    ['2026-11-22T11:59:30Z', 'en', 'now'],
    ['2026-11-22T11:57:00Z', 'en', '3 minutes ago'],
    ['2026-11-22T11:57:00Z', 'zh-CN', '3分钟前'],
    ['2026-11-22T10:00:00Z', 'en', '2 hours ago'],
    ['2026-11-20T10:00:00Z', 'en', '2 days ago'],
    ['2025-11-22T10:00:00Z', 'en', 'last year'],
  ])('%s in %s is %s', (time, language, want) => {
    expect(ago(time, now, language)).toBe(want);
  });

  it('are written out in full', () => {
    expect(moment('2026-11-22T10:00:00Z', 'zh-CN')).toContain('2026年11月22日');
  });
});

describe('durations', () => {
  it.each([
    [0.4, '0 ms'],
    [400, '400 ms'],
    [1_440, '1.4 sec'],
    [4_000, '4 sec'],
    [59_900, '59 sec'],
    [125_000, '2 min 5 sec'],
    [3_780_000, '1 hr 3 min'],
    [-5, '0 sec'],
  ])('%d ms is %s', (ms, want) => {
    expect(duration(ms, 'en')).toBe(want);
  });
});

it('terminal colours are taken out of logs', () => {
  expect(plain('\u001b[0;32mok\u001b[0m\r\n\u001b[2J\u001b(Blogin: ')).toBe('ok\nlogin: ');
});
