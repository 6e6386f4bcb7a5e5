package app

import (
	"context"

	"nacre/internal/identity"
	objectapi "nacre/internal/object/api"
)

// objectSignIn is how the object store signs people in by its own first version
// of authentication: names are those of the default domain.
func objectSignIn(identities *identity.Service) objectapi.SignIn {
	return func(ctx context.Context, project, user, password string) (objectapi.Session, error) {
		domain := &identity.Ref{ID: identity.DefaultDomain}
		issued, err := identities.Issue(ctx,
			identity.Login{Password: &identity.PasswordLogin{User: identity.Ref{Name: user, Domain: domain}, Password: password}},
			identity.Scope{Project: &identity.Ref{Name: project, Domain: domain}})
		if err != nil {
			return objectapi.Session{}, err
		}
		return objectapi.Session{Token: issued.Token, Project: issued.Project, ExpiresAt: issued.ExpiresAt}, nil
	}
}
