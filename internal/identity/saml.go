package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/beevik/etree"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity/saml"
)

// samlPeriod is how long a key signs what is said to other clouds. Those often
// take our metadata by hand, and not every week: they know a key for half a year
// before it signs.
const samlPeriod = 182 * 24 * time.Hour

// samlSigners are the keys of assertions. They are made when they are first asked
// for, since most clouds have no use for them. One before the one that signs is
// enough: assertions are presented within minutes.
func (s *Service) samlSigners() signers {
	return signers{table: "saml_keys", place: "saml key", kept: 3, every: samlPeriod, make: func(now time.Time) (string, error) {
		key, err := saml.NewKey(now, now.Add(3*samlPeriod))
		if err != nil {
			return "", err
		}
		return key.Encode()
	}}
}

// samlKeys lists the keys, the newest first.
func (s *Service) samlKeys(ctx context.Context) ([]saml.Key, error) {
	rows, err := s.openSigners(ctx, s.samlSigners())
	if err == nil && len(rows) == 0 {
		s.firstSAMLKeys.Lock() // whoever asks at the same time waits rather than makes more
		defer s.firstSAMLKeys.Unlock()
		err = s.rotateSigners(ctx, s.samlSigners())
		if err == nil {
			rows, err = s.openSigners(ctx, s.samlSigners())
		}
	}
	if err != nil {
		return nil, err
	}
	keys := make([]saml.Key, len(rows))
	for i, row := range rows {
		keys[i], err = saml.DecodeKey(row.Secret)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
		}
	}
	return keys, nil
}

// SAMLMetadata describes this cloud as an identity provider.
func (s *Service) SAMLMetadata(ctx context.Context, entity, at string) ([]byte, error) {
	keys, err := s.samlKeys(ctx)
	if err != nil {
		return nil, err
	}
	return saml.Metadata(entity, at, keys)
}

// AssertFor says to a service provider who bears a token, as the identity
// provider of that name.
func (s *Service) AssertFor(ctx context.Context, issuer, provider, token string) (*etree.Element, ServiceProvider, error) {
	p, err := s.ServiceProvider(ctx, provider)
	if err != nil {
		return nil, p, err
	}
	if !p.Enabled {
		return nil, p, errs.Forbiddenf("Service Provider %s is disabled", p.ID)
	}
	issued, err := s.Validate(ctx, token)
	if errs.Is(err, errs.Unauthorized) {
		err = errs.NotFoundf("Failed to validate token").Because(err)
	}
	if err != nil {
		return nil, p, err
	}
	const refused = "You are not authorized to perform the requested action: "
	switch {
	case issued.Project == "":
		return nil, p, errs.Forbiddenf(refused + "Use a project scoped token when attempting to create a SAML assertion.")
	case issued.Delegated() && !issued.Unrestricted || issued.ByAccessKey():
		// Whoever hears it would take the bearer for the user in all respects.
		return nil, p, errs.Forbiddenf(refused + "A token made by a trust, an OAuth access token, an access key or a restricted application credential does not speak for its user at other clouds.")
	}
	groups, err := s.groupsSaid(ctx, issued.User)
	if err != nil {
		return nil, p, err
	}
	attributes := []saml.Attribute{
		{Name: "openstack_user", Values: []string{issued.UserName}},
		{Name: "openstack_roles", Values: issued.Roles},
		{Name: "openstack_project", Values: []string{issued.ProjectName}},
		{Name: "openstack_project_domain", Values: []string{issued.ProjectDomainName}},
		{Name: "openstack_user_domain", Values: []string{issued.UserDomainName}},
	}
	if len(groups) > 0 {
		attributes = append(attributes, saml.Attribute{Name: "openstack_groups", Values: groups})
	}
	keys, err := s.samlKeys(ctx)
	if err != nil {
		return nil, p, err
	}
	if len(keys) < 2 {
		return nil, p, fmt.Errorf("sign assertion: %d keys are there, want 2 or more", len(keys))
	}
	response, err := saml.Respond(keys[1], saml.Said{
		Issuer: issuer, Recipient: p.SPURL, User: issued.UserName, At: s.clock.Now(), Until: issued.ExpiresAt, Attributes: attributes,
	})
	return response, p, err
}

// groupsSaid are the groups of a user in the form that mappings of Keystone read.
func (s *Service) groupsSaid(ctx context.Context, user string) ([]string, error) {
	type domain struct {
		Name string `json:"name"`
	}
	var rows []struct{ Name, Domain string }
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, `
			SELECT g.name, d.name AS domain FROM group_members m JOIN user_groups g ON g.id = m.group_id JOIN domains d ON d.id = g.domain_id
			WHERE m.user_id = ? ORDER BY g.name, g.id`, user)
	})
	if err != nil {
		return nil, fmt.Errorf("list groups of user %s: %w", user, err)
	}
	out := make([]string, len(rows))
	for i, row := range rows {
		text, err := json.Marshal(struct {
			Name   string `json:"name"`
			Domain domain `json:"domain"`
		}{row.Name, domain{row.Domain}})
		if err != nil {
			return nil, fmt.Errorf("write group: %w", err)
		}
		out[i] = "JSON:" + string(text)
	}
	return out, nil
}
