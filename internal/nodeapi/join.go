package nodeapi

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Paths on a server's main listener that belong to the cloud itself. All but
// PathJoin want a certificate of the cloud's own authority.
const (
	PathJoin   = "/nacre/cluster/join"   // POST JoinRequest → JoinReply
	PathRenew  = "/nacre/cluster/renew"  // POST RenewRequest → JoinReply
	PathStream = "/nacre/cluster/stream" // WebSocket of a node, binary: the frames of Conn
	PathTunnel = "/nacre/cluster/tunnel" // WebSocket between servers: a byte stream of a node
)

// The organizational units that tell certificates of the authority apart.
const (
	UnitServer = "server"
	UnitNode   = "node" // its common name is the host's
)

// JoinRequest is what a node without a certificate sends.
type JoinRequest struct {
	Secret  string `json:"secret"`  // of the join token
	Host    string `json:"host"`    // the name that it wants
	Request string `json:"request"` // PKCS #10 in PEM; only its public key counts
}

// RenewRequest is what a node sends over a connection with its present
// certificate, before that expires.
type RenewRequest struct {
	Request string `json:"request"`
}

// JoinReply gives a node its certificate, and what it needs to know of the
// cloud.
type JoinReply struct {
	Certificate string   `json:"certificate"` // PEM
	Authority   string   `json:"authority"`   // PEM
	Servers     []string `json:"servers"`     // https://host:port of each
	Southbound  string   `json:"southbound"`  // OVN's database for hosts; "" without OVN
}

// Refusal is the body of a reply to a join or renewal that failed.
type Refusal struct {
	Error string `json:"error"`
}

// tokenForm begins a join token, so that people recognise one.
const tokenForm = "nacre1"

// Token makes a join token of the authority's certificate and a secret.
func Token(authority *x509.Certificate, secret string) string {
	sum := sha256.Sum256(authority.Raw)
	return tokenForm + "." + hex.EncodeToString(sum[:]) + "." + secret
}

// ParseToken takes a join token apart.
func ParseToken(token string) (fingerprint, secret string, err error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 || parts[0] != tokenForm || len(parts[1]) != 2*sha256.Size || parts[2] == "" {
		return "", "", errors.New("this is not a join token: nacre admin token prints one")
	}
	return parts[1], parts[2], nil
}

// ErrStranger says that the other end belongs to another cloud than the token.
var ErrStranger = errors.New("it is no server of the cloud that the join token is for")

// FindAuthority finds the authority with this fingerprint among the
// certificates that the other end has shown.
func FindAuthority(shown []*x509.Certificate, fingerprint string) (*x509.Certificate, error) {
	for _, c := range shown {
		sum := sha256.Sum256(c.Raw)
		if c.IsCA && hex.EncodeToString(sum[:]) == fingerprint {
			return c, nil
		}
	}
	return nil, ErrStranger
}

// VerifyServer checks that the other end is a server of the cloud with this
// authority. What its address is does not matter.
func VerifyServer(state tls.ConnectionState, authority *x509.CertPool, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("it has shown no certificate")
	}
	peer := state.PeerCertificates[0]
	_, err := peer.Verify(x509.VerifyOptions{
		Roots: authority, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("it is no server of this cloud: %w", err)
	}
	if !slices.Contains(peer.Subject.OrganizationalUnit, UnitServer) {
		return errors.New("it is no server of this cloud: its certificate is a node's")
	}
	return nil
}
