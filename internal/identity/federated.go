package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nacre/internal/auth"
	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity/mapping"
)

// Signing in by an identity provider. Whoever speaks the provider's protocol has
// made sure that the provider said it, to us, and now; what follows is the same
// for all protocols: the mapping makes an identity of it, which becomes a user
// of ours with groups and projects, who gets a token.

// Assertion is what a provider has said of somebody, and has been proven.
type Assertion struct {
	IDP      string // ids of the provider and the protocol
	Protocol string
	// RemoteID is who has said it, in the provider's own words: an issuer or entity id.
	RemoteID string
	// Attributes are as mappings name them, with all their values.
	Attributes map[string][]string
	// Until is when it ends that the user is signed in, zero for never.
	Until time.Time
}

// SignInFederated makes an unscoped token for whoever the assertion is about.
func (s *Service) SignInFederated(ctx context.Context, a Assertion) (issued *Issued, err error) {
	in := auditRecord{Methods: []string{"mapped"}, IDP: a.IDP}
	defer func() {
		if issued != nil {
			in.Groups = issued.Groups
		}
		err = s.record(ctx, in, Login{}, err)
	}()
	who, home, err := s.mapped(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("map what %s says: %w", a.IDP, err)
	}
	token := auth.Token{Methods: []string{"mapped"}, ExpiresAt: s.clock.Now().Truncate(time.Second).Add(s.lifetime)}
	if !a.Until.IsZero() && a.Until.Before(token.ExpiresAt) {
		token.ExpiresAt = a.Until.Truncate(time.Second)
	}
	if who.User.Type == mapping.Local {
		token.User, err = s.localUser(ctx, who.User)
	} else {
		token.IDP, token.Protocol = a.IDP, a.Protocol
		token.User, err = s.shadow(ctx, a, who, home)
	}
	in.User = token.User
	if err == nil {
		err = s.enough(ctx, token)
	}
	if err == nil {
		err = s.scope(ctx, &token, Scope{})
	}
	if err != nil {
		return nil, fmt.Errorf("sign in by %s: %w", a.IDP, err)
	}
	return s.mint(ctx, token)
}

// mapped finds out who an assertion is about, and the domain of the provider.
func (s *Service) mapped(ctx context.Context, a Assertion) (mapping.Identity, string, error) {
	var provider IdentityProvider
	var m Mapping
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var p Protocol
		var err error
		provider, p, err = openProtocol(ctx, tx, a.IDP, a.Protocol)
		if err != nil {
			return err
		}
		m, err = find[Mapping](ctx, tx, mappingKind, p.MappingID)
		return err
	})
	if err != nil {
		return mapping.Identity{}, "", err
	}
	if len(provider.RemoteIDs) > 0 && !slices.Contains(provider.RemoteIDs, a.RemoteID) {
		return mapping.Identity{}, "", errs.Forbiddenf("Incoming identity provider identifier not included among the accepted identifiers.")
	}
	rules, err := mapping.Parse(m.Rules.V, m.SchemaVersion)
	if err != nil {
		return mapping.Identity{}, "", err
	}
	who, err := rules.Apply(a.Attributes)
	if err != nil {
		return who, "", unauthorized(fmt.Errorf("mapping %s: %w", m.ID, err))
	}
	return who, provider.DomainID, nil
}

// openProtocol finds a protocol of a provider that is enabled.
func openProtocol(ctx context.Context, tx *db.Tx, idp, protocol string) (IdentityProvider, Protocol, error) {
	provider, err := find[IdentityProvider](ctx, tx, idpKind, idp)
	if err != nil {
		return provider, Protocol{}, err
	}
	if !provider.Enabled {
		return provider, Protocol{}, errs.Forbiddenf("Identity Provider %s is disabled", idp)
	}
	rows := []IdentityProvider{provider}
	err = readRemoteIDs(ctx, tx, rows)
	if err != nil {
		return provider, Protocol{}, err
	}
	p, err := readProtocol(ctx, tx, idp, protocol)
	return rows[0], p, err
}

// OpenProtocol tells whether somebody can sign in by a protocol of a provider.
func (s *Service) OpenProtocol(ctx context.Context, idp, protocol string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		_, _, err := openProtocol(ctx, tx, idp, protocol)
		return err
	})
}

// localUser finds a user of ours whom a mapping means. One that only providers
// know is none.
func (s *Service) localUser(ctx context.Context, u mapping.User) (string, error) {
	ref := Ref{ID: u.ID, Name: u.Name}
	if u.Domain != nil {
		ref.Domain = &Ref{ID: u.Domain.ID, Name: u.Domain.Name}
	}
	user, err := s.account(ctx, ref)
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.BadRequest) {
		err = unauthorized(err)
	}
	if err != nil {
		return "", err
	}
	var p person
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = readPerson(ctx, tx, user.ID)
		return err
	})
	if err == nil && p.Federated {
		err = unauthorized(fmt.Errorf("the mapping means a local user, and %s is known by providers only", user.ID))
	}
	return user.ID, err
}

// UseOnce lets an answer of a provider be used once; id names it. The second time
// it is nobody's.
func (s *Service) UseOnce(ctx context.Context, id string, until time.Time) error {
	now := s.clock.Now()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM federation_answers WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO federation_answers (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, db.At(until))
		if err == nil && n == 0 {
			err = unauthorized(errors.New("the provider's answer was used already"))
		}
		return err
	})
}

// readFederation fills in by which provider a token's user has signed in and the
// groups that it named; for other tokens it finds out when groups cease to count.
func (i *Issued) readFederation(ctx context.Context, tx *db.Tx, token auth.Token, h Holder, mayEnd bool) error {
	var err error
	switch {
	case token.IDP != "":
		i.IDP, i.Protocol = token.IDP, token.Protocol
		err = tx.All(ctx, &i.Groups, `SELECT group_id FROM federated_members WHERE user_id = ? AND idp_id = ? ORDER BY group_id`, token.User, token.IDP)
	case mayEnd:
		i.until, err = membershipEnd(ctx, tx, h.User)
	}
	return err
}

// providerSubjects are whose end is that of tokens of sign-ins by a provider.
func providerSubjects(token auth.Token) []string {
	if token.IDP == "" {
		return nil
	}
	return []string{idpSubject(token.IDP), protocolSubject(token.IDP, token.Protocol)}
}

// BeginFederated counts an attempt to sign in by a provider from where the call
// comes, or refuses it; the function says that it was none to guess.
func (s *Service) BeginFederated(ctx context.Context) (func(), error) {
	source := bus.InitiatorOf(ctx).Address
	try, err := s.attempt(ctx, "federated "+source)
	return func() { try.right(s.clock.Now()) }, err
}

// SealText seals what a browser carries for us; it opens in the same place only.
func (s *Service) SealText(place, text string) string { return s.sealer.Seal(place, text) }

// OpenText opens what SealText has sealed.
func (s *Service) OpenText(place, sealed string) (string, error) { return s.sealer.Open(place, sealed) }
