// @vitest-environment node
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { generateCertificate } from '../src/certificate';

it('a certificate is signed by its own key, for its user and ten years', async () => {
  const now = new Date('2026-12-01T10:20:30.400Z');
  const { publicKey, privateKey } = await generateCertificate('zoë', now);
  const certificate = new X509Certificate(publicKey);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
  expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect([certificate.subject, certificate.issuer]).toEqual(['CN=zoë', 'CN=zoë']);
  expect(new Date(certificate.validFrom)).toEqual(new Date('2026-12-01T10:20:30Z'));
  expect(new Date(certificate.validTo)).toEqual(new Date('2036-12-01T10:20:30Z'));
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']); // a client's
  expect(certificate.subjectAltName).toContain('zoë@localhost');
});

it('a certificate that ends after 2049 says the century', async () => {
  const { publicKey } = await generateCertificate('u', new Date('2045-01-02T03:04:05Z'));
  expect(new Date(new X509Certificate(publicKey).validTo)).toEqual(new Date('2055-01-02T03:04:05Z'));
});
