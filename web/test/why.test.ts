import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/api/client';
import { missingRoles, questionOf, ways, type Reason } from '../src/why';

const leaf = (check: string, holds = false): Reason => ({ check, holds });
const or = (...because: Reason[]): Reason => ({ check: 'or', holds: because.some((each) => each.holds), because });
const and = (...because: Reason[]): Reason => ({ check: 'and', holds: because.every((each) => each.holds), because });
const rule = (name: string, of: Reason): Reason => ({ check: `rule:${name}`, holds: of.holds, because: [of] });

describe('what it would take', () => {
  it.each<[string, Reason, string[][]]>([
    ['nothing, when it holds', or(leaf('role:a', true), leaf('role:b')), [[]]],
    ['one of several roles', or(rule('admin', leaf('role:admin')), leaf('role:manager')), [['role:admin'], ['role:manager']]],
    ['only what lacks of several', and(leaf('role:member'), leaf('project_id:%(project_id)s', true)), [['role:member']]],
    ['both', and(leaf('role:a'), leaf('role:b')), [['role:a', 'role:b']]],
    ['not more than is needed', or(and(leaf('role:a'), leaf('role:b')), leaf('role:b')), [['role:b']]],
    ['that something is not', { check: 'not', holds: false, because: [leaf('role:a', true)] }, [['not role:a']]],
    ['what cannot be', leaf('!'), []],
  ])('%s', (_, reason, want) => {
    expect(ways(reason)).toEqual(want);
  });

  it('as roles, where roles are enough', () => {
    expect(missingRoles(or(leaf('role:admin'), and(leaf('role:member'), leaf('user_id:%(user_id)s'))))).toEqual([['admin']]);
    expect(missingRoles(or(leaf('role:admin', true)))).toEqual([]);
  });
});

it('is asked about a refusal by a rule', () => {
  const asked = { method: 'POST', path: '/compute/v2.1/servers' };
  expect(questionOf(new ApiError(403, 'not allowed', null, null, asked))).toEqual(asked);
  expect(questionOf(new ApiError(403, 'Quota exceeded for cores', null, null, asked))).toBeNull();
  expect(questionOf(new ApiError(404, 'gone', null, null, asked))).toBeNull();
  expect(questionOf(new Error('of ours'))).toBeNull();
});
