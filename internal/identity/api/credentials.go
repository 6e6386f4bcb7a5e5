package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) credentials() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/credentials", Rule: "identity:create_credential", OK: 201, Do: api.Body(h.createCredential)},
		{Method: "GET", Path: "/credentials", Rule: "identity:list_credentials", Do: api.Get(h.listCredentials)},
		{Method: "GET", Path: "/credentials/{credential_id}", Rule: "identity:get_credential", Do: api.Get(h.showCredential)},
		{Method: "PATCH", Path: "/credentials/{credential_id}", Rule: "identity:update_credential", Do: api.Body(h.updateCredential)},
		{Method: "DELETE", Path: "/credentials/{credential_id}", Rule: "identity:delete_credential", OK: 204, Do: api.Empty(h.deleteCredential)},
	}
}

type credentialView struct {
	ID        string   `json:"id"`
	UserID    string   `json:"user_id"`
	ProjectID *string  `json:"project_id"`
	Type      string   `json:"type"`
	Blob      string   `json:"blob"`
	Links     selfLink `json:"links"`
}

func viewCredential(c *api.Call, r identity.Credential) any {
	return open{credentialView{r.ID, r.UserID, orNull(r.ProjectID), r.Type, r.Blob, selfLink{c.URL("/credentials/" + r.ID)}}, r.Extra.V}
}

func ownedBy(user string) auth.Target {
	return auth.Target{User: user, Attrs: map[string]string{"target.credential.user_id": user}}
}

func credentialTarget(r identity.Credential) auth.Target { return ownedBy(r.UserID) }

// findCredential finds the credential of the path and authorizes.
func (h handlers) findCredential(c *api.Call) (identity.Credential, error) {
	r, err := h.identity.Credential(c.Context(), c.PathValue("credential_id"))
	r, err = foundFor(c, r, err, credentialTarget)
	if err != nil {
		return r, err
	}
	return r, withinDelegation(c, r.ProjectID, r.MadeBy())
}

// ownedCredential is findCredential for what delegates may not do.
func (h handlers) ownedCredential(c *api.Call) (identity.Credential, error) {
	r, err := h.findCredential(c)
	if err != nil {
		return r, err
	}
	return r, undelegated(c, "credentials")
}

func (h handlers) listCredentials(c *api.Call) (map[string]any, error) {
	owner := c.Caller.User
	if c.Caller.System {
		owner = ""
	}
	err := c.Authorize(ownedBy(owner))
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.Credentials(c.Context(), c.Query().Get("user_id"), c.Query().Get("type"))
	rows = keep(rows, func(r identity.Credential) bool {
		return c.May("identity:get_credential", credentialTarget(r)) && withinDelegation(c, r.ProjectID, r.MadeBy()) == nil
	})
	return many(c, "credentials", viewCredential, rows, err)
}

func (h handlers) showCredential(c *api.Call) (map[string]any, error) {
	r, err := h.findCredential(c)
	return one(c, "credential", viewCredential, r, err)
}

type credentialCreate struct {
	_         struct{} `check:"open"`
	UserID    string   `json:"user_id" check:"required"`
	ProjectID *string  `json:"project_id"`
	Type      string   `json:"type" check:"required"`
	Blob      string   `json:"blob" check:"required"`
}

type createCredentialRequest struct {
	_          struct{}         `check:"open"`
	Credential credentialCreate `json:"credential" check:"required"`
}

func (h handlers) createCredential(c *api.Call, in createCredentialRequest) (map[string]any, error) {
	r := identity.Credential{UserID: in.Credential.UserID, ProjectID: text(in.Credential.ProjectID), Type: in.Credential.Type, Blob: in.Credential.Blob}
	err := c.Authorize(credentialTarget(r))
	if err != nil {
		return nil, err
	}
	err = undelegated(c, "credentials")
	if err != nil {
		return nil, err
	}
	if identity.IsEC2(r.Type) && r.ProjectID == "" {
		return nil, errs.BadRequestf("Invalid input for field 'project_id': a credential of type ec2 has a project.")
	}
	extra, err := extraOf(c, "credential", in.Credential)
	if err != nil {
		return nil, err
	}
	r.Extra = db.Of(extra)
	r, err = h.identity.CreateCredential(c.Context(), r, identity.Delegation{})
	return one(c, "credential", viewCredential, r, err)
}

type credentialUpdate struct {
	_         struct{}        `check:"open,nonempty"`
	UserID    *string         `json:"user_id"`
	ProjectID api.Opt[string] `json:"project_id"`
	Type      *string         `json:"type"`
	Blob      *string         `json:"blob"`
}

type updateCredentialRequest struct {
	_          struct{}         `check:"open"`
	Credential credentialUpdate `json:"credential" check:"required"`
}

func (h handlers) updateCredential(c *api.Call, in updateCredentialRequest) (map[string]any, error) {
	r, err := h.ownedCredential(c)
	if err != nil {
		return nil, err
	}
	extra, err := extraOf(c, "credential", in.Credential)
	if err != nil {
		return nil, err
	}
	r, err = h.identity.UpdateCredential(c.Context(), r.ID, func(r *identity.Credential) error {
		set(&r.UserID, in.Credential.UserID)
		set(&r.Type, in.Credential.Type)
		set(&r.Blob, in.Credential.Blob)
		if in.Credential.ProjectID.Set {
			r.ProjectID = in.Credential.ProjectID.V
		}
		r.Extra.V = merged(r.Extra.V, extra)
		// Nobody gives a credential to whom they could not make one for.
		return c.Authorize(credentialTarget(*r))
	})
	return one(c, "credential", viewCredential, r, err)
}

func (h handlers) deleteCredential(c *api.Call) error {
	r, err := h.ownedCredential(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteCredential(c.Context(), r.ID)
}
