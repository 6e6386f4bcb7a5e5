package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// JoinToken says what a join token is good for.
type JoinToken struct {
	Host string        // the one name that it admits; "" for any that is not taken
	Uses int           // how many nodes may join with it; 0: 1
	Life time.Duration // 0: one hour
}

// limits of join tokens
const (
	maxUses      = 10_000
	maxTokenLife = 30 * 24 * time.Hour
)

// validHost is what a host may be called: it becomes part of file names,
// addresses and the common name of a certificate.
var validHost = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$`)

// NewToken makes a join token. The database keeps its hash alone.
func (c *Cluster) NewToken(ctx context.Context, t JoinToken) (token string, expires time.Time, err error) {
	if t.Uses == 0 {
		t.Uses = 1
	}
	if t.Life == 0 {
		t.Life = time.Hour
	}
	switch {
	case t.Host != "" && !validHost.MatchString(t.Host):
		return "", expires, errs.BadRequestf("%q is not a name for a host.", t.Host)
	case t.Uses < 1 || t.Uses > maxUses:
		return "", expires, errs.BadRequestf("A join token admits between 1 and %d nodes.", maxUses)
	case t.Host != "" && t.Uses > 1:
		return "", expires, errs.BadRequestf("A join token for one host admits one node.")
	case t.Life < time.Second || t.Life > maxTokenLife:
		return "", expires, errs.BadRequestf("A join token lives between a second and %d days.", int(maxTokenLife.Hours()/24))
	}
	var secret [32]byte
	_, err = rand.Read(secret[:])
	if err != nil {
		return "", expires, err
	}
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	now := c.Clock.Now()
	expires = now.Add(t.Life)
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		for _, table := range []string{"join_tokens", "node_certificates"} {
			_, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE expires_at < ?", db.At(now.Add(-forgotten)))
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO join_tokens (hash, host, uses, expires_at, created_at) VALUES (?, ?, ?, ?, ?)",
			hashOf(text), t.Host, t.Uses, db.At(expires), db.At(now))
		return err
	})
	if err != nil {
		return "", expires, fmt.Errorf("make join token: %w", err)
	}
	return nodeapi.Token(c.authority.certificate, text), expires, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// errAdmission is the one answer to every wrong token; which part of it was
// wrong is nobody's business.
var errAdmission = errs.New(errs.Forbidden, "The join token is unknown, used up or expired, or it is for another host.")

// join admits a node: it uses the token up and signs a certificate. A name that
// has a good certificate is given again only by a token made for that host, so
// that nobody takes another one's place with a token meant for a new host.
func (c *Cluster) join(ctx context.Context, r nodeapi.JoinRequest) (nodeapi.JoinReply, error) {
	if !validHost.MatchString(r.Host) {
		return nodeapi.JoinReply{}, errs.BadRequestf("%q is not a name for a host.", r.Host)
	}
	key, err := readRequest(r.Request)
	if err != nil {
		return nodeapi.JoinReply{}, errs.BadRequestf("The certificate request is not understood: %s.", err)
	}
	now := c.Clock.Now()
	signed, err := c.signNode(r.Host, key, now)
	if err != nil {
		return nodeapi.JoinReply{}, err
	}
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		var tokens []string // the one host that the token admits, "" for any
		err := tx.All(ctx, &tokens, "SELECT host FROM join_tokens WHERE hash = ?", hashOf(r.Secret))
		if err != nil {
			return fmt.Errorf("look for join token: %w", err)
		}
		var taken int
		err = tx.Get(ctx, &taken, `
			SELECT COUNT(*) FROM node_certificates WHERE host = ? AND revoked_at = 0 AND expires_at > ?`, r.Host, db.At(now))
		if err != nil {
			return fmt.Errorf("look for certificates of host %s: %w", r.Host, err)
		}
		err = c.revoke(ctx, tx, r.Host, now) // whoever had the name before
		if err != nil {
			return err
		}
		err = insertCertificate(ctx, tx, signed, r.Host, now)
		if err != nil {
			return err
		}
		// Last, since all who join with the same token wait here for each other.
		used, err := tx.Exec(ctx, `
			UPDATE join_tokens SET uses = uses - 1
			WHERE hash = ? AND uses > 0 AND expires_at > ? AND host IN ('', ?)`, hashOf(r.Secret), db.At(now), r.Host)
		if err != nil {
			return fmt.Errorf("use join token: %w", err)
		}
		switch {
		case used == 0:
			return errAdmission
		case taken > 0 && tokens[0] != r.Host:
			return errs.Conflictf("There is a host %s already. To put this machine in its place: nacre admin token --host %s", r.Host, r.Host)
		}
		return nil
	})
	if err != nil {
		return nodeapi.JoinReply{}, err
	}
	c.Log.Info("node joined", "host", r.Host, "certificate_until", signed.NotAfter)
	return c.reply(signed), nil
}

func (c *Cluster) signNode(host string, key any, now time.Time) (*x509.Certificate, error) {
	return c.authority.sign(pkix.Name{CommonName: host, OrganizationalUnit: []string{nodeapi.UnitNode}}, key, nil, now, c.NodeLife)
}

func insertCertificate(ctx context.Context, tx *db.Tx, signed *x509.Certificate, host string, now time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO node_certificates (serial, host, expires_at, created_at) VALUES (?, ?, ?, ?)",
		serialOf(signed), host, db.At(signed.NotAfter), db.At(now))
	if err != nil {
		return fmt.Errorf("note the certificate of host %s: %w", host, err)
	}
	return nil
}

func serialOf(certificate *x509.Certificate) string { return certificate.SerialNumber.Text(16) }

// renew signs a node's next certificate. The present one stays good until it
// expires: the node may stop before it has stored the next.
func (c *Cluster) renew(ctx context.Context, host string, r nodeapi.RenewRequest) (nodeapi.JoinReply, error) {
	key, err := readRequest(r.Request)
	if err != nil {
		return nodeapi.JoinReply{}, errs.BadRequestf("The certificate request is not understood: %s.", err)
	}
	now := c.Clock.Now()
	signed, err := c.signNode(host, key, now)
	if err != nil {
		return nodeapi.JoinReply{}, err
	}
	err = c.DB.Write(ctx, func(tx *db.Tx) error { return insertCertificate(ctx, tx, signed, host, now) })
	if err != nil {
		return nodeapi.JoinReply{}, err
	}
	return c.reply(signed), nil
}

func (c *Cluster) reply(signed *x509.Certificate) nodeapi.JoinReply {
	return nodeapi.JoinReply{
		Certificate: string(pemOf("CERTIFICATE", signed.Raw)), Authority: string(c.authority.PEM()),
		Servers: c.URLs(), Southbound: c.Southbound,
	}
}

// admit says which host a certificate speaks for. A listener has checked that
// it is the authority's; whether it still counts, the database knows.
func (c *Cluster) admit(ctx context.Context, certificate *x509.Certificate) (host string, err error) {
	refused := errs.New(errs.Forbidden, "This needs the certificate of a node of this cloud.")
	if !slices.Contains(certificate.Subject.OrganizationalUnit, nodeapi.UnitNode) {
		return "", refused
	}
	var hosts []string
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &hosts, "SELECT host FROM node_certificates WHERE serial = ? AND revoked_at = 0 AND expires_at > ?",
			serialOf(certificate), db.At(c.Clock.Now()))
	})
	if err != nil {
		return "", fmt.Errorf("look for the certificate: %w", err)
	}
	if len(hosts) != 1 || hosts[0] != certificate.Subject.CommonName {
		return "", errs.New(errs.Forbidden, "The certificate was revoked or has expired: join again with a token of nacre admin token --host %s.",
			certificate.Subject.CommonName)
	}
	return hosts[0], nil
}

// Revoke ends all certificates of a host: its connection is cut on whichever
// server, and it gets none any more.
func (c *Cluster) Revoke(ctx context.Context, host string) error {
	err := c.DB.Write(ctx, func(tx *db.Tx) error {
		var known int
		err := tx.Get(ctx, &known, "SELECT COUNT(*) FROM node_certificates WHERE host = ?", host)
		if err != nil {
			return err
		}
		if known == 0 {
			return errs.NotFoundf("No node has joined as %s.", host)
		}
		return c.revoke(ctx, tx, host, c.Clock.Now())
	})
	if err != nil {
		return fmt.Errorf("revoke the certificates of host %s: %w", host, err)
	}
	return nil
}

func (c *Cluster) revoke(ctx context.Context, tx *db.Tx, host string, now time.Time) error {
	n, err := tx.Exec(ctx, "UPDATE node_certificates SET revoked_at = ? WHERE host = ? AND revoked_at = 0", db.At(now), host)
	if err != nil {
		return fmt.Errorf("revoke the certificates of host %s: %w", host, err)
	}
	if n > 0 {
		tx.Notify(revokedChannel, host)
	}
	return nil
}

// Certificate is what is known of a host's certificates.
type Certificate struct {
	Host    string
	Expires time.Time // of the newest
	Revoked time.Time // zero: it is good
}

// Certificates returns the newest certificate of each host by its name.
func (c *Cluster) Certificates(ctx context.Context) (map[string]Certificate, error) {
	var rows []struct {
		Host      string
		ExpiresAt db.Time
		RevokedAt db.Time
	}
	err := c.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT host, expires_at, revoked_at FROM node_certificates ORDER BY created_at")
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	out := map[string]Certificate{}
	for _, r := range rows {
		certificate := Certificate{Host: r.Host, Expires: r.ExpiresAt.Time()}
		if r.RevokedAt != 0 {
			certificate.Revoked = r.RevokedAt.Time()
		}
		out[r.Host] = certificate
	}
	return out, nil
}
