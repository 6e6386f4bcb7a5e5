package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nacre/internal/atomicfile"
)

// caFile is the certificate that clients trust; clouds.yaml names it.
const caFile = "ca.pem"

const caLife, certLife = 10 * 365 * 24 * time.Hour, 90 * 24 * time.Hour

// serverTLS makes the listener's settings. Its certificates are signed by the
// cloud's own CA, which is made at the first start.
func serverTLS(c Config) (*tls.Config, error) {
	ca, key, err := authority(filepath.Join(c.DataDir, "tls"), c.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("prepare the certificate authority: %w", err)
	}
	err = atomicfile.Write(filepath.Join(c.DataDir, caFile), pemOf("CERTIFICATE", ca.Raw), 0o644)
	if err != nil {
		return nil, err
	}
	s := &signer{config: c, ca: ca, key: key}
	_, err = s.certificate(nil)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}, nil
}

// signer makes the listener's certificates, a new one at each start and long
// before the last one ends.
type signer struct {
	config Config
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey

	mu      sync.Mutex // guards all below
	current *tls.Certificate
	renewAt time.Time
}

// certificate implements tls.Config.GetCertificate.
func (s *signer) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock.Now()
	if s.current != nil && now.Before(s.renewAt) {
		return s.current, nil
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := certificate("Nacre", now, certLife)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names(s.config) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, s.ca, &own.PublicKey, s.key)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	s.current = &tls.Certificate{Certificate: [][]byte{raw, s.ca.Raw}, PrivateKey: own}
	s.renewAt = now.Add(certLife * 2 / 3)
	return s.current, nil
}

// names are what clients may call the cloud.
func names(c Config) []string {
	out := []string{"localhost", "127.0.0.1", "::1"}
	host, _, err := net.SplitHostPort(c.Listen)
	if err == nil && host != "" {
		out = append(out, host)
	}
	public, err := url.Parse(c.PublicURL)
	if err == nil {
		out = append(out, public.Hostname())
	}
	host, err = os.Hostname()
	if err == nil {
		out = append(out, host)
	}
	return out
}

func authority(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	keyFile := filepath.Join(dir, "ca-key.pem")
	content, err := os.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(dir, keyFile, now)
	}
	if err != nil {
		return nil, nil, err
	}
	keyBlock, rest := pem.Decode(content)
	certBlock, _ := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil {
		return nil, nil, fmt.Errorf("%s is damaged: remove it to make a new authority", keyFile)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keyFile, err)
	}
	ca, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keyFile, err)
	}
	return ca, key, nil
}

func newAuthority(dir, keyFile string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := certificate("Nacre certificate authority", now, caLife)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	err = os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, nil, err
	}
	// Key and certificate in one file: they are there together or not at all.
	return ca, key, atomicfile.Write(keyFile, append(pemOf("EC PRIVATE KEY", private), pemOf("CERTIFICATE", raw)...), 0o600)
}

func certificate(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func pemOf(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}
