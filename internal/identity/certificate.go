package identity

import (
	"cmp"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity/mapping"
)

// Clients of OAuth 2.0 that prove who they are by a certificate (RFC 8705). A
// client is a user; the certificate is of an authority that the operator trusts,
// and a mapping, which the operator writes too, says for whom a certificate with
// such names is good. The token is bound to the certificate: every service refuses
// it from a connection on which another one, or none, was shown.

// OAuth2 are the settings for such clients, and for those with a secret.
type OAuth2 struct {
	Methods     []string       // ClientSecret, ClientCertificate; nil is both
	Mapping     string         // id of the mapping; "" is DefaultCertificateMapping
	Authorities *x509.CertPool // that certificates are of; nil: none is good
}

// How clients of OAuth 2.0 prove who they are, and the mapping of certificates, as
// Keystone's settings name them.
const (
	ClientSecret      = "client_secret_basic"
	ClientCertificate = "tls_client_auth"

	DefaultCertificateMapping = "oauth2_mapping"
)

func (o OAuth2) checked() (OAuth2, error) {
	for _, method := range o.Methods {
		if method != ClientSecret && method != ClientCertificate {
			return o, fmt.Errorf("setting oauth2_authn_methods: %q is none of %s, %s", method, ClientSecret, ClientCertificate)
		}
	}
	o.Mapping = cmp.Or(o.Mapping, DefaultCertificateMapping)
	return o, nil
}

// TakesClient tells whether clients of OAuth 2.0 may prove by a method who they are.
func (s *Service) TakesClient(method string) bool {
	return s.oauth2.Methods == nil || slices.Contains(s.oauth2.Methods, method)
}

// certificateMethod is how a token says that it was got by a certificate.
const certificateMethod = "oauth2_credential"

// CertificateLogin is a user with a certificate whose key the connection's other
// end has. The certificate comes first, then those between it and its authority.
type CertificateLogin struct {
	User  string // id
	Chain []*x509.Certificate
}

// proveCertificate takes a certificate for proof, if it is for the user. Its
// tokens are for the user's default project, as with Keystone.
func (s *Service) proveCertificate(ctx context.Context, p *proof, login CertificateLogin) error {
	certificate, err := s.trustedCertificate(login.Chain)
	if err != nil {
		return unauthorized(fmt.Errorf("client's certificate: %w", err))
	}
	var user User
	var domain Domain
	var m Mapping
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		user, err = readUser(ctx, tx, login.User)
		if err == nil {
			domain, err = readDomain(ctx, tx, user.DomainID)
		}
		if err == nil {
			m, err = find[Mapping](ctx, tx, mappingKind, s.oauth2.Mapping)
		}
		return err
	})
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	if err != nil {
		return err
	}
	err = meansUser(m, certificate, user, domain)
	switch {
	case err != nil:
		return unauthorized(fmt.Errorf("client's certificate: %w", err))
	case user.DefaultProjectID == "":
		return unauthorized(fmt.Errorf("user %s has no default project", user.ID))
	}
	p.Project, p.Thumbprint = user.DefaultProjectID, auth.Thumbprint(certificate)
	return p.by(certificateMethod, user.ID)
}

// trustedCertificate checks that a certificate is of one of the authorities.
func (s *Service) trustedCertificate(chain []*x509.Certificate) (*x509.Certificate, error) {
	if len(chain) == 0 || s.oauth2.Authorities == nil {
		return nil, errors.New("there is none, or nobody whose certificates are trusted")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: s.oauth2.Authorities, Intermediates: between, CurrentTime: s.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return chain[0], err
}

// meansUser checks that the mapping finds this user in the names of a certificate.
// All that it says of the user must hold, and it must say which one it is: one that
// tells only the domain would make everybody of everybody there.
func meansUser(m Mapping, c *x509.Certificate, user User, domain Domain) error {
	rules, err := mapping.Parse(m.Rules.V, m.SchemaVersion)
	if err != nil {
		return err
	}
	attributes := map[string][]string{}
	addNames(attributes, "SSL_CLIENT_SUBJECT_DN_", c.Subject)
	addNames(attributes, "SSL_CLIENT_ISSUER_DN_", c.Issuer)
	who, err := rules.Apply(attributes)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", m.ID, err)
	}
	var email string
	if user.Email != nil {
		email = *user.Email
	}
	said := who.User
	if said.Domain == nil {
		said.Domain = &mapping.Ref{}
	}
	for what, pair := range map[string][2]string{
		"id": {said.ID, user.ID}, "name": {said.Name, user.Name}, "email": {said.Email, email},
		"domain's id": {said.Domain.ID, domain.ID}, "domain's name": {said.Domain.Name, domain.Name},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return fmt.Errorf("it is for a user whose %s is %q, and not user %s", what, pair[0], user.ID)
		}
	}
	if said.ID == "" && said.Name == "" {
		return mapping.ErrNobody
	}
	return nil
}

// shortNames are those of RFC 4514, and the one that Keystone adds.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "EMAILADDRESS",
}

// addNames adds the parts of a distinguished name as Apache's names have them. A
// part that is there several times keeps all its values; Keystone keeps the last.
func addNames(attributes map[string][]string, prefix string, name pkix.Name) {
	for _, part := range name.Names {
		short, known := shortNames[part.Type.String()]
		if !known {
			short = part.Type.String()
		}
		value, isText := part.Value.(string)
		if isText {
			key := prefix + strings.ToUpper(short)
			attributes[key] = append(attributes[key], value)
		}
	}
}
