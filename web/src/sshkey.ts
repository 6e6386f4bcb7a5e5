// Makes key pairs in the browser, in OpenSSH's own format, so that a private
// key is never on any wire.

export interface KeyText {
  publicKey: string; // one line, as in authorized_keys
  privateKey: string; // PEM, as ssh-keygen writes it
}

const kind = 'ssh-ed25519';

/** A new Ed25519 key pair. It throws where the browser cannot make one. */
export async function generate(comment: string): Promise<KeyText> {
  const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair;
  const key = await crypto.subtle.exportKey('jwk', pair.privateKey);
  const check = crypto.getRandomValues(new Uint8Array(4));
  return encode(decode64(key.x ?? ''), decode64(key.d ?? ''), check, comment);
}

/** Writes an Ed25519 key. check is any four bytes; they stand twice, so that a reader notices a wrong passphrase. */
export function encode(publicBytes: Uint8Array, seed: Uint8Array, check: Uint8Array, comment: string): KeyText {
  const blob = join(text(kind), field(publicBytes));
  const secret = join(check, check, text(kind), field(publicBytes), field(join(seed, publicBytes)), text(comment));
  const padding = Uint8Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1);
  const whole = join(
    bytes('openssh-key-v1\0'),
    text('none'), // cipher
    text('none'), // key derivation
    field(new Uint8Array()),
    uint32(1), // keys
    field(blob),
    field(join(secret, padding)),
  );
  const lines = encode64(whole).match(/.{1,70}/g) ?? [];
  return {
    publicKey: `${kind} ${encode64(blob)} ${comment}`,
    privateKey: ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n'),
  };
}

export const bytes = (s: string) => new TextEncoder().encode(s);
const text = (s: string) => field(bytes(s));
const field = (b: Uint8Array) => join(uint32(b.length), b);

function uint32(n: number): Uint8Array {
  const b = new Uint8Array(4);
  new DataView(b.buffer).setUint32(0, n);
  return b;
}

export function join(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const encode64 = (b: Uint8Array) => btoa(String.fromCharCode(...b));
const decode64 = (s: string) =>
  Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));

/** Base64 of UTF-8 text, as user data is sent. */
export function base64(s: string): string {
  let binary = '';
  for (const byte of bytes(s)) {
    binary += String.fromCharCode(byte);
  }
  return btoa(binary);
}
