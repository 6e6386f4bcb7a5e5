import { describe, expect, it } from 'vitest';
import { fits, newSecret, otpauth, passcode } from '../src/totp';

// RFC 6238, appendix B: the secret is the text 12345678901234567890.
const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

describe('passcodes', () => {
  it.each([
    [59, '287082'],
    [1111111109, '081804'],
    [1111111111, '050471'],
    [1234567890, '005924'],
    [2000000000, '279037'],
    [20000000000, '353130'],
  ])('at %i', async (seconds, want) => {
    expect(await passcode(secret, seconds * 1000)).toBe(want);
  });

  it('may be those of a moment before or after', async () => {
    expect(await fits(secret, '287 082', 59_000)).toBe(true);
    expect(await fits(secret, '287082', 89_000)).toBe(true);
    expect(await fits(secret, '287082', 120_000)).toBe(false);
    expect(await fits(secret, '000000', 59_000)).toBe(false);
  });

  it('are of secrets that nobody has twice', () => {
    expect(newSecret()).toMatch(/^[A-Z2-7]{32}$/);
    expect(newSecret()).not.toBe(newSecret());
  });

  it('are told to authenticators', () => {
    expect(otpauth('ABC', 'a b', 'cloud.example')).toBe('otpauth://totp/Nacre%20cloud.example:a%20b?secret=ABC&issuer=Nacre%20cloud.example');
  });
});
