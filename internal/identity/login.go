package identity

import (
	"context"
	"errors"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/errs"
)

// PasswordLogin is a user with its password.
type PasswordLogin struct {
	User     Ref
	Password string
}

// Login is what a client presents for a token. All that is set must hold and
// mean the same user.
type Login struct {
	Password      *PasswordLogin
	Token         string // "" for none
	Federated     bool   // the token is of a sign-in by an identity provider
	AppCredential *AppCredentialLogin
	OAuth         *OAuthRequest
	TOTP          *TOTPLogin
	Certificate   *CertificateLogin
	Receipt       string // of an earlier try, "" for none
}

// expired says that a password was right, and must be changed first.
type expired struct{ user string }

func (expired) Error() string { return "the password has expired" }

// ExpiredPassword is the id of the user whose password was right and must be
// changed first, "" if the error says something else.
func ExpiredPassword(err error) string {
	var e expired
	errors.As(err, &e)
	return e.user
}

// proof is what has been proven of a token to be, method by method.
type proof struct {
	auth.Token
}

// by adds a method that has proven who the user is.
func (p *proof) by(method, user string) error {
	if p.User != "" && p.User != user {
		return unauthorized(errors.New("the methods mean different users"))
	}
	p.User = user
	if !slices.Contains(p.Methods, method) {
		p.Methods = append(p.Methods, method)
	}
	return nil
}

// prove checks all that a client presents.
func (s *Service) prove(ctx context.Context, login Login, scope Scope) (auth.Token, error) {
	var p proof
	if login.Receipt != "" {
		err := s.useReceipt(ctx, &p, login.Receipt)
		if err != nil {
			return p.Token, err
		}
	}
	if login.Token != "" {
		err := s.proveToken(ctx, &p, login.Token, scope)
		if err != nil {
			return p.Token, err
		}
		if login.Federated && p.IDP == "" {
			return p.Token, unauthorized(errors.New("the token is of no sign-in by an identity provider"))
		}
	}
	if login.Password != nil {
		user, err := s.authenticate(ctx, *login.Password)
		if err != nil {
			return p.Token, err
		}
		expires := user.PasswordExpiresAt.Time()
		if !expires.IsZero() && !s.clock.Now().Before(expires) {
			return p.Token, errs.Unauthorizedf("The password is expired and needs to be changed for user: %s.", user.ID).Because(expired{user.ID})
		}
		err = p.by("password", user.ID)
		if err != nil {
			return p.Token, err
		}
	}
	if login.TOTP != nil {
		user, err := s.proveTOTP(ctx, *login.TOTP)
		if err != nil {
			return p.Token, err
		}
		err = p.by("totp", user.ID)
		if err != nil {
			return p.Token, err
		}
	}
	if login.AppCredential != nil {
		if !scope.empty() {
			return p.Token, errs.Unauthorizedf("Error authenticating with application credential: Application credentials cannot request a scope.")
		}
		a, err := s.proveAppCredential(ctx, *login.AppCredential)
		if err != nil {
			return p.Token, err
		}
		err = p.by("application_credential", a.UserID)
		if err != nil {
			return p.Token, err
		}
		p.AppCredential, p.Project = a.ID, a.ProjectID
	}
	if login.Certificate != nil {
		err := s.proveCertificate(ctx, &p, *login.Certificate)
		if err != nil {
			return p.Token, err
		}
	}
	if login.OAuth != nil {
		err := s.proveOAuth(ctx, &p, *login.OAuth)
		if err != nil {
			return p.Token, err
		}
	}
	if p.User == "" {
		return p.Token, unauthorized(errors.New("no method was given"))
	}
	return p.Token, s.enough(ctx, p.Token)
}

// proveToken takes another token for proof. What was delegated makes no tokens
// that are more, and what is for the system none that are for something else.
func (s *Service) proveToken(ctx context.Context, p *proof, text string, scope Scope) error {
	parent, err := s.Validate(ctx, text)
	if errs.Is(err, errs.Unauthorized) {
		err = errs.NotFoundf("Failed to validate token").Because(err)
	}
	if err != nil {
		return err
	}
	const refused = "You are not authorized to perform the requested action: "
	switch {
	case parent.AccessToken != "":
		return errs.Forbiddenf(refused + "Using OAuth-scoped token to create another token. Create a new OAuth-scoped token instead.")
	case parent.Thumbprint != "":
		return errs.Forbiddenf(refused + "Using a token that is bound to a certificate to create another token. Use the certificate instead.")
	case parent.Trust != "":
		return errs.Forbiddenf(refused + "Using trust-scoped token to create another token. Create a new trust-scoped token instead.")
	case parent.ByAccessKey():
		return errs.Forbiddenf(refused + "Using a token that was got by an EC2 credential to create another token. Sign another request instead.")
	case parent.System && (scope.Project != nil || scope.Domain != nil):
		return errs.Forbiddenf(refused + "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.")
	case parent.AppCredential != "" && !scope.empty():
		return errs.Forbiddenf(refused + "Using an application credential token to create a scoped token is not allowed.")
	}
	p.Token = auth.Token{
		User: parent.User, Methods: slices.Clone(parent.Methods), ExpiresAt: parent.ExpiresAt,
		AuditIDs: []string{parent.AuditIDs[len(parent.AuditIDs)-1]}, IDP: parent.IDP, Protocol: parent.Protocol,
	}
	if parent.AppCredential != "" {
		p.AppCredential, p.Project = parent.AppCredential, parent.Project
	}
	if !slices.Contains(p.Methods, "token") {
		p.Methods = append([]string{"token"}, p.Methods...)
	}
	return nil
}
