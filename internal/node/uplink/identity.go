package uplink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/nodeapi"
)

// The files of a joined node. The first makes it one; programs beside ours that
// speak TLS between hosts read the PEM files.
const (
	identityFile    = "node.json"
	KeyFile         = "node-key.pem"
	CertificateFile = "node.pem"
	AuthorityFile   = "ca.pem"
)

// identity is what a node has got by joining.
type identity struct {
	nodeapi.JoinReply
	Key string `json:"key"` // PEM

	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	authority   *x509.Certificate
}

// load reads the identity of a folder, nil when the node never joined.
func load(dir string) (*identity, error) {
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var i identity
	err = json.Unmarshal(text, &i)
	if err == nil {
		err = i.parse()
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, identityFile), err)
	}
	return &i, nil
}

func (i *identity) parse() error {
	key, err := block(i.Key, "EC PRIVATE KEY")
	if err == nil {
		i.key, err = x509.ParseECPrivateKey(key)
	}
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	for _, part := range []struct {
		text string
		into **x509.Certificate
	}{{i.Certificate, &i.certificate}, {i.Authority, &i.authority}} {
		raw, err := block(part.text, "CERTIFICATE")
		if err == nil {
			*part.into, err = x509.ParseCertificate(raw)
		}
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	if !i.key.PublicKey.Equal(i.certificate.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	return nil
}

func block(text, kind string) ([]byte, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil || b.Type != kind {
		return nil, fmt.Errorf("no %s in PEM", kind)
	}
	return b.Bytes, nil
}

// store keeps the identity. The one file that we read ourselves is written last
// and as a whole.
func (i *identity) store(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{
		{KeyFile, i.Key}, {CertificateFile, i.Certificate}, {AuthorityFile, i.Authority},
	} {
		err = atomicfile.Write(filepath.Join(dir, f.name), []byte(f.text), 0o600)
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, identityFile), text, 0o600)
}

func (i *identity) host() string { return i.certificate.Subject.CommonName }

func (i *identity) renewAt() time.Time {
	life := i.certificate.NotAfter.Sub(i.certificate.NotBefore)
	return i.certificate.NotAfter.Add(-life / 3)
}

// tls is the certificate to show; an empty one before the node has joined.
func (i *identity) tls() *tls.Certificate {
	if i.certificate == nil {
		return &tls.Certificate{}
	}
	return &tls.Certificate{Certificate: [][]byte{i.certificate.Raw}, PrivateKey: i.key}
}

// join gets the node's first certificate. Refused means that another try would
// end the same way.
func (u *Uplink) join(ctx context.Context) (refused bool, err error) {
	_, secret, err := nodeapi.ParseToken(u.o.Token)
	if err != nil {
		return true, err
	}
	return u.obtain(ctx, nodeapi.PathJoin, func(request string) any {
		return nodeapi.JoinRequest{Secret: secret, Host: u.o.Host, Request: request}
	})
}

// renew gets the next certificate.
func (u *Uplink) renew(ctx context.Context) error {
	_, err := u.obtain(ctx, nodeapi.PathRenew, func(request string) any { return nodeapi.RenewRequest{Request: request} })
	if err == nil {
		u.mu.Lock()
		until := u.now.certificate.NotAfter
		u.mu.Unlock()
		u.o.Log.Info("renewed the node's certificate", "host", u.o.Host, "until", until)
	}
	return err
}

// obtain makes a key, asks one server after the other for its certificate, and
// keeps both.
func (u *Uplink) obtain(ctx context.Context, path string, body func(request string) any) (refused bool, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return true, fmt.Errorf("make a key: %w", err)
	}
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: u.o.Host}}, key)
	if err != nil {
		return true, fmt.Errorf("make a certificate request: %w", err)
	}
	text, err := json.Marshal(body(pemOf("CERTIFICATE REQUEST", raw)))
	if err != nil {
		return true, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return true, err
	}
	reply, refused, err := u.ask(ctx, path, text)
	if err != nil {
		return refused, err
	}
	next := identity{JoinReply: reply, Key: pemOf("EC PRIVATE KEY", private)}
	err = next.parse()
	if err != nil {
		return true, fmt.Errorf("the server's answer: %w", err)
	}
	if next.host() != u.o.Host {
		return true, fmt.Errorf("the server gave a certificate for %s, not for %s", next.host(), u.o.Host)
	}
	err = next.store(u.o.Dir)
	if err != nil {
		return true, fmt.Errorf("keep the certificate: %w", err)
	}
	u.mu.Lock()
	u.now = next
	u.mu.Unlock()
	u.http.CloseIdleConnections() // they show the former certificate
	u.Learn(reply.Servers)
	return false, nil
}

func pemOf(kind string, raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
}

// ask sends a request to the first server that answers. What a server refuses,
// the others would refuse as well.
func (u *Uplink) ask(ctx context.Context, path string, body []byte) (reply nodeapi.JoinReply, refused bool, err error) {
	u.mu.Lock()
	servers := append([]string{}, u.servers...)
	u.mu.Unlock()
	failures := errors.New("no server answers")
	for _, server := range servers {
		reply, refused, err := u.askOne(ctx, server+path, body)
		if err == nil || refused {
			return reply, refused, err
		}
		failures = errors.Join(failures, fmt.Errorf("%s: %w", server, err))
	}
	return nodeapi.JoinReply{}, false, failures
}

func (u *Uplink) askOne(ctx context.Context, url string, body []byte) (reply nodeapi.JoinReply, refused bool, err error) {
	request, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
	if err != nil {
		return reply, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := u.http.Do(request)
	if err != nil {
		return reply, errors.Is(err, nodeapi.ErrStranger), err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return reply, false, err
	}
	if answer.StatusCode != http.StatusOK {
		var refusal nodeapi.Refusal
		if json.Unmarshal(text, &refusal) == nil && refusal.Error != "" {
			return reply, answer.StatusCode < 500, errors.New(refusal.Error)
		}
		return reply, false, fmt.Errorf("it answered %s", answer.Status)
	}
	return reply, false, json.Unmarshal(text, &reply)
}
