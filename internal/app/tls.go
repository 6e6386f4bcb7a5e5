package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"nacre/internal/atomicfile"
	"nacre/internal/auth"
	"nacre/internal/cluster"
	"nacre/internal/identity"
)

// caFile is the certificate that clients trust; clouds.yaml names it.
const caFile = "ca.pem"

// joinCluster makes this process a server of the cloud that the database is of.
func (cloud *Cloud) joinCluster(ctx context.Context, id string) (*cluster.Cluster, error) {
	c := cloud.Config
	clients, err := c.OAuth2.authorities()
	if err != nil {
		return nil, err
	}
	joined, err := cluster.New(ctx, cluster.Options{
		Clients: clients,
		DB:      cloud.DB, Sealer: cloud.sealer, Clock: c.Clock, Log: c.Log, ID: id, URL: c.Advertise, Names: names(c),
		AuthorityFile: filepath.Join(c.DataDir, "tls", "ca-key.pem"), Southbound: c.OVNSouth,
		Serve: func(ctx context.Context, host string, stream io.ReadWriteCloser) error {
			return cloud.Hosts.Serve(ctx, host, stream)
		},
		Open: func(ctx context.Context, host, kind, id string) (io.ReadWriteCloser, error) {
			return cloud.Hosts.Open(ctx, host, kind, id)
		},
	})
	if err != nil {
		return nil, err
	}
	return joined, atomicfile.Write(filepath.Join(c.DataDir, caFile), joined.Authority(), 0o644)
}

// authorities are those of clients' certificates.
func (o OAuth2) authorities() ([]*x509.Certificate, error) {
	if o.ClientCAFile == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(o.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("setting oauth2_client_ca_file: %w", err)
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("setting oauth2_client_ca_file: %s: %w", o.ClientCAFile, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("setting oauth2_client_ca_file: %s holds no certificate in PEM", o.ClientCAFile)
	}
	return found, nil
}

// settings are what identity needs to know.
func (o OAuth2) settings() (identity.OAuth2, error) {
	found, err := o.authorities()
	s := identity.OAuth2{Mapping: o.Mapping}
	if o.Methods != "" {
		s.Methods = list(o.Methods)
	}
	if len(found) > 0 {
		s.Authorities = x509.NewCertPool()
		for _, certificate := range found {
			s.Authorities.AddCert(certificate)
		}
	}
	return s, err
}

// openSealer reads the keys that seal the cloud's secrets. Only a cloud that has
// no secrets yet makes them: a second server that made its own could open none.
func (cloud *Cloud) openSealer(ctx context.Context) (*auth.Sealer, error) {
	path := cloud.Config.KeyFile
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, settled, err := cluster.Known(ctx, cloud.DB, cluster.AuthorityFact)
		if err != nil {
			return nil, err
		}
		if settled {
			return nil, fmt.Errorf("the secrets of this cloud are sealed: copy the key file of one of its servers to %s (setting key_file)", path)
		}
	}
	return auth.OpenSealer(path)
}

// names are what clients may call the cloud.
func names(c Config) []string {
	out := []string{"localhost", "127.0.0.1", "::1"}
	host, _, err := net.SplitHostPort(c.Listen)
	if err == nil && host != "" {
		out = append(out, host)
	}
	for _, address := range []string{c.PublicURL, c.Advertise} {
		u, err := url.Parse(address)
		if err == nil && u.Hostname() != "" {
			out = append(out, u.Hostname())
		}
	}
	host, err = os.Hostname()
	if err == nil {
		out = append(out, host)
	}
	return out
}
