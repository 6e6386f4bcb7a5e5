// Passcodes by time (RFC 6238), made as an authenticator makes them, so that the
// page can tell whether the user's one has taken the secret over.

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** A new secret in base32, as authenticators take it: 160 bits. */
export const newSecret = () => Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => letters[byte % 32]).join('');

function bytesOf(secret: string): Uint8Array<ArrayBuffer> {
  const bits = Array.from(secret, (letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Uint8Array.from({ length: Math.floor(bits.length / 8) }, (_, i) => parseInt(bits.slice(8 * i, 8 * i + 8), 2));
}

/** The passcode of a moment. */
export async function passcode(secret: string, at: number): Promise<string> {
  const counter = new DataView(new ArrayBuffer(8));
  counter.setBigUint64(0, BigInt(Math.floor(at / 30_000)));
  const key = await crypto.subtle.importKey('raw', bytesOf(secret), { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
  const sum = new DataView(await crypto.subtle.sign('HMAC', key, counter));
  const number = sum.getUint32(sum.getUint8(19) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

/** Whether a passcode is of now, or of the moment before or after: clocks differ. */
export const fits = async (secret: string, typed: string, now: number) =>
  (await Promise.all([-30_000, 0, 30_000].map((step) => passcode(secret, now + step)))).includes(typed.replaceAll(' ', ''));

/** What an authenticator reads, by its camera or as text. */
export const otpauth = (secret: string, user: string, cloud: string) =>
  `otpauth://totp/${encodeURIComponent(`Nacre ${cloud}`)}:${encodeURIComponent(user)}?secret=${secret}&issuer=${encodeURIComponent(`Nacre ${cloud}`)}`;
