package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// What somebody has delegated ends at the project that it is for, and must not
// become more than it is: a secret that a delegate leaves behind would outlive
// the delegation.

// delegation is how the caller came to act for the user.
func delegation(c *api.Call) identity.Delegation {
	return identity.Delegation{Trust: c.Caller.Trust, AppCredential: c.Caller.AppCredential, AccessToken: c.Caller.AccessToken}
}

// undelegated refuses a delegate what only users themselves may manage.
func undelegated(c *api.Call, what string) error {
	if c.Caller.Delegated() {
		return errs.Forbiddenf("Cannot manage %s with a token issued via delegation.", what)
	}
	return nil
}

// withinDelegation refuses a delegate all secrets but those that this very
// delegation has left in its project: the user's others, a second factor among
// them, are good for more than what was delegated.
func withinDelegation(c *api.Call, project string, by identity.Delegation) error {
	if c.Caller.Delegated() && (project != c.Caller.Project || by != delegation(c)) {
		return errs.Forbiddenf("You are not authorized to perform the requested action: " +
			"the credential is not of the delegation that the token was issued by.")
	}
	return nil
}

// unrestricted refuses an application credential that may not make further
// secrets.
func unrestricted(c *api.Call) error {
	if c.Caller.AppCredential != "" && !c.Caller.Unrestricted {
		return errs.Forbiddenf("You are not authorized to perform the requested action: " +
			"using method 'application_credential' is not allowed for managing additional application credentials.")
	}
	return nil
}
