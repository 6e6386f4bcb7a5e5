package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) trusts() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/OS-TRUST/trusts", Rule: "identity:create_trust", OK: 201, Do: api.Body(h.createTrust)},
		{Method: "GET", Path: "/OS-TRUST/trusts", Rule: "identity:list_trusts", Do: api.Get(h.listTrusts)},
		{Method: "GET", Path: "/OS-TRUST/trusts/{trust_id}", Rule: "identity:get_trust", Do: api.Get(h.showTrust)},
		{Method: "DELETE", Path: "/OS-TRUST/trusts/{trust_id}", Rule: "identity:delete_trust", OK: 204, Do: api.Empty(h.deleteTrust)},
		{Method: "GET", Path: "/OS-TRUST/trusts/{trust_id}/roles", Rule: "identity:list_roles_for_trust", Do: api.Get(h.listTrustRoles)},
		{Method: "HEAD", Path: "/OS-TRUST/trusts/{trust_id}/roles/{role_id}", Rule: "identity:get_role_for_trust", Do: api.Get(h.showTrustRole)},
		{Method: "GET", Path: "/OS-TRUST/trusts/{trust_id}/roles/{role_id}", Rule: "identity:get_role_for_trust", Do: api.Get(h.showTrustRole)},
	}
}

type trustView struct {
	ID                string   `json:"id"`
	TrustorUserID     string   `json:"trustor_user_id"`
	TrusteeUserID     string   `json:"trustee_user_id"`
	ProjectID         *string  `json:"project_id"`
	Impersonation     bool     `json:"impersonation"`
	ExpiresAt         stamp    `json:"expires_at"`
	DeletedAt         stamp    `json:"deleted_at"`
	RemainingUses     *int64   `json:"remaining_uses"`
	RedelegationCount int64    `json:"redelegation_count"`
	RedelegatedID     *string  `json:"redelegated_trust_id"`
	Links             selfLink `json:"links"`
}

// wholeTrustView is a trust with its roles, which lists leave out.
type wholeTrustView struct {
	trustView
	Roles      []open    `json:"roles"`
	RolesLinks listLinks `json:"roles_links"`
}

func trustOf(c *api.Call, t identity.Trust) trustView {
	return trustView{
		ID: t.ID, TrustorUserID: t.TrustorUserID, TrusteeUserID: t.TrusteeUserID, ProjectID: t.ProjectID, Impersonation: t.Impersonation,
		ExpiresAt: stamp(t.ExpiresAt.Time()), RemainingUses: t.RemainingUses, RedelegationCount: t.RedelegationCount,
		RedelegatedID: t.RedelegatedID, Links: selfLink{c.URL("/OS-TRUST/trusts/" + t.ID)},
	}
}

func viewListedTrust(c *api.Call, t identity.Trust) any { return open{trustOf(c, t), t.Extra.V} }

func viewTrust(c *api.Call, t identity.Trust) any {
	v := wholeTrustView{trustView: trustOf(c, t), RolesLinks: listLinks{Self: c.URL("/OS-TRUST/trusts/" + t.ID + "/roles")}}
	for _, r := range t.Roles {
		v.Roles = append(v.Roles, viewRole(c, r))
	}
	return open{v, t.Extra.V}
}

func trustTarget(trustor, trustee string) auth.Target {
	return auth.Target{Attrs: map[string]string{"target.trust.trustor_user_id": trustor, "target.trust.trustee_user_id": trustee}}
}

// noTrustsByCredential keeps application credentials, unrestricted ones too,
// away from trusts: they are for one project.
func noTrustsByCredential(c *api.Call) error {
	if c.Caller.AppCredential != "" {
		return errs.Forbiddenf("You are not authorized to perform the requested action: " +
			"Using method 'application_credential' is not allowed for managing trusts.")
	}
	return nil
}

// findTrust finds the trust of the path and authorizes. One that is not there is
// not found, whoever asks, as with Keystone: its id cannot be guessed.
func (h handlers) findTrust(c *api.Call) (identity.Trust, error) {
	t, err := h.identity.Trust(c.Context(), c.PathValue("trust_id"))
	if err != nil {
		return t, err
	}
	err = c.Authorize(trustTarget(t.TrustorUserID, t.TrusteeUserID))
	if err != nil {
		return t, err
	}
	return t, noTrustsByCredential(c)
}

func (h handlers) listTrusts(c *api.Call) (map[string]any, error) {
	trustor, trustee := c.Query().Get("trustor_user_id"), c.Query().Get("trustee_user_id")
	rule := c.Route().Rule
	switch {
	case trustor != "":
		rule, trustee = "identity:list_trusts_for_trustor", ""
	case trustee != "":
		rule = "identity:list_trusts_for_trustee"
	}
	err := c.AuthorizeRule(rule, trustTarget(trustor, trustee))
	if err != nil {
		return nil, err
	}
	err = noTrustsByCredential(c)
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.Trusts(c.Context(), trustor, trustee)
	return many(c, "trusts", viewListedTrust, rows, err)
}

func (h handlers) showTrust(c *api.Call) (map[string]any, error) {
	t, err := h.findTrust(c)
	return one(c, "trust", viewTrust, t, err)
}

func (h handlers) deleteTrust(c *api.Call) error {
	t, err := h.findTrust(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteTrust(c.Context(), t.ID)
}

func (h handlers) listTrustRoles(c *api.Call) (rolesReply, error) {
	t, err := h.findTrust(c)
	if err != nil {
		return rolesReply{}, err
	}
	return viewRoles(c, t.Roles), nil
}

func (h handlers) showTrustRole(c *api.Call) (roleReply, error) {
	t, err := h.findTrust(c)
	if err != nil {
		return roleReply{}, err
	}
	for _, r := range t.Roles {
		if r.ID == c.PathValue("role_id") {
			return roleReply{viewRole(c, r)}, nil
		}
	}
	return roleReply{}, errs.NotFoundf("Could not find role: %s.", c.PathValue("role_id"))
}

type trustCreate struct {
	_                 struct{}      `check:"open"`
	TrustorUserID     string        `json:"trustor_user_id" check:"required"`
	TrusteeUserID     string        `json:"trustee_user_id" check:"required"`
	Impersonation     bool          `json:"impersonation" check:"required"`
	ProjectID         *string       `json:"project_id"`
	RemainingUses     *int64        `json:"remaining_uses" check:"min=1"`
	ExpiresAt         *string       `json:"expires_at"`
	AllowRedelegation *bool         `json:"allow_redelegation"`
	RedelegationCount *int64        `json:"redelegation_count" check:"min=0"`
	Roles             []roleRequest `json:"roles"`
}

type createTrustRequest struct {
	_     struct{}    `check:"open"`
	Trust trustCreate `json:"trust" check:"required"`
}

func (h handlers) createTrust(c *api.Call, in createTrustRequest) (map[string]any, error) {
	asked := in.Trust
	err := c.Authorize(trustTarget(asked.TrustorUserID, asked.TrusteeUserID))
	if err != nil {
		return nil, err
	}
	err = noTrustsByCredential(c)
	switch {
	case err != nil:
		return nil, err
	case text(asked.ProjectID) != "" && len(asked.Roles) == 0:
		return nil, errs.Forbiddenf("You are not authorized to perform the requested action: At least one role should be specified.")
	case c.Caller.User != asked.TrustorUserID:
		return nil, errs.Forbiddenf("You are not authorized to perform the requested action: The authenticated user should match the trustor.")
	case c.Caller.AccessToken != "":
		return nil, errs.Forbiddenf("You are not authorized to perform the requested action: Redelegation allowed for delegated by trust only.")
	}
	expires, err := expiry(c, asked.ExpiresAt)
	if err != nil {
		return nil, err
	}
	extra, err := extraOf(c, "trust", asked)
	if err != nil {
		return nil, err
	}
	t, err := h.identity.CreateTrust(c.Context(), identity.NewTrust{
		Trust: identity.Trust{TrustorUserID: asked.TrustorUserID, TrusteeUserID: asked.TrusteeUserID, ProjectID: orNull(text(asked.ProjectID)),
			Impersonation: asked.Impersonation, ExpiresAt: expires, RemainingUses: asked.RemainingUses, Extra: db.Of(extra)},
		Roles: roleNames(asked.Roles), AllowRedelegation: asked.AllowRedelegation != nil && *asked.AllowRedelegation,
		Count: asked.RedelegationCount, From: c.Caller.Trust,
	})
	return one(c, "trust", viewTrust, t, err)
}
