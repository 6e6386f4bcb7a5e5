package app

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/identity"
	objectapi "nacre/internal/object/api"
	"nacre/internal/object/s3"
)

// s3Keys looks up the access keys that identity keeps.
func s3Keys(identities *identity.Service) s3.Keys {
	return func(ctx context.Context, access string) (s3.Key, error) {
		e, err := identities.EC2Credential(ctx, access)
		if err != nil {
			return s3.Key{}, err
		}
		return s3.Key{Secret: e.Secret, Caller: func(ctx context.Context) (auth.Caller, error) { return identities.EC2Caller(ctx, e) }}, nil
	}
}

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
