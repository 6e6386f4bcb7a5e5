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

// withinDelegation refuses a delegate what belongs to another project than its
// own, or to none, such as the user's second factor.
func withinDelegation(c *api.Call, project string) error {
	if c.Caller.Delegated() && project != c.Caller.Project {
		return errs.Forbiddenf("You are not authorized to perform the requested action: " +
			"the project of the credential is not the one that the token was delegated for.")
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
