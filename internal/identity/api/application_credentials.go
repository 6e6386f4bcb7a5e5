package api

import (
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) applicationCredentials() []api.Route {
	const all, one = "/users/{user_id}/application_credentials", "/users/{user_id}/application_credentials/{application_credential_id}"
	const rules, rule = "/users/{user_id}/access_rules", "/users/{user_id}/access_rules/{access_rule_id}"
	return []api.Route{
		{Method: "POST", Path: all, Rule: "identity:create_application_credential", OK: 201, Do: api.Body(h.createAppCredential)},
		{Method: "GET", Path: all, Rule: "identity:list_application_credentials", Do: api.Get(h.listAppCredentials)},
		{Method: "GET", Path: one, Rule: "identity:get_application_credential", Do: api.Get(h.showAppCredential)},
		{Method: "DELETE", Path: one, Rule: "identity:delete_application_credential", OK: 204, Do: api.Empty(h.deleteAppCredential)},
		{Method: "GET", Path: rules, Rule: "identity:list_access_rules", Do: api.Get(h.listAccessRules)},
		{Method: "GET", Path: rule, Rule: "identity:get_access_rule", Do: api.Get(h.showAccessRule)},
		{Method: "DELETE", Path: rule, Rule: "identity:delete_access_rule", OK: 204, Do: api.Empty(h.deleteAccessRule)},
	}
}

type appCredentialView struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	Description  *string          `json:"description"`
	ProjectID    string           `json:"project_id"`
	UserID       string           `json:"user_id"`
	System       *string          `json:"system"`
	ExpiresAt    api.Micros       `json:"expires_at"` // without a zone, unlike other times
	Unrestricted bool             `json:"unrestricted"`
	Roles        []shortRole      `json:"roles"`
	AccessRules  []accessRuleView `json:"access_rules,omitempty"`
	Secret       string           `json:"secret,omitempty"`
	Links        selfLink         `json:"links"`
}

type shortRole struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	DomainID *string `json:"domain_id"`
}

type accessRuleView struct {
	ID      string    `json:"id"`
	Path    string    `json:"path"`
	Method  string    `json:"method"`
	Service string    `json:"service"`
	Links   *selfLink `json:"links,omitempty"`
}

func viewAppCredential(c *api.Call, a identity.AppCredential) any {
	v := appCredentialView{
		ID: a.ID, Name: a.Name, Description: a.Description, ProjectID: a.ProjectID, UserID: a.UserID, ExpiresAt: api.Micros(a.ExpiresAt.Time()),
		Unrestricted: a.Unrestricted, Links: selfLink{c.URL("/users/" + a.UserID + "/application_credentials/" + a.ID)},
		AccessRules: viewRules(a.AccessRules),
	}
	for _, r := range a.Roles {
		v.Roles = append(v.Roles, shortRole{r.ID, r.Name, orNull(r.DomainID)})
	}
	return v
}

func viewRules(rules []auth.AccessRule) []accessRuleView {
	var out []accessRuleView
	for _, r := range rules {
		out = append(out, accessRuleView{ID: r.ID, Path: r.Path, Method: r.Method, Service: r.Service})
	}
	return out
}

// authorizeOwner authorizes for the user of the path. Whoever acts by a trust or
// an access token has no say in the user's application credentials.
func (h handlers) authorizeOwner(c *api.Call) (string, error) {
	user := c.PathValue("user_id")
	err := c.Authorize(auth.Target{User: user, Attrs: map[string]string{"target.user.id": user}})
	if err == nil && (c.Caller.Trust != "" || c.Caller.AccessToken != "") {
		err = errs.Forbiddenf("Cannot manage application credentials with a token issued via delegation.")
	}
	return user, err
}

func (h handlers) listAppCredentials(c *api.Call) (map[string]any, error) {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.AppCredentials(c.Context(), user, c.Query().Get("name"))
	return many(c, "application_credentials", viewAppCredential, rows, err)
}

// findAppCredential finds the application credential of the path, which must be
// the user's.
func (h handlers) findAppCredential(c *api.Call) (identity.AppCredential, error) {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return identity.AppCredential{}, err
	}
	id := c.PathValue("application_credential_id")
	a, err := h.identity.AppCredential(c.Context(), id)
	if err == nil && a.UserID != user {
		err = errs.NotFoundf("Could not find Application Credential: %s.", id)
	}
	return a, err
}

func (h handlers) showAppCredential(c *api.Call) (map[string]any, error) {
	a, err := h.findAppCredential(c)
	return one(c, "application_credential", viewAppCredential, a, err)
}

func (h handlers) deleteAppCredential(c *api.Call) error {
	a, err := h.findAppCredential(c)
	if err != nil {
		return err
	}
	err = unrestricted(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteAppCredential(c.Context(), a.ID)
}

// roleRequest names a role by its id or name.
type roleRequest struct {
	_    struct{} `check:"open,nonempty"`
	ID   string   `json:"id"`
	Name string   `json:"name"`
}

func roleNames(in []roleRequest) []identity.RoleName {
	var out []identity.RoleName
	for _, r := range in {
		out = append(out, identity.RoleName{ID: r.ID, Name: r.Name})
	}
	return out
}

type accessRuleRequest struct {
	_       struct{} `check:"open,nonempty"`
	ID      string   `json:"id" check:"min=1,max=64,pattern=id"`
	Path    string   `json:"path" check:"max=128"`
	Method  string   `json:"method" check:"enum=DELETE|GET|HEAD|PATCH|POST|PUT"`
	Service string   `json:"service" check:"min=1,max=64,pattern=id"`
}

type appCredentialCreate struct {
	_            struct{}            `check:"open"`
	Name         string              `json:"name" check:"required,min=1,max=255,pattern=nonblank"`
	Description  *string             `json:"description"`
	Secret       *string             `json:"secret"`
	ExpiresAt    *string             `json:"expires_at"`
	Unrestricted *bool               `json:"unrestricted"`
	Roles        []roleRequest       `json:"roles"`
	AccessRules  []accessRuleRequest `json:"access_rules"`
}

type createAppCredentialRequest struct {
	_             struct{}            `check:"open"`
	AppCredential appCredentialCreate `json:"application_credential" check:"required"`
}

func rulesOf(in []accessRuleRequest) ([]auth.AccessRule, error) {
	var out []auth.AccessRule
	for _, r := range in {
		known := r.ID != "" && r.Path == "" && r.Method == "" && r.Service == ""
		if !known && (!strings.HasPrefix(r.Path, "/") || r.Method == "" || r.Service == "") {
			return nil, errs.BadRequestf("Invalid input for field 'access_rules': a rule has a service, a method and a path that begins with a slash.")
		}
		out = append(out, auth.AccessRule{ID: r.ID, Path: r.Path, Method: r.Method, Service: r.Service})
	}
	return out, nil
}

// expiry reads when something expires: in the future, or ("") never.
func expiry(c *api.Call, asked *string) (db.Time, error) {
	if asked == nil {
		return 0, nil
	}
	at, err := db.ParseTime(*asked)
	if err != nil {
		return 0, errs.BadRequestf("Expiration date %.64q could not be parsed. The expiration timestamp must be in ISO 8601 format.", *asked).Because(err)
	}
	if !at.After(c.Now()) {
		return 0, errs.BadRequestf("The expiration time %s has already passed.", at.Format(time.RFC3339))
	}
	return db.At(at), nil
}

func (h handlers) createAppCredential(c *api.Call, in createAppCredentialRequest) (map[string]any, error) {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return nil, err
	}
	err = unrestricted(c)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Caller.User != user:
		return nil, errs.Forbiddenf("You are not authorized to perform the requested action: cannot create an application credential for another user.")
	case c.Caller.Project == "":
		return nil, errs.BadRequestf("Invalid application credential: it needs the project of a project-scoped token.")
	}
	asked := in.AppCredential
	rules, err := rulesOf(asked.AccessRules)
	if err != nil {
		return nil, err
	}
	expires, err := expiry(c, asked.ExpiresAt)
	if err != nil {
		return nil, err
	}
	held, err := h.identity.Validate(c.Context(), c.Caller.Token)
	if err != nil {
		return nil, err
	}
	made := identity.NewAppCredential{
		AppCredential: identity.AppCredential{UserID: user, ProjectID: c.Caller.Project, Name: asked.Name, Description: asked.Description,
			ExpiresAt: expires, Unrestricted: asked.Unrestricted != nil && *asked.Unrestricted},
		Secret: text(asked.Secret), Roles: roleNames(asked.Roles), Rules: rules,
	}
	for _, r := range held.RoleRefs {
		made.Held = append(made.Held, r.ID)
	}
	a, secret, err := h.identity.CreateAppCredential(c.Context(), made)
	return one(c, "application_credential", func(c *api.Call, a identity.AppCredential) any {
		v := viewAppCredential(c, a).(appCredentialView)
		v.Secret = secret
		return v
	}, a, err)
}

// viewRule shows an access rule of the user in the path.
func viewRule(c *api.Call, r auth.AccessRule) any {
	v := viewRules([]auth.AccessRule{r})[0]
	v.Links = &selfLink{c.URL("/users/" + c.PathValue("user_id") + "/access_rules/" + r.ID)}
	return v
}

func (h handlers) listAccessRules(c *api.Call) (map[string]any, error) {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return nil, err
	}
	q := c.Query()
	rules, err := h.identity.AccessRules(c.Context(), user, auth.AccessRule{Service: q.Get("service"), Path: q.Get("path"), Method: q.Get("method")})
	return many(c, "access_rules", viewRule, rules, err)
}

func (h handlers) showAccessRule(c *api.Call) (map[string]any, error) {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return nil, err
	}
	r, err := h.identity.AccessRule(c.Context(), user, c.PathValue("access_rule_id"))
	return one(c, "access_rule", viewRule, r, err)
}

func (h handlers) deleteAccessRule(c *api.Call) error {
	user, err := h.authorizeOwner(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteAccessRule(c.Context(), user, c.PathValue("access_rule_id"))
}
