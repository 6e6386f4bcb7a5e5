// Makes key pairs of type x509 in the browser: an RSA key and a certificate that
// it signs itself, with which its user signs in to Windows guests through WinRM.
// It is the certificate that Nova makes for those who send none, but its private
// key is never on any wire.
import { bytes, encode64, join, type KeyText } from './sshkey';

const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const years = 10;

/** A new key, and a certificate that names the user as User Principal Name. */
export async function generateCertificate(user: string, now = new Date()): Promise<KeyText> {
  const pair = await crypto.subtle.generateKey({ ...algorithm, modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }, true, ['sign', 'verify']);
  const [spki, secret] = await Promise.all([crypto.subtle.exportKey('spki', pair.publicKey), crypto.subtle.exportKey('pkcs8', pair.privateKey)]);
  const signed = body(user, now, new Uint8Array(spki));
  const signature = await crypto.subtle.sign(algorithm, pair.privateKey, Uint8Array.from(signed));
  const certificate = sequence(signed, signedWith, tagged(tag.bits, Uint8Array.of(0), new Uint8Array(signature)));
  return { publicKey: pem('CERTIFICATE', certificate), privateKey: pem('PRIVATE KEY', new Uint8Array(secret)) };
}

/** What is signed: the TBSCertificate of RFC 5280, 4.1. */
function body(user: string, now: Date, spki: Uint8Array): Uint8Array {
  const until = new Date(now);
  until.setUTCFullYear(now.getUTCFullYear() + years);
  const serial = crypto.getRandomValues(new Uint8Array(16));
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, and in its shortest form
  const name = sequence(tagged(tag.set, sequence(oid(2, 5, 4, 3), tagged(tag.text, bytes(user)))));
  const principal = tagged(tag.own, oid(1, 3, 6, 1, 4, 1, 311, 20, 2, 3), tagged(tag.own, tagged(tag.text, bytes(`${user}@localhost`))));
  const extensions = sequence(
    extension(oid(2, 5, 29, 37), sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 2))), // for the authentication of a client
    extension(oid(2, 5, 29, 17), sequence(principal)),
  );
  return sequence(
    tagged(tag.own, tagged(tag.integer, Uint8Array.of(2))), // version 3
    tagged(tag.integer, serial),
    signedWith,
    name,
    sequence(time(now), time(until)),
    name,
    spki,
    tagged(tag.own + 3, extensions),
  );
}

const tag = { integer: 0x02, bits: 0x03, octets: 0x04, nothing: 0x05, oid: 0x06, text: 0x0c, shortTime: 0x17, longTime: 0x18, sequence: 0x30, set: 0x31, own: 0xa0 };

/** A value of DER: its tag, its length, its content. */
function tagged(kind: number, ...parts: Uint8Array[]): Uint8Array {
  const content = join(...parts);
  const size: number[] = [];
  for (let left = content.length; left > 0; left >>= 8) {
    size.unshift(left & 0xff);
  }
  return join(content.length < 0x80 ? Uint8Array.of(kind, content.length) : Uint8Array.of(kind, 0x80 | size.length, ...size), content);
}

const sequence = (...parts: Uint8Array[]) => tagged(tag.sequence, ...parts);
const extension = (id: Uint8Array, value: Uint8Array) => sequence(id, tagged(tag.octets, value));

function oid(first: number, second: number, ...rest: number[]): Uint8Array {
  const digits = rest.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) {
      groups.unshift(0x80 | (left & 0x7f));
    }
    return groups;
  });
  return tagged(tag.oid, Uint8Array.of(first * 40 + second, ...digits));
}

const signedWith = sequence(oid(1, 2, 840, 113549, 1, 1, 11), tagged(tag.nothing)); // sha256WithRSAEncryption

/** Two digits of the year until 2049, four from then on. */
function time(at: Date): Uint8Array {
  const digits = `${at.toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
  return at.getUTCFullYear() < 2050 ? tagged(tag.shortTime, bytes(digits.slice(2))) : tagged(tag.longTime, bytes(digits));
}

const pem = (what: string, der: Uint8Array) => [`-----BEGIN ${what}-----`, ...(encode64(der).match(/.{1,64}/g) ?? []), `-----END ${what}-----`, ''].join('\n');
