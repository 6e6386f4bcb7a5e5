// @vitest-environment node
import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { base64, encode, generate } from '../src/sshkey';

/** Reads the length-prefixed fields that OpenSSH's formats are made of. */
function reader(data: Buffer) {
  let at = 0;
  return {
    number: () => data.readUInt32BE((at += 4) - 4),
    raw: (n: number) => data.subarray(at, (at += n)),
    field() {
      return this.raw(this.number());
    },
    rest: () => data.subarray(at),
  };
}

describe('a key pair', () => {
  it('is written as OpenSSH reads it', async () => {
    const { publicKey, privateKey } = await generate('me@laptop');
    const [kind, blob, comment] = publicKey.split(' ');
    expect(kind).toBe('ssh-ed25519');
    expect(comment).toBe('me@laptop');

    const lines = privateKey.trim().split('\n');
    expect(lines.at(0)).toBe('-----BEGIN OPENSSH PRIVATE KEY-----');
    expect(lines.at(-1)).toBe('-----END OPENSSH PRIVATE KEY-----');
    const file = reader(Buffer.from(lines.slice(1, -1).join(''), 'base64'));
    expect(file.raw(15).toString()).toBe('openssh-key-v1\0');
    expect([file.field().toString(), file.field().toString(), file.field().length]).toEqual(['none', 'none', 0]);
    expect(file.number()).toBe(1);
    expect(file.field().toString('base64')).toBe(blob);
    const section = file.field();
    expect(section.length % 8).toBe(0);
    expect(file.rest().length).toBe(0);

    const inner = reader(section);
    expect(inner.number()).toBe(inner.number());
    expect(inner.field().toString()).toBe('ssh-ed25519');
    const point = inner.field();
    const secret = inner.field();
    expect(secret.subarray(32)).toEqual(point);
    expect(inner.field().toString()).toBe('me@laptop');
    expect([...inner.rest()]).toEqual([...inner.rest()].map((_, i) => i + 1));

    // The two halves belong together: what the one signs, the other verifies.
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url'), d: secret.subarray(0, 32).toString('base64url') };
    const key = await crypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['sign']);
    const message = Buffer.from('hello');
    const signature = Buffer.from(await crypto.subtle.sign('Ed25519', key, message));
    const other = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, format: 'jwk' });
    expect(verify(null, message, other, signature)).toBe(true);
  });

  it('is the same for the same bytes', () => {
    const bytes = (n: number, length: number) => new Uint8Array(length).fill(n);
    expect(encode(bytes(1, 32), bytes(2, 32), bytes(3, 4), 'x').publicKey).toBe(
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB x',
    );
  });
});

it('user data keeps every character', () => {
  expect(Buffer.from(base64('#!/bin/sh\necho 你好'), 'base64').toString()).toBe('#!/bin/sh\necho 你好');
});
