package cluster

import (
	"context"
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
	"os"
	"sync"
	"time"

	"nacre/internal/nodeapi"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	listenerLife  = 90 * 24 * time.Hour
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

// AuthorityFact is the name of the first secret that a cloud has.
const AuthorityFact = "authority"

// openAuthority finds the cloud's authority. Its key and certificate are one
// fact: they are there together or not at all.
func (c *Cluster) openAuthority(ctx context.Context) (authority, error) {
	text, err := Secret(ctx, c.DB, c.Sealer, AuthorityFact, func() (string, error) {
		former, err := os.ReadFile(c.AuthorityFile)
		if err == nil {
			_, err = parseAuthority(former)
			return string(former), err
		}
		if c.AuthorityFile != "" && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return newAuthority(c.Clock.Now())
	})
	if err != nil {
		return authority{}, err
	}
	return parseAuthority([]byte(text))
}

func newAuthority(now time.Time) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := template(pkix.Name{CommonName: "Nacre certificate authority"}, now, authorityLife)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(append(pemOf("EC PRIVATE KEY", private), pemOf("CERTIFICATE", raw)...)), nil
}

func parseAuthority(text []byte) (authority, error) {
	keyBlock, rest := pem.Decode(text)
	certBlock, _ := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil {
		return authority{}, errors.New("the authority's key or certificate is damaged")
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("read the authority's key: %w", err)
	}
	certificate, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("read the authority's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return authority{certificate: certificate, key: key, pool: pool}, nil
}

// PEM is the certificate that clients and nodes trust.
func (a authority) PEM() []byte { return pemOf("CERTIFICATE", a.certificate.Raw) }

// Authority is the certificate that clients trust, in PEM.
func (c *Cluster) Authority() []byte { return c.authority.PEM() }

// sign makes a certificate. One of a node has no name of a machine in it, so
// that no client of the API would take the node for a server.
func (a authority) sign(subject pkix.Name, key any, names []string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	t := template(subject, now, life)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		t.DNSNames = append(t.DNSNames, name)
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, a.certificate, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(raw)
}

func template(subject pkix.Name, now time.Time, life time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func pemOf(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// leaf is this server's certificate: a new one at each start, and long before
// the last one ends.
type leaf struct {
	mu      sync.Mutex // guards all below
	current *tls.Certificate
	renewAt time.Time
}

func (c *Cluster) certificate() (*tls.Certificate, error) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	now := c.Clock.Now()
	if c.listener.current != nil && now.Before(c.listener.renewAt) {
		return c.listener.current, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	subject := pkix.Name{CommonName: c.ID, OrganizationalUnit: []string{nodeapi.UnitServer}}
	signed, err := c.authority.sign(subject, &key.PublicKey, c.Names, now, listenerLife)
	if err != nil {
		return nil, err
	}
	c.listener.current = &tls.Certificate{Certificate: [][]byte{signed.Raw, c.authority.certificate.Raw}, PrivateKey: key}
	c.listener.renewAt = now.Add(listenerLife * 2 / 3)
	return c.listener.current, nil
}

// ListenerTLS are the settings of the main listener. Whoever has a certificate of
// our authority or of one of users may show it; the paths that want one look whose
// it is.
func (c *Cluster) ListenerTLS() *tls.Config {
	authorities := c.authority.pool.Clone()
	for _, certificate := range c.Clients {
		authorities.AddCert(certificate)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.certificate() },
		ClientCAs:      authorities,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		Time:           c.Clock.Now,
	}
}

// towardsServers are the settings for dialling another server. It is known by
// its certificate, not by its address.
func (c *Cluster) towardsServers() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		InsecureSkipVerify:   true, // VerifyConnection does it, whatever the address is
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			return nodeapi.VerifyServer(state, c.authority.pool, c.Clock.Now())
		},
	}
}

// readRequest takes the public key of a certificate request. Everything else in
// it is the node's wish and ours to decide.
func readRequest(text string) (key any, err error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("it is not in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	err = request.CheckSignature()
	if err != nil {
		return nil, err
	}
	ec, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("its key is not of the kind ECDSA P-256")
	}
	return ec, nil
}
