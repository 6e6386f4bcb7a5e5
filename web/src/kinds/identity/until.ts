import type { Field } from '../../resource/resource';

/** When something ends: a date, or a date with a time. */
export const untilField = <R>(): Field<R> => ({
  key: 'expires_at',
  label: 'credential.until',
  kind: 'text',
  hint: 'credential.untilHint',
  pattern: { is: /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?$/, else: 'credential.badTime' },
  as: (value) => (/^.{10}$/.test(String(value ?? '')) ? `${String(value)}T00:00:00` : value),
});
